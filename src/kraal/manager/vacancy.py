"""The time in which a pool has no worker: somebody may be given away to it, or nobody comes for so long that
the manager is of no use either.
"""

from collections.abc import Callable

from kraal.unix.handoff import Handoff
from kraal.unix.loop import Loop, Timer


class Vacancy:
    """Sees that workers of an older generation give kept connections away, and how long nobody has."""

    def __init__(
        self,
        loop: Loop,
        handoff: Handoff,
        patience: float,
        *,
        offered: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        """Calls `offered` while connections wait to be taken, and `over` after so many seconds."""
        self._loop = loop
        self._handoff = handoff
        self._patience = patience
        self._offered = offered
        self._over = over
        self._timer: Timer | None = None

    def see(self, *, vacant: bool) -> None:
        """To be said again whenever that may have changed."""
        if vacant and not self._timer:
            self._loop.watch(self._handoff.fileno(), self._offered)
            self._timer = self._loop.call_later(self._patience, self._over)
        elif self._timer and not vacant:
            self._loop.unwatch(self._handoff.fileno())
            self._timer.cancel()
            self._timer = None
