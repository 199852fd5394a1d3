"""Fuzzing of what reads foreign bytes in C: `python -m tests.fuzz --help`.

A target is a file TARGET.c with libFuzzer's entry point; its inputs are in corpus/TARGET.hex, one a line.
`test_corpus.py` runs these with gcc's sanitizers, as fast as any other test.
"""
