"""The shedder of a pool: when it looks, whom it lets in, and what it says."""

import mmap
import socket
from collections.abc import Iterator

import pytest

from kraal.manager.overload import Bounds
from kraal.manager.shedding import Means, Shedder
from kraal.memory import scoreboard
from kraal.memory.scoreboard import Scoreboard
from kraal.unix import queue
from kraal.unix.loop import Loop
from kraal.unix.queue import Depth
from kraal.worker.listen_queue import ListenQueue
from tests.support.fastcgi import Connection, packet

REQUEST = packet({"SCRIPT_NAME": "/a.php", "REQUEST_METHOD": "GET"})


class Queue(ListenQueue):
    """One that says what the test likes, or what the kernel does."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.fileno(), lambda waiting, limit: None)
        self._socket = listener
        self.limit: int | None = None
        self.looks = 0

    def look(self) -> Depth:
        self.looks += 1
        found = queue.look(self._socket.fileno())
        return found if self.limit is None else Depth(found.waiting, self.limit)


class Scene:
    """A pool whose workers never take anybody."""

    def __init__(self, bounds: Bounds) -> None:
        self.loop = Loop()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.queue = Queue(self.listener)
        self.board = Scoreboard(mmap.mmap(-1, scoreboard.size_for(1)))
        self.full, self.spare = True, 0
        self.said: list[str] = []
        self.shedder = Shedder(
            self.loop,
            self.listener.fileno(),
            self.queue,
            self.board,
            bounds,
            Means(lambda: self.full, lambda: self.spare, lambda asked, fd: None, self.said.append, None),
            max_children=5,
            is_allowed=lambda address: True,
        )
        self.clients: list[Connection] = []

    def come(self, number: int) -> None:
        for _ in range(number):
            self.clients.append(Connection(self.listener.getsockname()))
            self.clients[-1].send(REQUEST)

    @property
    def turned_away(self) -> int:
        return self.board.read().turned_away

    def run(self, seconds: float) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run()

    def run_until_turned_away(self, number: int) -> None:
        for _ in range(100):
            if self.turned_away < number:
                self.run(0.05)
        assert self.turned_away == number

    def close(self) -> None:
        self.shedder.rest()
        self.shedder.close()
        for client in self.clients:
            client.close()
        self.loop.close_in_child()
        self.listener.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene(Bounds(length=2))
    yield scene
    scene.close()


def test_nobody_looks_while_nobody_waits(scene: Scene) -> None:
    scene.shedder.keep()
    before = scene.queue.looks
    scene.run(0.1)
    assert scene.queue.looks == before


def test_excess_is_turned_away_and_told_of_in_one_line(scene: Scene) -> None:
    scene.shedder.keep()
    scene.come(40)
    scene.run_until_turned_away(38)
    assert [client.response().status for client in scene.clients[:38]] == [503] * 38
    scene.shedder.rest()
    scene.shedder.close()
    (line,) = scene.said
    assert line.startswith("overloaded, all workers are busy: 38 requests were turned away")


def test_nobody_is_turned_away_while_the_pool_can_grow(scene: Scene) -> None:
    scene.full = False
    scene.shedder.keep()
    scene.come(5)
    scene.run(0.1)
    assert scene.turned_away == 0
    scene.full = True
    scene.run_until_turned_away(3)


def test_whom_idle_workers_are_about_to_take_does_not_count(scene: Scene) -> None:
    scene.spare = 2
    scene.shedder.keep()
    scene.come(5)
    scene.run_until_turned_away(1)
    scene.run(0.1)
    assert scene.turned_away == 1


def test_limit_that_cannot_be_kept_is_told_once(scene: Scene) -> None:
    scene.queue.limit = 0
    scene.shedder.keep()
    scene.shedder.keep()
    (line,) = scene.said
    assert line.startswith("queue.max_length has no effect: the kernel does not tell")


def test_who_rests_turns_nobody_away(scene: Scene) -> None:
    scene.shedder.keep()
    scene.come(5)
    scene.shedder.rest()
    scene.shedder.rest()
    scene.shedder.keep()
    scene.run(0.1)
    assert scene.turned_away == 0
