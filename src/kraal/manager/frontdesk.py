"""What a manager does for those who come: it counts who waits, answers whom it can without a worker, and
turns away whom there is no room for.
"""

import socket
from collections.abc import Callable
from functools import partial

from kraal.boot import Descriptor, Order
from kraal.fastcgi.events import ParamsComplete
from kraal.fields import Frozen
from kraal.manager import shedding
from kraal.manager.overload import Bounds
from kraal.manager.queue_gauge import QueueGauge
from kraal.manager.shedding import Shedder
from kraal.memory.scoreboard import Scoreboard
from kraal.pages import peers
from kraal.pages.local_pages import LocalPages, PageRequest
from kraal.pages.responder import Responder
from kraal.unix.loop import Loop
from kraal.worker.listen_queue import ListenQueue

_MOST_GUESTS = 64
_PARAMS = (b"SCRIPT_NAME", b"REQUEST_METHOD", b"QUERY_STRING")


class Means(Frozen):
    """What others do for it."""

    note_queue: Callable[[int, int], None]  # how many connections wait, and how many can
    note_opcache: Callable[[], None]  # how it is
    powered_by: Callable[[], bytes]  # the header that PHP would put in front of an answer
    php_version: tuple[int, int]
    log: Callable[[int, bytes, int], None] | None  # see shedding.py
    is_full: Callable[[], bool]
    warn: Callable[[str], None]


class FrontDesk:
    """Of one pool."""

    def __init__(
        self,
        order: Order,
        loop: Loop,
        scoreboard: Scoreboard,
        count: Callable[[], tuple[int, int]],
        means: Means,
    ) -> None:
        """`count` tells how many workers are idle and how many active."""
        self.queue = ListenQueue(Descriptor.LISTENER, means.note_queue)
        self._loop = loop
        self._gauge = QueueGauge(loop, self.queue, scoreboard, count, means.note_opcache)
        self._pages = LocalPages(order, scoreboard, self.queue.look, means.php_version)
        self._powered_by = means.powered_by
        is_allowed = partial(peers.is_allowed, networks=order.allowed_clients)
        self._reception = Responder(loop, self._page, most=_MOST_GUESTS, is_allowed=is_allowed)
        self._listener = socket.socket(fileno=Descriptor.PAGES) if order.pages_apart else None
        self._shedder: Shedder | None = None
        self._paths = {path.encode() for path in (order.status_path, order.ping_path) if path}
        if order.bounded:
            self._shedder = Shedder(
                loop,
                Descriptor.LISTENER,
                self.queue,
                scoreboard,
                Bounds(order.queue_length, order.queue_wait),
                # On a listener that is the residents', the idle ones of the others take nobody.
                shedding.Means(
                    means.is_full,
                    lambda: 0 if order.residents else count()[0],
                    self._page_within,
                    means.warn,
                    means.log,
                ),
                max_children=order.max_children,
                is_allowed=is_allowed,
            )

    def open(self) -> None:
        """Answer from now on."""
        if self._listener:
            self._reception.watch(self._listener)

    def keep(self) -> None:
        """To be said when there may be a first worker."""
        self._gauge.keep()
        if self._shedder:
            self._shedder.keep()

    def waiting(self) -> int:
        """How many connections wait for a worker."""
        return self.queue.look().waiting

    def rest(self) -> None:
        """Leave those who connect from now on to the next generation, and let go of both listeners."""
        self.queue.close()
        if self._listener:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = None
        if self._shedder:
            self._shedder.rest()

    def close(self) -> None:
        """Answer nobody any more."""
        self.rest()
        self._reception.close()
        if self._shedder:
            self._shedder.close()

    def close_in_child(self) -> None:
        """After fork: nothing of this is the worker's."""
        self._reception.close_in_child()
        if self._listener:
            self._listener.close()
        if self._shedder:
            self._shedder.close_in_child()

    def _page_within(self, asked: ParamsComplete, fd: int) -> bytes | None:
        """The page, if it is one, that was asked for where requests come in."""
        return self._page(asked, fd) if asked.params.get(b"SCRIPT_NAME") in self._paths else None

    def _page(self, asked: ParamsComplete, _fd: int) -> bytes:
        params = asked.params
        request = PageRequest(*(params.get(name, b"").decode("utf-8", "replace") for name in _PARAMS))
        return self._powered_by() + self._pages.answer(request)
