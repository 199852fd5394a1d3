"""What a manager does for those who come: it counts who waits, and answers whom it can without a worker."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kraal import peers
from kraal.boot import Descriptor, Order
from kraal.gatekeeper import Gatekeeper
from kraal.listenqueue import ListenQueue
from kraal.localpages import LocalPages, PageRequest
from kraal.reception import Reception
from kraal.scoreboard import Scoreboard
from kraal.unix.loop import Loop

_MOST_GUESTS = 64
_PARAMS = (b"SCRIPT_NAME", b"REQUEST_METHOD", b"QUERY_STRING")


@dataclass(frozen=True, slots=True)
class Means:
    """What only PHP and the native library can do."""

    note_queue: Callable[[int, int], None]  # how many connections wait, and how many can
    powered_by: Callable[[], bytes]  # the header that PHP would put in front of an answer
    php_version: tuple[int, int]


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
        self._gatekeeper = Gatekeeper(loop, self.queue, scoreboard, count)
        self._pages = LocalPages(order, scoreboard, self.queue.look, means.php_version)
        self._powered_by = means.powered_by
        is_allowed = partial(peers.is_allowed, networks=order.allowed_clients)
        self._reception = Reception(loop, self._page, most=_MOST_GUESTS, is_allowed=is_allowed)
        self._listener = socket.socket(fileno=Descriptor.PAGES) if order.pages_apart else None

    def open(self) -> None:
        """Answer from now on."""
        if self._listener:
            self._reception.watch(self._listener)

    def keep(self) -> None:
        """To be said when there may be a first worker."""
        self._gatekeeper.keep()

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

    def close(self) -> None:
        """Answer nobody any more."""
        self.rest()
        self._reception.close()

    def close_in_child(self) -> None:
        """After fork: nothing of this is the worker's."""
        self._reception.close_in_child()
        if self._listener:
            self._listener.close()

    def _page(self, params: dict[bytes, bytes]) -> bytes:
        request = PageRequest(*(params.get(name, b"").decode("utf-8", "replace") for name in _PARAMS))
        return self._powered_by() + self._pages.answer(request)
