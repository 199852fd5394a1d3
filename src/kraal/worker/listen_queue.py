"""The queue of a pool's listener, as those look at it who have it open."""

import os
from collections.abc import Callable

from kraal.unix import queue
from kraal.unix.queue import Depth


class ListenQueue:
    """Every look is noted for the status pages."""

    def __init__(self, listener: int, note: Callable[[int, int], None]) -> None:
        """`note` takes how many connections wait, and how many can."""
        self._listener: int | None = listener
        self._note = note

    def look(self) -> Depth:
        """How deep it is now; empty for whoever has let go of it."""
        if self._listener is None:
            return Depth(0)
        depth = queue.look(self._listener)
        self._note(depth.waiting, depth.limit)
        return depth

    def close(self) -> None:
        """Let go of the listener: who waits is not our business any more."""
        if self._listener is not None:
            os.close(self._listener)
            self._listener = None
