"""Writes slow requests down: the manager sees them, the master has the file."""

import time
from collections.abc import Iterator

from kraal.boot import Order
from kraal.logs.relay import Relay
from kraal.logs.slow import Entry, frames_for
from kraal.manager.slowness import Slow
from kraal.manager.stacks import Stacks
from kraal.memory.layout import Layout
from kraal.memory.scoreboard import Scoreboard, WorkerState
from kraal.unix.channel import MAX_MESSAGE
from kraal.unix.loop import Loop


class SlowRequests:
    """The manager's part."""

    def __init__(
        self, order: Order, layout: Layout, loop: Loop, scoreboard: Scoreboard, relay: Relay
    ) -> None:
        self.timeout = float(order.slow_timeout)
        self.stacks = Stacks(loop, layout, scoreboard)
        self._pool = order.pool
        self._depth = order.slow_depth
        self._scoreboard = scoreboard
        self._relay = relay

    def write_down(self, slow: Slow, slot: int, state: WorkerState) -> None:
        """Look at a worker whose request is slow, and tell the master."""
        found = self.stacks.look(slow.pid, slot, frames_for(self._depth))
        ended = self._scoreboard.requests(slot) != slow.request
        self._scoreboard.count_slow()
        text = Entry(self._pool, state, found, ended=ended).text(self._depth, time.time())
        for piece in pieces(text.encode("utf-8", "backslashreplace"), MAX_MESSAGE - 1):
            self._relay.write_down(piece)


def pieces(text: bytes, most: int) -> Iterator[bytes]:
    """Whole lines, so many bytes at a time; what is longer by itself is cut."""
    while len(text) > most:
        end = text.rfind(b"\n", 0, most) + 1 or most
        yield text[:end]
        text = text[end:]
    yield text
