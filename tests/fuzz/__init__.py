"""Fuzzing of what reads foreign bytes: `python -m tests.fuzz --help`, and docs/fuzzing.md.

A target is a file TARGET.c with libFuzzer's entry point, or a module in python/; its inputs are in
corpus/TARGET.hex, one a line.  `test_corpus.py` tries these, `test_minute.py` others.
"""
