"""A manager's messages to its master, which may be slow or stopped: the manager never waits for it."""

import time
from collections import deque
from collections.abc import Callable

from kraal.unix.channel import Channel, Kind
from kraal.unix.loop import Loop

# Enough for what a busy pool says while the master waits for its disk.
_MOST = 8 << 20
_MESSAGE_COST = 64  # what a short message takes at least


class Backlog:
    """Messages in their order, up to a size; what does not fit is dropped and counted.  No I/O."""

    def __init__(self, most: int, explain: Callable[[int], tuple[Kind, bytes]]) -> None:
        """`explain` makes the message that stands where so many lines were dropped."""
        self._most = most
        self._explain = explain
        self._messages: deque[tuple[Kind, bytes]] = deque()
        self._size = 0
        self._dropped = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    def put(self, kind: Kind, payload: bytes, lines: int = 1) -> None:
        """Add one, with so many lines of the log; what is none always fits."""
        droppable = kind in (Kind.LOG, Kind.OUTPUT, Kind.SLOW)
        # Once full it has to become half empty: few long gaps are easier to read around than many short ones.
        most = self._most // 2 if self._dropped else self._most
        if droppable and self._size + len(payload) > most:
            self._dropped += lines
            return
        self._explain_gap()
        self._append(kind, payload)

    def first(self) -> tuple[Kind, bytes]:
        """Look at the one that has waited longest."""
        return self._messages[0]

    def sent(self) -> None:
        """Forget that one."""
        _kind, payload = self._messages.popleft()
        self._size -= len(payload) + _MESSAGE_COST
        if not self._messages:
            self._explain_gap()

    def _explain_gap(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._append(*self._explain(dropped))

    def _append(self, kind: Kind, payload: bytes) -> None:
        self._messages.append((kind, payload))
        self._size += len(payload) + _MESSAGE_COST


class Outbox:
    """Sends at once if it can, and else as soon as the master has room."""

    def __init__(
        self, channel: Channel, loop: Loop, explain: Callable[[int], tuple[Kind, bytes]], most: int = _MOST
    ) -> None:
        """The loop watches the channel already when the first message is sent."""
        self._channel = channel
        self._loop = loop
        self._backlog = Backlog(most, explain)

    def send(self, kind: Kind, payload: bytes = b"", *, lines: int = 1) -> None:
        """Send now or later."""
        if self._backlog:
            self._backlog.put(kind, payload, lines)
        elif not self._channel.offer(kind, payload):
            self._backlog.put(kind, payload, lines)
            self._loop.watch_room(self._channel.fileno(), self._go_on)

    def flush(self, at_most: float) -> None:
        """Send what is left, before the end; a master that does not read in time goes without."""
        deadline = time.monotonic() + at_most
        while not self._send_some() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _go_on(self) -> None:
        if self._send_some():
            self._loop.unwatch_room(self._channel.fileno())

    def _send_some(self) -> bool:
        """Send what the master has room for.  Returns whether nothing is left."""
        while self._backlog:
            if not self._channel.offer(*self._backlog.first()):
                return False
            self._backlog.sent()
        return True
