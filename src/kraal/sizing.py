"""Decide how many workers a pool should have.

Arithmetic only: no clock, no fork, no signals.  The manager carries out what it returns.
"""

# A worker that dies younger than this without having served anything did not start properly.
HEALTHY_AGE = 1.0
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0


def missing(wanted: int, alive: int) -> int:
    """How many workers to start now."""
    return max(0, wanted - alive)


def is_failed_start(age: float, requests: int) -> bool:
    """Whether a worker that ended looks as if it could not start."""
    return age < HEALTHY_AGE and requests == 0


def respawn_delay(failed_starts: int) -> float:
    """Seconds to wait before the next worker, after so many failed starts in a row.

    The first failure costs nothing: a worker may be killed young.  Then the delay doubles.
    """
    if failed_starts <= 1:
        return 0.0
    return float(min(_FIRST_DELAY * 2 ** min(failed_starts - 2, 10), _LONGEST_DELAY))
