"""Whether a process has run meanwhile."""

import os
import signal
from collections.abc import Iterator

import pytest

from kraal.unix.stillness import (
    Hidden,
    Look,
    Process,
    has_slept,
    has_waited,
    look_in,
    own_processors,
    processor_in,
    run_on,
)
from tests.support.wait import wait_until

STATUS = (
    b"Name:\tState:\\tphp\nState:\tS (sleeping)\n"
    b"voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n"
)


@pytest.mark.parametrize(
    ("before", "after", "slept"),
    [
        (Look("S", 5), Look("S", 5), True),
        (Look("D", 5), Look("S", 5), True),
        (Look("S", 5), Look("S", 6), False),
        (Look("R", 5), Look("R", 5), False),
        (Look("R", 5), Look("S", 5), False),
        (Look("S", 5), Look("R", 5), False),
    ],
)
def test_a_sleeper_with_the_same_count_has_slept(before: Look, after: Look, slept: bool) -> None:
    assert has_slept(before, after) is slept


@pytest.mark.parametrize(
    ("after", "first", "last", "waited"),
    [
        (Look("R", 5), 1, 1, True),
        (Look("R", 6), 1, 1, False),
        (Look("R", 5), 0, 1, False),
        (Look("R", 5), 1, 0, False),
        (Look("R", 5), 0, 0, False),
    ],
)
def test_who_is_on_our_processor_with_the_same_count_has_waited(
    after: Look, first: int, last: int, waited: bool
) -> None:
    assert has_waited(Look("R", 5), after, first=first, last=last, ours=1) is waited


def test_switches_of_both_kinds_count() -> None:
    assert look_in(STATUS) == Look("S", 12)


@pytest.mark.parametrize("status", [b"", b"State:\tS\n", STATUS[:-30]])
def test_kernel_that_does_not_tell_is_not_believed(status: bytes) -> None:
    with pytest.raises(Hidden):
        look_in(status)


def test_processor_is_found_behind_any_name() -> None:
    fields = " ".join(["S", *map(str, range(4, 39)), "3", "0"])
    assert processor_in(f"7 (a) S 1 (b)) {fields}\n".encode()) == 3
    with pytest.raises(Hidden):
        processor_in(b"7 (a) S 1 2\n")


@pytest.fixture
def sleeper() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_sleeping_process_is_seen_to_sleep(sleeper: int) -> None:
    process = Process(sleeper)
    wait_until(lambda: process.look().state == "S", what="it sleeps")
    before = process.look()
    assert has_slept(before, process.look())

    os.kill(sleeper, signal.SIGCONT)  # wakes nobody
    assert process.processor() in os.sched_getaffinity(0)
    process.close()


def test_process_that_is_gone_is_hidden() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    process = Process(pid)
    os.waitpid(pid, 0)
    with pytest.raises(Hidden):
        process.look()


def test_processors_are_ours_again_afterwards() -> None:
    before = os.sched_getaffinity(0)
    with own_processors():
        assert run_on(min(before))
        assert os.sched_getaffinity(0) == {min(before)}
        assert not run_on(1 << 20)
    assert os.sched_getaffinity(0) == before
