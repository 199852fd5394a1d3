"""The stop ladder: which signal workers get, and when the next, harder one.

php-fpm's rules.  Only where `process_control_timeout` is not set do running requests get more time
than php-fpm gives them, which is none.
"""

import signal

from kraal.fields import Frozen

# For a gentle stop with process_control_timeout unset: enough for requests that a person waits for.
DEFAULT_QUIT_TIMEOUT = 30.0
_KILL_AGAIN = 1.0
# A worker that was told is not told again soon: signals cut PHP's sleep() short.
_A_DAY = 86400.0


class Step(Frozen):
    """Send `signal`; if somebody is left after `patience` seconds, take the next step."""

    signal: int
    patience: float


def drain_ladder(timeout: float | None) -> tuple[Step, ...]:
    """Finish what runs, for a reload: as a gentle stop, but without a time-out nobody is ended."""
    return quit_ladder(timeout) if timeout is not None else (Step(signal.SIGQUIT, _A_DAY),)


def quit_ladder(timeout: float) -> tuple[Step, ...]:
    """Finish what runs: SIGQUIT, then SIGTERM after the time-out, then SIGKILL."""
    return (
        Step(signal.SIGQUIT, timeout),
        Step(signal.SIGTERM, _KILL_AGAIN),
        Step(signal.SIGKILL, _KILL_AGAIN),
    )


def terminate_ladder(timeout: float) -> tuple[Step, ...]:
    """End at once: SIGTERM, whose default action ends a worker, then SIGKILL."""
    return (Step(signal.SIGTERM, max(timeout, _KILL_AGAIN)), Step(signal.SIGKILL, _KILL_AGAIN))


def duration(ladder: tuple[Step, ...]) -> float:
    """Seconds after which nobody can be left."""
    return sum(step.patience for step in ladder)
