"""What systemd hears of a master that runs: how much there is to do, and that it is alive at all."""

from collections.abc import Callable, Mapping

from kraal.fields import Frozen
from kraal.unix import notify
from kraal.unix.loop import Loop

# A ping that is late for this part of the time-out does no harm.
_EARLY = 4


class Pulse(Frozen):
    """All pools together."""

    active: int = 0
    idle: int = 0
    requests: int = 0
    slow: int = 0


def status(pulse: Pulse, before: int, interval: float) -> str:
    """php-fpm's text; `before` is the number of requests an interval ago."""
    traffic = max(0, pulse.requests - before) / interval
    return (
        f"Processes active: {pulse.active}, idle: {pulse.idle}, Requests: {pulse.requests},"
        f" slow: {pulse.slow}, Traffic: {traffic:.2f}req/sec"
    )


class Heartbeat:
    """Beats only while the loop runs, so a master that is stuck is missed."""

    def __init__(self, loop: Loop, environ: Mapping[str, str], look: Callable[[], Pulse]) -> None:
        self._loop = loop
        self._environ = environ
        self._look = look
        self._requests = 0

    def begin(self, interval: float, pid: int) -> None:
        """Tell how things are every so many seconds, unless that is 0; `pid` is who systemd knows us as."""
        if not notify.is_wanted(self._environ):
            return
        if interval:
            self._loop.call_later(interval, lambda: self._report(interval))
        if patience := notify.watchdog(self._environ, pid):
            self._ping(patience / _EARLY)

    def _report(self, interval: float) -> None:
        pulse = self._look()
        notify.status(self._environ, status(pulse, self._requests, interval))
        self._requests = pulse.requests
        self._loop.call_later(interval, lambda: self._report(interval))

    def _ping(self, interval: float) -> None:
        notify.alive(self._environ)
        self._loop.call_later(interval, lambda: self._ping(interval))
