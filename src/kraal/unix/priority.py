"""The nice value of a process.

It can be raised by everybody and lowered by few.
"""

import os
from contextlib import suppress

_CAP_SYS_NICE = 23


def may_lower() -> bool:
    """Whether this process may lower its nice value."""
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
