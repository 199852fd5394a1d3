"""Let every pool finish speaking before the master says and does something.

What a worker wrote before a signal came to the master then stands in the log before what the master made
of the signal, although it comes through another process.
"""

from collections.abc import Callable, Iterable

from kraal.unix.channel import Channel, Kind
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid

# In seconds.  A manager that does not answer has other troubles.
PATIENCE = 0.25


class Hearing:
    """At most one hearing at a time."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._awaited: set[Pid] = set()
        self._then: Callable[[], None] | None = None
        self._timer: Timer | None = None

    def hold(
        self,
        managers: Iterable[tuple[Pid, Channel]],
        then: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        """Ask these managers to pass on what they have; when all did, or after a while, call `then`."""
        self._close()
        self._then = then
        self._awaited = {pid for pid, channel in managers if channel.offer(Kind.SPEAK)}
        self._timer = self._loop.call_later(patience, self._close)
        self._check()

    def heard(self, pid: Pid) -> None:
        """This manager has nothing left to say, or is gone."""
        self._awaited.discard(pid)
        self._check()

    def _check(self) -> None:
        if not self._awaited:
            self._close()

    def _close(self) -> None:
        if self._timer:
            self._timer.cancel()
        then, self._then = self._then, None
        if then:
            then()
