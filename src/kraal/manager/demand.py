"""Noticing that connections wait while no worker is idle, without looking all the time.

While a worker is idle nobody has to look: whoever takes the last idle place rings the alarm (see bridge.h).
When none is, what they wait in tells itself.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from kraal.unix.loop import Loop, Timer

# A worker may be about to end its request: a connection that comes just then is no reason to act.
_PATIENCE = 0.002
# After a look that found nothing: workers that become idle and active all the time must not keep us busy.
_AFTER_VAIN_LOOK = 0.02


class Demand:
    """Calls `look` when it may be worth it, and is told by its answer whether it was."""

    def __init__(
        self,
        loop: Loop,
        entrances: Callable[[], set[int]],
        *,
        set_alarm: Callable[[int], None],
        count: Callable[[], tuple[int, int]],
        look: Callable[[], bool],
    ) -> None:
        """`entrances` gives what can be read when a connection waits.

        `set_alarm` has the alarm rung when there are so many active workers, or never for 0.

        `count` tells how many workers are idle and how many active.
        """
        self.alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._loop = loop
        self._entrances = entrances
        self._set_alarm = set_alarm
        self._count = count
        self._look = look
        self._watching: set[int] = set()
        self._timer: Timer | None = None
        self._vain = False
        self._loop.watch(self.alarm, self._stir)

    def keep(self) -> None:
        """Be there from now on.  To be said again when the number of workers has changed."""
        if self._timer:
            return
        idle, active = self._count()
        if idle:
            self._set_alarm(idle + active)
            # Whoever became active before that has not rung.
            idle, active = self._count()
        if not idle:
            self._set_alarm(0)
        self._watch(set() if idle else self._entrances())

    def rest(self) -> None:
        """Nothing could be done about it."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._stay_put()

    def _stay_put(self) -> None:
        self._set_alarm(0)
        self._watch(set())

    def _watch(self, wanted: set[int]) -> None:
        for fd in wanted - self._watching:
            self._loop.watch(fd, self._stir)
        for fd in self._watching - wanted:
            self._loop.unwatch(fd)
        self._watching = wanted

    def _stir(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.alarm)
        if self._timer:
            return
        self._stay_put()
        delay = _AFTER_VAIN_LOOK if self._vain else _PATIENCE
        # Without workers there is nobody to wait for.
        self._timer = self._loop.call_later(delay if any(self._count()) else 0, self._look_now)

    def _look_now(self) -> None:
        self._timer = None
        self._vain = not self._look()
