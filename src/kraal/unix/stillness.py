"""Whether a process did not run for a while, so that what was read of its memory meanwhile was whole.

Two looks prove it.  The kernel counts how often a process was taken off a processor: with the same count
before and after, one that slept has slept all the time.  And one that waits on our own processor has waited
all the time, unless it was moved to another one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kraal.fields import Frozen

_PROCESSOR = 36  # field of stat, behind the name; see proc(5)
_RUNNING = "R"
_MOST = 8192


class Hidden(Exception):
    """Nothing is to be seen of the process: it is gone, or /proc is."""


class Look(Frozen):
    """A process at one moment."""

    state: str  # a letter, see proc(5)
    switches: int  # how often it was taken off a processor

    @property
    def sleeps(self) -> bool:
        """Whether it neither runs nor waits for a processor."""
        return self.state != _RUNNING


def has_slept(before: Look, after: Look) -> bool:
    """Whether a process has slept all the time between two looks."""
    return before.switches == after.switches and before.sleeps and after.sleeps


def has_waited(before: Look, after: Look, *, first: int, last: int, ours: int) -> bool:
    """Whether a process has not run between two looks, while we ran on our processor and nowhere else.

    `first` is the processor that it was on before the first look, `last` that after the last one.
    """
    return before.switches == after.switches and first == last == ours


def look_in(status: bytes) -> Look:
    """What /proc/PID/status says.  Raises Hidden if it does not say it."""
    state = status.partition(b"State:\t")[2][:1].decode("ascii", "replace")
    counts = [line.split()[1] for line in status.splitlines() if b"_ctxt_switches:" in line]
    if not state or len(counts) < 2:
        raise Hidden("the kernel does not tell")
    return Look(state, sum(map(int, counts)))


def processor_in(stat: bytes) -> int:
    """What /proc/PID/stat says.  Raises Hidden if it does not say it."""
    # The name of a program may hold anything.
    fields = stat.rpartition(b")")[2].split()
    if len(fields) <= _PROCESSOR:
        raise Hidden("the kernel does not tell")
    return int(fields[_PROCESSOR])


class Process:
    """A process to look at, again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._files: dict[str, int] = {}

    def look(self) -> Look:
        """How it is.  Raises Hidden."""
        return look_in(self._read("status"))

    def processor(self) -> int:
        """The one that it is on, or was on last.  Raises Hidden."""
        return processor_in(self._read("stat"))

    def close(self) -> None:
        """Look no more."""
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def _read(self, name: str) -> bytes:
        try:
            fd = self._files.get(name)
            if fd is None:
                fd = self._files[name] = os.open(f"/proc/{self._pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(fd, _MOST, 0)
        except OSError as error:
            raise Hidden(str(error)) from error


@contextmanager
def own_processors() -> Iterator[None]:
    """Afterwards we run again wherever we ran before.

    Who may runs before all others meanwhile: whoever waits for his turn comes when the process pauses anyway,
    and would see it waiting more often than it waits.
    """
    before, policy, priority = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    hurries = _hurry()
    try:
        yield
    finally:
        if hurries:
            os.sched_setscheduler(0, policy, priority)
        os.sched_setaffinity(0, before)


def may_hurry() -> bool:
    """Whether we may run before others."""
    before, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    if not _hurry():
        return False
    os.sched_setscheduler(0, before, priority)
    return True


def _hurry() -> bool:
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return True
    return False


def run_on(processor: int) -> bool:
    """Run on this processor alone; False if that is not allowed."""
    with suppress(OSError):
        os.sched_setaffinity(0, {processor})
        return True
    return False
