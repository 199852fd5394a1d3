"""What the kernel tells of a process: whose child it is, how long it has run, how much memory it has."""

import os

from kraal.fields import Frozen

_TICK: int = os.sysconf("SC_CLK_TCK")
_PAGE: int = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat behind the name, see proc(5).
_PARENT, _CPU, _STARTED, _RSS = 1, slice(11, 15), 19, 21


class Vitals(Frozen, kw_only=True):
    """Of one process.  With `started` its number means nobody else."""

    parent: int
    started: int  # clock ticks since the boot
    cpu: float  # seconds, with those of its children that have ended
    rss: int  # bytes in memory, what it shares with others included


def read(pid: int) -> Vitals | None:
    """Those of a process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Vitals(
        parent=int(fields[_PARENT]),
        started=int(fields[_STARTED]),
        cpu=sum(map(int, fields[_CPU])) / _TICK,
        rss=int(fields[_RSS]) * _PAGE,
    )


def age(vitals: Vitals) -> float:
    """Seconds since a process was started."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - vitals.started / _TICK
