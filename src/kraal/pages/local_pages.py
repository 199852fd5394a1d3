"""The local pages, which kraal answers itself: status and ping, the same whoever of the pool answers."""

import time
from collections.abc import Callable

from kraal.boot import Order
from kraal.fields import Frozen
from kraal.memory.scoreboard import Scoreboard
from kraal.pages import status
from kraal.unix.queue import Depth

_MEMORY_PEAK_SINCE = (8, 4)
_NOT_FOUND = b"Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\nFile not found.\n"


class PageRequest(Frozen):
    """A request for a local page."""

    path: str
    method: str
    query: str


class LocalPages:
    """Those of one pool."""

    def __init__(
        self, order: Order, scoreboard: Scoreboard, depth: Callable[[], Depth], php_version: tuple[int, int]
    ) -> None:
        """`depth` looks at the pool's queue, and notes in the scoreboard what it finds."""
        self._order = order
        self._scoreboard = scoreboard
        self._depth = depth
        # Pages are those of the php-fpm of this PHP, to the letter: programs compare them.
        self._has_memory_peak = php_version >= _MEMORY_PEAK_SINCE

    def answer(self, request: PageRequest) -> bytes:
        """A response in CGI form."""
        if request.path == self._order.ping_path:
            return status.ping(self._order.ping_response, method=request.method)
        if request.path == self._order.status_path:
            return status.status(self._page(), method=request.method, query=request.query)
        return _NOT_FOUND

    def _page(self) -> status.Page:
        depth = self._depth()
        return status.Page(
            pool=self._order.pool,
            policy=self._order.policy,
            state=self._scoreboard.read(),
            now=time.time(),
            clock_ns=time.monotonic_ns(),
            listen_queue=depth.waiting,
            listen_queue_length=depth.limit,
            is_bounded=self._order.bounded,
            has_memory_peak=self._has_memory_peak,
        )
