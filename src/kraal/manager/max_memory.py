"""Weighs the workers of a pool: `pm.max_memory`."""

import os
from collections.abc import Callable

from kraal.logs.relay import Level
from kraal.manager import sizing
from kraal.manager.crew import Crew
from kraal.unix import process


class MaxMemory:
    """Looks from outside, so that requests do not pay for it."""

    def __init__(self, limit: int, crew: Crew, log: Callable[[int, str], None]) -> None:
        """`limit` is in bytes; 0 is none."""
        self._limit = limit
        self._crew = crew
        self._log = log

    def check(self) -> None:
        """Tell if nothing can be weighed."""
        if self._limit and not process.own_memory(os.getpid()):
            text = "pm.max_memory has no effect: there is no /proc to read it from (chroot?)"
            self._log(Level.WARNING, text)

    def too_heavy(self) -> int | None:
        """The process id of the worker that is to be replaced, if there is one; the log is told."""
        if not self._limit:
            return None
        sizes = self._crew.sizes()
        pid = sizing.too_large(sizes, self._limit)
        if pid is not None:
            text = f"child {pid} has {sizes[pid]} bytes of memory, more than pm.max_memory ({self._limit})"
            self._log(Level.NOTICE, f"{text}: replacing it")
        return pid
