"""Wait for a condition, never for a time."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.01
# Under sanitizers and valgrind everything takes longer.
PATIENCE = float(os.environ.get("KRAAL_TEST_PATIENCE", "1"))


class NeverHappened(AssertionError):
    """What a test waited for did not come to pass in time."""


def wait_until(predicate: Callable[[], T], *, at_most: float = 10.0, what: str) -> T:
    """Return the first true value of the predicate."""
    deadline = time.monotonic() + at_most * PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NeverHappened(f"not within {at_most:g} seconds: {what}")
        time.sleep(INTERVAL)
