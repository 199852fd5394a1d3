"""The scoreboard, read as what it is: memory that somebody else may have written."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kraal._native import _bridge

from kraal.fields import replace
from kraal.memory.scoreboard import (
    PoolState,
    Scoreboard,
    Stage,
    continued_header,
    fresh_header,
    size_for,
    tally,
)

ffi: Any = _bridge.ffi
HEADER = ffi.sizeof("struct kraal_scoreboard")
SLOT = ffi.sizeof("struct kraal_slot")


def fresh(slots: int = 2) -> Scoreboard:
    board = Scoreboard(mmap.mmap(-1, size_for(slots)))
    board.initialize()
    return board


def take(board: Scoreboard, index: int, pid: int) -> None:
    """Give a slot to a worker, as the manager does around its fork."""
    board.prepare(index)
    board.occupy(index, pid)


@contextmanager
def written(board: Scoreboard, index: int = 0) -> Iterator[Any]:
    """A slot, to write as a worker does."""
    slot = ffi.cast("struct kraal_slot *", ffi.from_buffer(board.memory) + HEADER + index * SLOT)
    slot.sequence += 1
    yield slot
    slot.sequence += 1


def test_stages_are_those_of_the_header() -> None:
    numbers = ffi.typeof("enum kraal_stage").relements

    assert {f"KRAAL_STAGE_{stage.name}": int(stage) for stage in Stage} == dict(numbers)


def test_fresh_scoreboard_has_no_workers() -> None:
    state = fresh().read()

    assert state.workers == ()
    assert (state.idle, state.active, state.accepted, state.slow) == (0, 0, 0, 0)


def test_header_that_is_there_is_left_as_it_is() -> None:
    memory = mmap.mmap(-1, size_for(2))
    memory.write(fresh_header(2, 1_000_000))
    board = Scoreboard(memory)
    board.count_reached()
    board.initialize()

    assert (board.read().started_at, board.read().max_children_reached) == (1_000_000, 1)


@pytest.mark.parametrize("slots", [1, 2, 50])
def test_next_manager_believes_nothing_that_slots_say_of_workers(slots: int) -> None:
    memory = mmap.mmap(-1, size_for(slots))
    memory.write(fresh_header(slots, 1_000_000))
    before = Scoreboard(memory)
    for index in range(slots):
        take(before, index, 4711 + index)
    header = ffi.cast("struct kraal_scoreboard *", ffi.from_buffer(memory))
    header.accepted = 7
    header.active = header.residents_active = header.parked = header.alarm = 9

    board = Scoreboard(memory)
    board.initialize()

    assert (board.read().workers, board.read().accepted, board.free_slot()) == ((), 7, 0)
    assert (header.active, header.residents_active, header.parked, header.alarm) == (0, 0, 0, 0)
    assert not any(memory[HEADER:])


def test_header_of_another_layout_is_written_anew() -> None:
    memory = mmap.mmap(-1, size_for(2))
    memory.write(fresh_header(3, 1_000_000))
    memory[HEADER:] = b"x" * (len(memory) - HEADER)
    board = Scoreboard(memory)
    board.initialize()

    assert board.read().started_at != 1_000_000
    assert board.read().workers == ()


def test_counters_go_on_in_another_file_but_not_what_workers_have_left_in_them() -> None:
    header = ffi.new("struct kraal_scoreboard *")
    ffi.memmove(header, fresh_header(2, 1_000_000), HEADER)
    header.accepted, header.slow, header.max_active = 7, 2, 5
    header.active, header.parked, header.alarm = 1, 1, 3
    before = bytes(ffi.buffer(header))

    ffi.memmove(header, continued_header(before), HEADER)

    assert (header.accepted, header.slow, header.max_active, header.started_at) == (7, 2, 5, 1_000_000)
    assert (header.active, header.parked, header.alarm) == (0, 0, 0)


def test_slot_is_free_until_it_is_occupied() -> None:
    board = fresh(2)
    assert board.free_slot() == 0

    take(board, 0, 100)
    assert board.free_slot() == 1
    take(board, 1, 101)

    assert board.free_slot() is None
    assert [worker.pid for worker in board.read().workers] == [100, 101]


def test_worker_that_was_just_forked_counts_as_idle() -> None:
    board = fresh()
    take(board, 0, 100)

    state = board.read()

    assert (state.idle, state.active) == (1, 0)


def test_slot_tells_what_its_worker_wrote() -> None:
    board = fresh()
    take(board, 1, 100)
    with written(board, 1) as slot:
        slot.stage = Stage.RUNNING
        slot.requests = 7
        slot.method = b"GET"
        slot.uri = b"/k\xc3\xa4se"
        slot.query = b"a=\xff"
        slot.memory = 1 << 40

    (worker,) = board.read().workers

    assert (worker.stage, worker.requests, worker.method, worker.memory) == (Stage.RUNNING, 7, "GET", 1 << 40)
    assert (worker.uri, worker.query) == ("/käse", "a=\ufffd")
    assert board.requests(1) == 7


def test_occupied_slot_keeps_nothing_of_the_worker_before() -> None:
    board = fresh()
    take(board, 0, 100)
    before = board.read().workers[0]
    with written(board) as slot:
        slot.requests = 7
        slot.uri = b"/secret"
    take(board, 0, 100)

    assert replace(board.read().workers[0], started_at=before.started_at) == before


def test_what_a_worker_wrote_before_its_manager_came_to_name_it_stays() -> None:
    board = fresh()
    board.prepare(0)
    with written(board) as slot:
        slot.requests = 1
        slot.holding = 1
    board.occupy(0, 100)

    with written(board) as slot:
        assert (slot.pid, slot.holding) == (100, 1)
    assert board.requests(0) == 1


def test_text_without_its_end_stops_at_the_end_of_its_field() -> None:
    board = fresh()
    take(board, 0, 100)
    with written(board) as slot:
        ffi.memmove(slot.method, b"x" * 16, 16)
        ffi.memmove(slot.user, b"y" * 32, 32)

    (worker,) = board.read().workers

    assert (worker.method, worker.user) == ("x" * 16, "y" * 32)


def test_torn_slot_is_read_all_the_same() -> None:
    board = fresh()
    take(board, 0, 100)
    with written(board) as slot:
        slot.requests = 5

        (worker,) = board.read().workers

    assert worker.requests == 5


@pytest.mark.parametrize("stage", [0, 7, 2**32 - 1])
def test_stage_that_nobody_knows_counts_as_running(stage: int) -> None:
    board = fresh()
    take(board, 0, 100)
    with written(board) as slot:
        slot.stage = stage

    assert board.read().workers[0].stage is Stage.RUNNING
    assert board.read().active == 1


@pytest.mark.parametrize("pid", [0, -1, -(2**31)])
def test_slot_without_a_pid_is_no_worker(pid: int) -> None:
    board = fresh()
    take(board, 0, 100)
    with written(board) as slot:
        slot.pid = pid

    assert board.read().workers == ()


def use(memory: bytes) -> PoolState:
    """Call everything on a scoreboard with this content."""
    board = Scoreboard(mmap.mmap(-1, max(len(memory), 1)))
    board.memory[: len(memory)] = memory
    state = board.read()
    slots = max(0, (len(memory) - HEADER) // SLOT)
    for index in range(slots):
        board.requests(index)
    if slots:
        index = board.free_slot() or 0
        take(board, index, 5)
    return state


@given(st.binary(min_size=SLOT, max_size=SLOT), st.binary(min_size=HEADER, max_size=HEADER))
@settings(deadline=None)
def test_random_memory_is_read_without_an_error(slot: bytes, header: bytes) -> None:
    state = use(header + slot)

    assert state.idle + state.active == len(state.workers) <= 1


@given(st.integers(min_value=HEADER, max_value=HEADER + 3 * SLOT), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_memory_of_any_size_is_read_without_an_error(size: int, random: Random) -> None:
    use(random.randbytes(size))


def test_memory_full_of_ones_is_read_without_an_error() -> None:
    assert use(b"\xff" * size_for(3)).workers == ()


def test_tally_counts_workers_and_what_the_header_says() -> None:
    board = fresh(4)
    for index, stage in enumerate((Stage.IDLE, Stage.RUNNING, Stage.FINISHING)):
        take(board, index, 100 + index)
        with written(board, index) as slot:
            slot.stage = stage
    header = ffi.cast("struct kraal_scoreboard *", ffi.from_buffer(board.memory))
    header.accepted, header.slow = 7, 2

    assert tally(bytes(board.memory)) == (2, 1, 7, 2)
