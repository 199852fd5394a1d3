"""Ends workers by SIGKILL, and says so: when it is sent, and at doubling intervals while it does not do."""

import signal
from collections.abc import Callable

from kraal.unix import process
from kraal.unix.process import Pid


class Kills:
    """Knows how often each worker of a pool was killed."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._times: dict[Pid, int] = {}

    def kill(self, pid: Pid, line: str) -> None:
        """Kill a worker, perhaps again; `line` is for the log when it is the first time."""
        self._times[pid] = times = self._times.get(pid, 0) + 1
        process.send(pid, signal.SIGKILL)
        if times == 1:
            self._warn(line)
        elif is_told(times):
            where = process.where_it_waits(pid)
            self._warn(f"child {pid} is still there after SIGKILL, which was sent {times} times: {where}")

    def forget(self, pid: Pid) -> None:
        """It is gone."""
        self._times.pop(pid, None)


def is_told(times: int) -> bool:
    """Whether the log is told of so many times.  They come a second apart, so intervals double."""
    return times & (times - 1) == 0
