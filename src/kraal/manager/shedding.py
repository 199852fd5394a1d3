"""Turns away those whom the queue has no room for: they get a 503 from the manager, and no time-out.

While nobody waits nothing is done.  Who waits makes the listener readable: then the queue is looked at,
fifty times a second at most, until nobody does.  What is too much is decided in `overload`.
"""

import os
import socket
from collections.abc import Callable

from kraal.fastcgi import records
from kraal.fastcgi.events import ParamsComplete
from kraal.fields import Frozen
from kraal.manager import overload
from kraal.manager.overload import Arrivals, Bounds
from kraal.memory.scoreboard import Scoreboard
from kraal.pages.responder import Responder
from kraal.unix.loop import Loop, Timer
from kraal.worker.listen_queue import ListenQueue

_INTERVAL = 0.02
_AT_ONCE = 16  # let in, before others have their turn
_MOST_GUESTS = 256
# The log is told when nobody was turned away for so long, and once in a while if it goes on.
_QUIET = 1.0
_LONG = 60.0


class Means(Frozen):
    """What others do for it."""

    is_full: Callable[[], bool]  # whether those who wait get no further worker
    spare: Callable[[], int]  # how many workers are about to take one of them
    page: Callable[[ParamsComplete, int], bytes | None]  # the answer, if a local page is asked for
    warn: Callable[[str], None]
    log: Callable[[int, bytes, int], None] | None  # a line of the access log: connection, params, status


class Shedder:
    """Of one pool."""

    def __init__(
        self,
        loop: Loop,
        listener: int,
        queue: ListenQueue,
        scoreboard: Scoreboard,
        bounds: Bounds,
        means: Means,
        *,
        max_children: int,
        is_allowed: Callable[[str], bool],
    ) -> None:
        self._loop = loop
        # A descriptor of our own: others watch the listener as well.
        self._listener = socket.socket(fileno=os.dup(listener))
        self._queue = queue
        self._scoreboard = scoreboard
        self._bounds = bounds
        self._means = means
        self._max_children = max_children
        self._reception = Responder(loop, self._answer, most=_MOST_GUESTS, is_allowed=is_allowed, keep=False)
        self._arrivals = Arrivals(bounds.wait)
        self._let_in = 0
        self._begun = self._over = False
        self._timer: Timer | None = None
        # Turned away, and not told of; since when, and when the last time.
        self._untold = 0
        self._since = self._last = 0.0
        self._telling: Timer | None = None

    def keep(self) -> None:
        """Be there from now on."""
        if self._begun or self._over:
            return
        self._begun = True
        if self._bounds.length and not self._queue.look().limit:
            self._means.warn(
                "queue.max_length has no effect: the kernel does not tell how many connections wait"
            )
        self._wait()

    def rest(self) -> None:
        """Leave those who wait to the next generation."""
        if self._over:
            return
        self._over = True
        if self._timer:
            self._timer.cancel()
        elif self._begun:
            self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def close(self) -> None:
        """After `rest`: turn out who is left."""
        self._reception.close()
        self._tell()

    def close_in_child(self) -> None:
        """After fork: nothing of this is the worker's."""
        self._reception.close_in_child()
        self._listener.close()

    # ------------------------------------------------------------ the queue

    def _wait(self) -> None:
        self._loop.watch(self._listener.fileno(), self._stir)

    def _stir(self) -> None:
        self._loop.unwatch(self._listener.fileno())
        self._timer = self._loop.call_later(_INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting, excess = self._see()
        if not waiting:
            self._arrivals.forget()
            self._wait()
            return
        let_in = 0
        if self._means.is_full():
            while excess and let_in < _AT_ONCE and self._reception.let_in(self._listener):
                let_in += 1
                self._let_in += 1
                _, excess = self._see()
        self._timer = self._loop.call_later(0 if let_in == _AT_ONCE else _INTERVAL, self._look)

    def _see(self) -> tuple[int, int]:
        """How many wait, and how many of them are to be turned away."""
        # What workers take meanwhile makes it less, and not more, that seems to have come.
        taken = self._taken()
        waiting = self._queue.look().waiting
        now = self._loop.now()
        self._arrivals.note(now, taken + waiting)
        overdue = self._arrivals.overdue(now, self._taken())
        # Who will be taken at once does not wait for a worker.
        spare = self._means.spare()
        return waiting, overload.excess(self._bounds, waiting - spare, overdue - spare)

    def _taken(self) -> int:
        return self._scoreboard.connections() + self._let_in

    # ------------------------------------------------------------ who was let in

    def _answer(self, asked: ParamsComplete, fd: int) -> bytes:
        response, status = self._means.page(asked, fd), 200
        if response is None:
            response, status = overload.response(asked.params.get(b"REQUEST_METHOD", b"")), 503
            self._count()
        if self._means.log:
            self._means.log(fd, records.encode_pairs(asked.pairs), status)
        return response

    def _count(self) -> None:
        self._scoreboard.count_turned_away()
        self._last = self._loop.now()
        self._untold += 1
        if not self._telling:
            self._since = self._last
            self._telling = self._loop.call_later(_QUIET, self._consider_telling)

    def _consider_telling(self) -> None:
        now = self._loop.now()
        if now - self._last < _QUIET and now - self._since < _LONG:
            self._telling = self._loop.call_later(_QUIET, self._consider_telling)
        else:
            self._tell()

    def _tell(self) -> None:
        if self._telling:
            self._telling.cancel()
            self._telling = None
        if self._untold:
            seconds = self._last - self._since
            self._means.warn(overload.line(self._untold, seconds, self._max_children, self._bounds))
        self._untold = 0
