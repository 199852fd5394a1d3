"""Decide who of those that wait for a worker is turned away.  Pure: no clock, no sockets.

The kernel's queue gives out who came first, so it is always those who have waited longest that are turned
away: they are the next to give up anyway, and who comes later gets a place at once.
"""

from collections import deque

from kraal.fields import Frozen

# Moments that are remembered within the longest wait: it is kept to one part of so many.
_MOMENTS = 32
_RETRY_AFTER = 5  # seconds
_BODY = b"503 Service Unavailable: too many requests wait already.\n"


class Bounds(Frozen):
    """What the configuration allows; 0 is no limit."""

    length: int = 0  # connections that may wait
    wait: int = 0  # seconds that one may


class Arrivals:
    """Remembers how many connections had come when, so that one knows how many have waited for too long."""

    def __init__(self, wait: float) -> None:
        """`wait` is the longest, in seconds."""
        self._wait = wait
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """So many have ever come: those that were taken, and those that wait."""
        if not self._seen or now - self._seen[-1][0] >= self._wait / _MOMENTS:
            self._seen.append((now, total))

    def overdue(self, now: float, taken: int) -> int:
        """How many of those who wait have done so for too long, when so many were ever taken."""
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._wait:
            self._seen.popleft()
        if not self._seen or self._seen[0][0] > now - self._wait:
            return 0
        return max(0, self._seen[0][1] - taken)

    def forget(self) -> None:
        """Nobody waits."""
        self._seen.clear()


def excess(bounds: Bounds, waiting: int, overdue: int) -> int:
    """How many are to be turned away."""
    too_many = waiting - bounds.length if bounds.length else 0
    too_long = min(overdue, waiting) if bounds.wait else 0
    return max(0, too_many, too_long)


def response(method: bytes) -> bytes:
    """What they get, in CGI form."""
    head = (
        b"Status: 503 Service Unavailable\r\n"
        b"Retry-After: %d\r\n"
        b"Cache-Control: no-store\r\n"
        b"Content-Type: text/plain\r\n\r\n"
    )
    return head % _RETRY_AFTER + (b"" if method == b"HEAD" else _BODY)


def line(count: int, seconds: float, max_children: int, bounds: Bounds) -> str:
    """What the log says of it."""
    limits = [f"pm.max_children = {max_children}"]
    if bounds.length:
        limits.append(f"queue.max_length = {bounds.length}")
    if bounds.wait:
        limits.append(f"queue.max_wait = {bounds.wait}s")
    requests = "1 request was" if count == 1 else f"{count} requests were"
    within = f"{int(seconds) + 1} s ({', '.join(limits)})"
    return f"overloaded, all workers are busy: {requests} turned away with status 503 within {within}"
