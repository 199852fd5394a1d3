"""What C writes into the scoreboard is what Python reads there."""

import mmap
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st
from kraal._native import _bridge

from kraal.memory.scoreboard import Scoreboard, Stage, size_for

NATIVE = Path(__file__).parents[2] / "native"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]

_ffi: Any = _bridge.ffi
SLOT = _ffi.sizeof("struct kraal_slot")
HEADER = _ffi.sizeof("struct kraal_scoreboard")


class Writer:
    """native/scoreboard.c, as a worker calls it."""

    def __init__(self, library: Path) -> None:
        self._ffi = FFI()
        self._ffi.cdef(
            """
            struct params;
            void scoreboard_open(void *base, uint32_t slot, int alarm);
            void kraal_alarm_set(void *scoreboard, uint32_t active);
            void scoreboard_request(const struct params *params, const char *user);
            void scoreboard_stage(int stage);
            void scoreboard_done(uint64_t memory);
            int64_t scoreboard_waited(void);
            void scoreboard_error(const char *text);
            void scoreboard_lost(void *board, uint32_t lines, int error);
            void kraal_slot_vacate(void *scoreboard, uint32_t slot);
            void params_init(void *params);
            void params_release(void *params);
            int params_append(void *params, const char *from, size_t size, size_t limit);
            int params_decode(void *params);
            """
        )
        self._library: Any = self._ffi.dlopen(str(library))
        self._params = self._ffi.new("char[]", 1024)  # room for a struct params and more

    def open(self, board: Scoreboard, index: int, alarm: int = -1) -> None:
        self._library.scoreboard_open(self._ffi.from_buffer(board.memory), index, alarm)

    def set_alarm(self, board: Scoreboard, active: int) -> None:
        self._library.kraal_alarm_set(self._ffi.from_buffer(board.memory), active)

    def request(self, pairs: dict[bytes, bytes], user: bytes | None = None) -> None:
        raw = b"".join(
            bytes([len(name)]) + (len(value) | 1 << 31).to_bytes(4, "big") + name + value
            for name, value in pairs.items()
        )
        self._library.params_init(self._params)
        assert self._library.params_append(self._params, raw, len(raw), 1 << 20) == 0
        assert self._library.params_decode(self._params) == 0
        self._library.scoreboard_request(
            self._ffi.cast("const struct params *", self._params), user or self._ffi.NULL
        )
        self._library.params_release(self._params)

    def done(self, memory: int) -> None:
        self._library.scoreboard_done(memory)

    def stage(self, stage: Stage) -> None:
        self._library.scoreboard_stage(int(stage))

    def waited(self) -> int:
        return int(self._library.scoreboard_waited())

    def error(self, text: bytes) -> None:
        self._library.scoreboard_error(text)

    def lose(self, board: Scoreboard, lines: int, error: int) -> None:
        self._library.scoreboard_lost(self._ffi.from_buffer(board.memory), lines, error)

    def vacate(self, board: Scoreboard, index: int) -> None:
        self._library.kraal_slot_vacate(self._ffi.from_buffer(board.memory), index)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    library = tmp_path_factory.mktemp("scoreboard") / "scoreboard.so"
    sources = [NATIVE / f"{name}.c" for name in ("scoreboard", "ledger", "params", "waiting")]
    command: list[str | Path] = ["gcc", "-std=gnu11", "-shared", "-fPIC", *WARNINGS, "-o", library, *sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Writer(library)


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard(mmap.mmap(-1, size_for(3)))
    board.initialize()
    board.prepare(1)
    board.occupy(1, 4711)
    return board


def active(board: Scoreboard) -> int:
    return int(_ffi.cast("struct kraal_scoreboard *", _ffi.from_buffer(board.memory)).active)


PAGE = {
    b"REQUEST_METHOD": b"POST",
    b"SCRIPT_NAME": b"/app.php",
    b"QUERY_STRING": b"a=1",
    b"SCRIPT_FILENAME": b"/srv/app.php",
    b"CONTENT_LENGTH": b"12",
}


def test_request_is_read_as_it_was_written(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    writer.request(PAGE, user=b"eve")

    (worker,) = board.read().workers
    assert (worker.stage, worker.requests, worker.content_length) == (Stage.INFO, 1, 12)
    assert (worker.method, worker.uri, worker.query) == ("POST", "/app.php", "a=1")
    assert (worker.script, worker.user) == ("/srv/app.php", "eve")
    assert (board.read().accepted, board.read().max_active, active(board)) == (1, 1, 1)


def test_worker_is_idle_again_after_its_request(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    writer.request(PAGE)
    writer.stage(Stage.RUNNING)
    assert board.read().workers[0].stage is Stage.RUNNING
    writer.done(1 << 21)

    (worker,) = board.read().workers
    assert (worker.stage, worker.memory) == (Stage.IDLE, 1 << 21)
    assert worker.finished_ns >= worker.accepted_ns > 0
    assert worker.cpu_ns > 0
    assert active(board) == 0


def test_texts_of_the_last_request_leave_nothing_in_the_next(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    writer.request(PAGE, user=b"eve")
    writer.done(0)
    writer.request({b"SCRIPT_NAME": b"/b"})

    (worker,) = board.read().workers
    assert (worker.uri, worker.method, worker.query, worker.user, worker.script) == ("/b", "", "", "", "")
    writer.done(0)


@given(value=st.binary(max_size=700))
@settings(deadline=None, max_examples=50)
def test_text_of_any_length_is_cut_to_its_field(writer: Writer, value: bytes) -> None:
    board = Scoreboard(mmap.mmap(-1, size_for(1)))
    board.initialize()
    board.prepare(0)
    board.occupy(0, 1)
    writer.open(board, 0)
    writer.request(dict.fromkeys(PAGE, value))
    writer.done(0)

    (worker,) = board.read().workers
    text = value.partition(b"\0")[0]
    assert worker.method == text[:15].decode("utf-8", "replace")
    assert worker.query == text[:511].decode("utf-8", "replace")


def test_vacated_slot_is_free(writer: Writer, board: Scoreboard) -> None:
    writer.vacate(board, 1)

    assert board.read().workers == ()
    assert board.free_slot() == 0


def test_worker_that_died_in_a_request_is_no_longer_active(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    writer.request(PAGE)
    writer.vacate(board, 1)

    assert active(board) == 0


def test_count_of_active_workers_never_falls_below_zero(writer: Writer, board: Scoreboard) -> None:
    board.memory[HEADER + SLOT : HEADER + 2 * SLOT] = b"\xff" * SLOT
    writer.vacate(board, 1)

    assert active(board) == 0
    assert board.read().workers == ()


def test_without_a_scoreboard_nothing_is_written(writer: Writer) -> None:
    writer._library.scoreboard_open(writer._ffi.NULL, 0, -1)
    writer.request(PAGE)
    writer.stage(Stage.RUNNING)
    writer.done(1)


def rung(alarm: int) -> bool:
    try:
        return os.eventfd_read(alarm) > 0
    except BlockingIOError:
        return False


@pytest.fixture
def alarm() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def test_worker_that_makes_the_number_of_active_ones_rings_the_alarm_once(
    writer: Writer, board: Scoreboard, alarm: int
) -> None:
    writer.open(board, 1, alarm)
    writer.set_alarm(board, 1)
    writer.request(PAGE)
    assert rung(alarm)
    writer.done(0)
    writer.request(PAGE)
    assert not rung(alarm)
    writer.done(0)


@pytest.mark.parametrize("number", [0, 2])
def test_alarm_is_silent_before_its_number(
    writer: Writer, board: Scoreboard, alarm: int, number: int
) -> None:
    writer.open(board, 1, alarm)
    writer.set_alarm(board, number)
    writer.request(PAGE)
    assert not rung(alarm)
    writer.done(0)


def test_wait_before_the_worker_is_told(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    start = time.time() - 2
    writer.request(PAGE | {b"REQUEST_START": b"t=%d" % int(start * 1e6)})
    (worker,) = board.read().workers
    assert 2e9 <= worker.waited_ns == writer.waited() < 60e9
    writer.request(PAGE)
    assert board.read().workers[0].waited_ns == writer.waited() == -1


def test_error_is_that_of_the_request(writer: Writer, board: Scoreboard) -> None:
    writer.open(board, 1)
    writer.request(PAGE)
    writer.error(b"Warning: first")
    writer.error(b"Warning: " + b"x" * 1000)
    (worker,) = board.read().workers
    assert worker.error == "Warning: " + "x" * 502
    writer.request(PAGE)
    assert board.read().workers[0].error == ""


def test_lost_lines_are_counted(writer: Writer, board: Scoreboard) -> None:
    writer.lose(board, 2, 11)
    writer.lose(board, 3, 28)
    header = _ffi.cast("struct kraal_scoreboard *", _ffi.from_buffer(board.memory))
    assert (header.log_lost, header.log_error, board.untold()) == (5, 28, 5)
