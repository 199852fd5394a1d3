"""Looking for connections that wait only when it may be worth it."""

import os
import socket
from collections.abc import Iterator

import pytest

from kraal.manager.demand import Demand
from kraal.unix.loop import Loop


class Scene:
    """A pool of so many idle and active workers that is told of each look."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.idle, self.active = 1, 0
        self.alarm = 0
        self.looks = 0
        self.found = True
        self.demand = Demand(
            self.loop,
            lambda: {self.listener.fileno()},
            set_alarm=self.set_alarm,
            count=self.count,
            look=self.look,
        )

    def count(self) -> tuple[int, int]:
        return self.idle, self.active

    def set_alarm(self, active: int) -> None:
        self.alarm = active

    def look(self) -> bool:
        self.looks += 1
        self.loop.stop()
        return self.found

    def ring(self) -> None:
        os.eventfd_write(self.demand.alarm, 1)

    def run(self) -> None:
        """Until somebody looks; when nobody does, until the patience of a test ends."""
        timer = self.loop.call_later(5, self.loop.stop)
        self.loop.run()
        timer.cancel()

    def run_at_most(self, seconds: float) -> None:
        timer = self.loop.call_later(seconds, self.loop.stop)
        self.loop.run()
        timer.cancel()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.loop.close_in_child()
    os.close(scene.demand.alarm)
    scene.listener.close()


def test_while_workers_are_idle_the_last_one_to_go_rings(scene: Scene) -> None:
    scene.idle, scene.active = 2, 3
    scene.demand.keep()
    assert scene.alarm == 5

    with socket.create_connection(scene.listener.getsockname()):
        scene.run_at_most(0.05)
        assert scene.looks == 0
    scene.ring()
    scene.run()
    assert scene.looks == 1


def test_without_an_idle_worker_the_listener_tells(scene: Scene) -> None:
    scene.idle, scene.active = 0, 2
    scene.demand.keep()
    assert scene.alarm == 0

    with socket.create_connection(scene.listener.getsockname()):
        scene.run()
    assert scene.looks == 1


def test_worker_that_becomes_active_before_the_alarm_is_set_is_not_missed(scene: Scene) -> None:
    def take_it(active: int) -> None:
        scene.alarm = active
        scene.idle, scene.active = 0, 1

    scene.demand._set_alarm = take_it
    scene.demand.keep()

    with socket.create_connection(scene.listener.getsockname()):
        scene.run()
    assert scene.looks == 1
    assert scene.alarm == 0


def test_nobody_looks_while_the_lookout_rests(scene: Scene) -> None:
    scene.idle = 0
    scene.demand.keep()
    with socket.create_connection(scene.listener.getsockname()):
        scene.demand.rest()
        scene.run_at_most(0.05)
    assert (scene.looks, scene.alarm) == (0, 0)


def test_connection_that_is_not_taken_does_not_keep_the_manager_busy(scene: Scene) -> None:
    """A look that finds nothing is followed by a pause."""
    scene.idle, scene.active, scene.found = 0, 1, False
    with socket.create_connection(scene.listener.getsockname()):
        started = scene.loop.now()
        for _ in range(4):
            scene.demand.keep()
            scene.run()
        assert scene.looks == 4
        assert scene.loop.now() - started >= 0.06
