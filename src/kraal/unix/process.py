"""Starting, ending and describing processes."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NewType

from kraal.fields import Frozen

Pid = NewType("Pid", int)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
# Descriptors below this may be targets in a new program, so copies are made above it.
_FIRST_FREE = 64
# What a program that we execute is not to inherit: how we treat these.
_OURS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class Exit(Frozen):
    """How a process ended."""

    pid: Pid
    code: int | None  # None: by a signal
    signal: int | None = None
    core: bool = False
    memory: int = 0  # bytes that it had at most

    def __str__(self) -> str:
        if self.signal is None:
            return f"with code {self.code}"
        core = " - core dumped" if self.core else ""
        return f"on signal {self.signal} ({_signal_name(self.signal)}{core})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _prctl(option: int, value: int) -> None:
    import ctypes  # a master does without

    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def die_with_parent(number: int) -> None:
    """Ask the kernel for this signal, or for 0 for none, when the process (its thread) that made us ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def allow_dumps() -> None:
    """Let debuggers attach and core files be written although the user was changed."""
    _prctl(_PR_SET_DUMPABLE, 1)


def forbid_new_privileges() -> None:
    """From now on set-user-ID bits and file capabilities of what is executed do not count."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def adopt_grandchildren(wanted: bool) -> None:
    """Whether children of our children become ours when these end; it lasts when we execute a program."""
    _prctl(_PR_SET_CHILD_SUBREAPER, wanted)


def open_standard_streams() -> None:
    """Open what our parent has closed: the next files would get these numbers, and be taken for streams."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (for the life of the process)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def keep_descriptors() -> None:
    """Keep what our own parent left open, standard streams aside, away from programs that we execute."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        # The listing's own descriptor is closed by now.
        with suppress(OSError):
            if fd > 2 and os.get_inheritable(fd):
                os.set_inheritable(fd, False)


def execute(argv: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[int]) -> Pid:
    """Start a program in a process group of its own, with descriptors at 3, 4, 5 and so on.

    The group keeps the terminal's Ctrl-C away from it and its children, and can be killed as a whole.  So
    would a session; but many kernels give each session an equal share of the CPU (sched(7), autogroup), and
    then nice values say nothing between them.
    """
    copies = [_high_copy(fd) for fd in descriptors]
    try:
        actions = [(os.POSIX_SPAWN_DUP2, copy, 3 + index) for index, copy in enumerate(copies)]
        return Pid(
            os.posix_spawn(
                argv[0],
                list(argv),
                environ,
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=_OURS,
            )
        )
    finally:
        for copy in copies:
            os.close(copy)


def _high_copy(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)


def spawn_again(
    command: Sequence[str], environ: Mapping[str, str], descriptors: Iterable[int], errors: int
) -> Pid:
    """Start a program in a process group of its own, with descriptors under the numbers they have here."""
    with _lent(descriptors):
        return Pid(
            os.posix_spawn(
                command[0],
                list(command),
                environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, errors, 2)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=_OURS,
            )
        )


def become_again(command: Sequence[str], environ: Mapping[str, str], descriptors: Iterable[int]) -> None:
    """Execute a program in our place, with these descriptors.  Returns only by raising OSError."""
    with _lent(descriptors):
        os.execve(command[0], list(command), environ)


@contextmanager
def _lent(descriptors: Iterable[int]) -> Iterator[None]:
    taken = list(descriptors)
    for fd in taken:
        os.set_inheritable(fd, True)
    try:
        yield
    finally:
        for fd in taken:
            os.set_inheritable(fd, False)


def is_child(pid: int) -> bool:
    """Whether a process is a child of ours that was not reaped."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap() -> Iterator[Exit]:
    """Children that have ended, each once."""
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if os.WIFSIGNALED(status):
            yield Exit(Pid(pid), None, os.WTERMSIG(status), os.WCOREDUMP(status), used.ru_maxrss << 10)
        else:
            yield Exit(Pid(pid), os.waitstatus_to_exitcode(status), memory=used.ru_maxrss << 10)


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except (ProcessLookupError, PermissionError):
        return False


def open_group(group: int) -> Iterator[int]:
    """Descriptors of the processes in a group: unlike a number, they mean nobody else later."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or not _in_group(int(name), group):
            continue
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(int(name))
            # Looked at again: the number may have gone to another process.
            if _in_group(int(name), group):
                yield fd
            else:
                os.close(fd)


def children(parent: int) -> set[int]:
    """The processes that have this parent."""
    found = set()
    for name in os.listdir("/proc"):
        # A process may end while it is looked at.
        with suppress(OSError, ValueError, IndexError):
            if name.isdigit() and _parent(int(name)) == parent:
                found.add(int(name))
    return found


def grandchildren(parent: int) -> set[int]:
    """The children of the processes that have this parent."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError, IndexError):
            if name.isdigit():
                parents[int(name)] = _parent(int(name))
    return {pid for pid, of in parents.items() if parents.get(of) == parent}


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def blocks(pid: int, number: int) -> bool:
    """Whether a process does not let a signal come to it."""
    with suppress(OSError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("SigBlk:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _state(pid: int) -> str:
    """One letter; none for a process that is gone."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0].decode()
    return ""


def is_stopped(pid: int) -> bool:
    """Whether somebody has stopped a process by a signal."""
    return _state(pid) == "T"


def where_it_waits(pid: int) -> str:
    """The state of a process and, if we may know, the function of the kernel in which it waits."""
    function = ""
    with suppress(OSError), open(f"/proc/{pid}/wchan") as file:
        function = file.read().strip("0\n")
    return f"state {_state(pid) or 'unknown'}{f', in {function}' if function else ''}"


def threads() -> int:
    """How many this process has; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def own_memory(pid: int) -> int:
    """Bytes in memory that are the process's own: what it shares as files or shared memory is left out."""
    with suppress(OSError), open(f"/proc/{pid}/statm") as file:
        _size, resident, shared, *_rest = map(int, file.read().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0


def proportional_memory(pid: int) -> int | None:
    """Bytes in memory, where what is shared counts in parts (PSS); None: we may not see that."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return None


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def send_group(pid: int, number: int) -> None:
    """Signal a process group that may be gone."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
