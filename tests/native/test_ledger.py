"""What C adds to a ledger is what Python reads there."""

import mmap
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI

from kraal.memory import ledger
from kraal.memory.ledger import BOUNDS, Ending, Entries

NATIVE = Path(__file__).parents[2] / "native"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]


class Writer:
    """native/ledger.c, as a worker and its manager call it."""

    def __init__(self, path: Path) -> None:
        self._ffi = FFI()
        self._ffi.cdef(
            """
            void ledger_open(void *base);
            void ledger_wait(int64_t ns);
            void ledger_status(int status);
            void ledger_answer(void);
            void ledger_duration(int64_t ns);
            void kraal_ledger_ending(void *ledger, int why);
            """
        )
        library: Any = self._ffi.dlopen(str(path))
        self.call = library
        self.memory = mmap.mmap(-1, ledger.SIZE)
        self.memory[:] = ledger.fresh()
        self.base = self._ffi.from_buffer(self.memory)
        self.call.ledger_open(self.base)

    def entries(self) -> Entries:
        found = ledger.read(bytes(self.memory))
        assert found
        return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("ledger") / "ledger.so"
    command: list[str | Path] = [
        "gcc",
        "-std=gnu11",
        "-shared",
        "-fPIC",
        *WARNINGS,
        "-o",
        library,
        NATIVE / "ledger.c",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture
def writer(library: Path) -> Writer:
    return Writer(library)


@pytest.mark.parametrize(
    ("status", "digit"),
    [(200, 2), (100, 1), (599, 5), (404, 4), (99, 0), (600, 0), (-1, 0), (2**31 - 1, 0)],
)
def test_answer_is_counted_by_its_first_digit(writer: Writer, status: int, digit: int) -> None:
    writer.call.ledger_status(status)
    assert sum(writer.entries().answers) == 0

    writer.call.ledger_answer()
    writer.call.ledger_answer()

    answers = writer.entries().answers
    assert (answers[digit], sum(answers)) == (1, 1)


@pytest.mark.parametrize("at", range(len(BOUNDS) + 1))
def test_duration_falls_into_the_first_bucket_that_is_not_exceeded(writer: Writer, at: int) -> None:
    ns = round(BOUNDS[at] * 1e9) if at < len(BOUNDS) else round(BOUNDS[-1] * 1e9) + 1
    writer.call.ledger_duration(ns)
    writer.call.ledger_wait(ns + 1)

    entries = writer.entries()
    assert entries.durations.buckets.index(1) == at
    assert entries.waits.buckets.index(1) == min(at + 1, len(BOUNDS))
    assert (entries.durations.sum_ns, entries.waits.sum_ns) == (ns, ns + 1)


def test_clock_that_went_back_takes_nothing_off(writer: Writer) -> None:
    writer.call.ledger_duration(-5)

    assert writer.entries().durations.buckets[0] == 1
    assert writer.entries().durations.sum_ns == 0


@pytest.mark.parametrize("why", Ending)
def test_endings_of_workers_are_told_apart(writer: Writer, why: Ending) -> None:
    writer.call.kraal_ledger_ending(writer.base, int(why))

    assert writer.entries().endings == tuple(int(each is why) for each in Ending)


@pytest.mark.parametrize("content", [b"", os.urandom(ledger.SIZE), bytes(ledger.SIZE), ledger.fresh()[:-1]])
def test_what_is_no_ledger_is_not_read(content: bytes) -> None:
    assert ledger.read(content) is None


def test_whatever_a_worker_writes_is_read_as_numbers() -> None:
    entries = ledger.read(ledger.fresh()[:8] + b"\xff" * (ledger.SIZE - 8))

    assert entries
    assert set(entries.answers) == {2**64 - 1}
