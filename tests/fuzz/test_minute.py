"""A minute of fuzzing, all targets together: nothing is found.

What is tried depends on the sources alone: a change of something else tries what the one before it has tried,
and does not fail because of an old defect.  A change of what is fuzzed tries something new.
"""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.fuzzer import Fuzzer, compiler, what_lacks, workplace
from tests.fuzz.targets import FUZZER, HERE, NATIVE, ROOT, TARGETS, PythonTarget

# Some four seconds of an idle processor each; a busy one gives up earlier.
RUNS = {
    "reader": 40_000,
    "params": 350_000,
    "script": 150_000,
    "inivalues": 80_000,
    "userini": 40_000,
    "protocol": 6_000,
    "configuration": 1_500,
    "pages": 4_000,
    "channel": 4_000,
    "boards": 2_500,
}
MOST_SECONDS = 6


def sources() -> Iterator[Path]:
    """What is fuzzed, and with what."""
    for folder in (NATIVE, ROOT / "src/kraal", HERE, ROOT / "tests/native"):
        yield from sorted(path for path in folder.rglob("*") if path.suffix in (".c", ".h", ".py", ".hex"))


def seed() -> int:
    """A number of 32 bits that stands for the sources; not 0, which would be any."""
    total = hashlib.sha256(b"".join(path.read_bytes() for path in sources()))
    return int.from_bytes(total.digest()[:4]) | 1


@pytest.fixture
def folder() -> Iterator[Path]:
    with workplace() as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_some_seconds_of_fuzzing_find_nothing(name: str, folder: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    if lacking := what_lacks(target):
        pytest.skip(lacking)
    try:
        fuzzer = Fuzzer(target, folder, tmp_path / "crashes")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)

    outcome = fuzzer.run(
        empty(folder), f"-seed={seed()}", f"-runs={RUNS[name]}", f"-max_total_time={MOST_SECONDS}"
    )

    print(f"{name}: {outcome.executions} executions in {outcome.cpu_seconds:.1f} seconds")
    assert not outcome.failed, outcome.explain()
    assert outcome.executions >= len(corpus.all_of(target))


def empty(folder: Path) -> Path:
    """Where what was found before would be."""
    found = folder / "found"
    found.mkdir()
    return found


class Broken(PythonTarget):
    """One that ends at a word, in C."""

    def build(self, folder: Path, compiler: str) -> Path:
        source, program = folder / "broken.c", folder / "broken"
        source.write_text(
            "#include <stdlib.h>\nint LLVMFuzzerTestOneInput(const char *text, size_t size);\n"
            "int LLVMFuzzerTestOneInput(const char *text, size_t size)\n"
            "{ if (size > 1 && text[0] == 'k' && text[1] == 'r') abort(); return 0; }\n"
        )
        subprocess.run([compiler, FUZZER, "-o", program, source], check=True)
        return program


@pytest.mark.skipif(compiler() is None, reason="clang is missing")
def test_a_finding_is_told_with_its_bytes_and_stays(folder: Path, tmp_path: Path) -> None:
    fuzzer = Fuzzer(Broken("broken"), folder, tmp_path / "crashes")

    outcome = fuzzer.run(empty(folder), "-seed=1", "-runs=1000000")

    [finding] = outcome.findings
    assert outcome.failed
    assert finding.read_bytes().startswith(b"kr")
    assert f"{finding.name}: {finding.read_bytes().hex()}" in outcome.explain()
