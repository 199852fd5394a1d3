"""Processes that a killed manager has left, and a master that has other things to open."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kraal.master.orphans import Orphans
from kraal.unix.loop import Loop
from kraal.unix.process import Pid
from tests.support import processes
from tests.support.wait import wait_until

MANY = 60
LIMIT = 256


@pytest.fixture
def group() -> Iterator[Pid]:
    """A group of many processes."""
    leader = subprocess.Popen(
        ["sh", "-c", f"for i in $(seq {MANY}); do sleep 60 & done; wait"], process_group=0
    )
    try:
        wait_until(lambda: len(processes.children(leader.pid)) == MANY, what="all are there")
        yield Pid(leader.pid)
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


@pytest.fixture
def limited() -> Iterator[None]:
    """As many descriptors as the master is to have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("taken", [0, LIMIT - 40, LIMIT - 1], ids=["many free", "few free", "none free"])
def test_what_is_left_behind_leaves_descriptors_for_the_rest(group: Pid, limited: None, taken: int) -> None:
    orphans = Orphans(Loop())
    with ExitStack() as stack:
        stack.callback(orphans.end)
        fd = 0
        while fd < taken:
            fd = os.open(os.devnull, os.O_RDONLY)
            stack.callback(os.close, fd)
        orphans.adopt(group)

        found = orphans.descriptors()
        assert len(found) <= LIMIT // 8
        assert bool(found) == (taken < LIMIT - 32)
        assert all(fd < LIMIT - 32 for fd in found)


def test_processes_that_were_left_are_killed_in_the_end(group: Pid) -> None:
    orphans = Orphans(Loop())
    orphans.adopt(group)
    assert len(orphans.descriptors()) == MANY + 1

    orphans.end()

    wait_until(lambda: not processes.children(group), what="they are gone")
