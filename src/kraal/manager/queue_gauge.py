"""A look at the queue once a second, while there are workers: how deep it is, and has been, at most.

And one at OPcache, if something was asked meanwhile.
"""

from collections.abc import Callable

from kraal.memory.scoreboard import Scoreboard
from kraal.unix.loop import Loop, Timer
from kraal.worker.listen_queue import ListenQueue

_INTERVAL = 1.0


class QueueGauge:
    """Looks at the queue of a pool for those who have no time to look."""

    def __init__(
        self,
        loop: Loop,
        queue: ListenQueue,
        scoreboard: Scoreboard,
        count: Callable[[], tuple[int, int]],
        note_opcache: Callable[[], None],
    ) -> None:
        """`count` tells how many workers are idle and how many active."""
        self._loop = loop
        self._queue = queue
        self._scoreboard = scoreboard
        self._count = count
        self._note_opcache = note_opcache
        self._timer: Timer | None = None
        self._accepted = -1
        self._waited = False

    def keep(self) -> None:
        """Be there as long as there are workers.  To be said when the first of them has come."""
        if not self._timer and any(self._count()):
            self._timer = self._loop.call_later(_INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        idle, _active = self._count()
        accepted = self._scoreboard.accepted()
        # Where a worker is idle and nothing was asked, nothing waits: looking would cost more than all else.
        if not idle or self._waited or accepted != self._accepted:
            self._note_opcache()
            self._waited = self._queue.look().waiting > 0
            self._accepted = accepted
        self.keep()
