"""The queue of a pool's listener, as those look at it who have it open."""

from collections.abc import Callable

from kraal.unix import queue
from kraal.unix.queue import Depth


class ListenQueue:
    """Every look is noted for the status pages."""

    def __init__(self, listener: int, note: Callable[[int, int], None]) -> None:
        """`note` takes how many connections wait, and how many can."""
        self._listener = listener
        self._note = note

    def look(self) -> Depth:
        """How deep it is now."""
        depth = queue.look(self._listener)
        self._note(depth.waiting, depth.limit)
        return depth
