"""Letting others go first: what starts beside a server at work is to take little from it.

A nice value can be raised by everybody and lowered by few, so without a way back it stays as it is.
"""

import os
from contextlib import suppress

# These leave about a third of an equal share.
_STEPS = 5
_CAP_SYS_NICE = 23


def may_return() -> bool:
    """Whether this process may lower its nice value again."""
    with suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_NICE & 1)
    return False


def own() -> int:
    """The nice value of this process."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def take(nice: int) -> None:
    """Give this process a nice value."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)


def hold_back(nice: int, pid: int = 0) -> None:
    """Have this process, or one that was just started, go behind all with this nice value."""
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, nice + _STEPS)
