"""The table of a pool's workers, and what their slots say of them."""

import mmap
import os
from typing import Any

import pytest
from kraal._native import _bridge

from kraal.manager.crew import Asked, Crew
from kraal.memory.scoreboard import Scoreboard, Stage, size_for
from kraal.unix.process import Pid

ffi: Any = _bridge.ffi


class Scene:
    """Three workers, in slots 0 to 2, with pids 100 to 102, that started at 10, 11 and 12."""

    def __init__(self) -> None:
        self.board = Scoreboard(mmap.mmap(-1, size_for(3)))
        self.board.initialize()
        self.crew = Crew(self.board)
        for slot in range(3):
            self.board.prepare(slot)
            self.board.occupy(slot, 100 + slot)
            self.crew.join(Pid(100 + slot), slot, 10.0 + slot)

    def slot(self, index: int) -> Any:
        header = ffi.sizeof("struct kraal_scoreboard")
        size = ffi.sizeof("struct kraal_slot")
        return ffi.cast("struct kraal_slot *", ffi.from_buffer(self.board.memory) + header + index * size)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_new_workers_are_idle_since_they_were_started(scene: Scene) -> None:
    seen = scene.crew.look(20.0, waiting=4)

    assert seen.idle == {100: 10.0, 101: 9.0, 102: 8.0}
    assert (seen.active, seen.leaving, seen.waiting, seen.total) == (0, 0, 4, 3)


def test_worker_is_idle_since_its_last_request(scene: Scene) -> None:
    scene.slot(0).finished_ns = 18_500_000_000

    assert scene.crew.look(20.0).idle[100] == 1.5


def test_worker_with_a_request_is_active(scene: Scene) -> None:
    scene.slot(1).stage = Stage.RUNNING

    assert scene.crew.look(20.0).active == 1
    assert scene.crew.count() == (2, 1)


def test_worker_that_was_asked_to_leave_is_neither_idle_nor_active_but_may_still_have_a_request(
    scene: Scene,
) -> None:
    scene.crew.ask(100, Asked.SPARE)
    scene.crew.ask(101, Asked.REPLACED)
    scene.slot(1).stage = Stage.RUNNING
    seen = scene.crew.look(20.0)

    assert (set(seen.idle), seen.active, seen.leaving, seen.total) == ({102}, 0, 2, 3)
    assert scene.crew.count() == (1, 1)
    assert [worker.pid for worker in scene.crew.leaving] == [100, 101]
    assert [worker.pid for worker in scene.crew.staying] == [102]


def test_worker_that_is_gone_is_forgotten(scene: Scene) -> None:
    gone = scene.crew.part(Pid(101))

    assert gone is not None
    assert (gone.slot, len(scene.crew)) == (1, 2)
    assert scene.crew.part(Pid(101)) is None


def test_memory_is_that_of_workers_that_stay_and_have_served_something(scene: Scene) -> None:
    pid = Pid(os.getpid())
    scene.crew.part(Pid(101))
    scene.crew.join(pid, 1, 11.0)
    scene.crew.ask(102, Asked.SPARE)
    scene.slot(1).requests = scene.slot(2).requests = 1

    sizes = scene.crew.sizes()
    assert set(sizes) == {pid}
    assert sizes[pid] > 1 << 20
