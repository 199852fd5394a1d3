"""The way from a master to the next one, which runs the code and the configuration of now.

First a *successor*, a process of its own, tries to start what the configuration says.  Only when all of it
serves does the master execute itself, with the same process id, and own what both have.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from kraal.config.model import Config
from kraal.errors import Exit
from kraal.fields import replace
from kraal.reload.estate import Estate, Inheritance, Task, inheritance_from, task_from, to_text
from kraal.unix import inherited, memory, parcels, process
from kraal.unix.process import Pid

# Messages of a successor to the master.
DESCRIPTORS, READY, FAILED = b"D", b"R", b"F"

# For the child or the process with an id, so that nobody else takes them for his.
_TASK = "KRAAL_TASK"
_INHERITANCE = "KRAAL_INHERITANCE"
# systemd's; they are for the master, and for whoever takes its place.
_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def command() -> list[str]:
    """How we were started."""
    return [sys.executable, *sys.orig_argv[1:]]


def shown_command() -> str:
    """The same as php-fpm shows it when it executes itself."""
    words = ", ".join(f'"{word}"' for word in sys.argv)
    return f'execvp("{sys.argv[0]}", {{{words}}})'


# ------------------------------------------------------------ in the master


def spawn_successor(task: Task, errors: int) -> Pid:
    """Start one; what it says before it can read its task goes to the descriptor of errors."""
    with ExitStack() as stack:
        note = memory.create_filled("kraal-task", to_text(task).encode())
        stack.callback(os.close, note)
        sockets = replace(task.estate, tenants=(), boards=()).descriptors()
        lent = [*sockets, task.line, task.stderr, note]
        environ = _environment() | {_TASK: f"{os.getpid()}:{note}"}
        return process.spawn_again(command(), environ, lent, errors)


def take_over(inheritance: Inheritance) -> None:
    """Execute ourselves.  Returns only by raising OSError; then nothing has changed."""
    note = memory.create_filled("kraal-inheritance", to_text(inheritance).encode())
    old, new = inheritance.old, inheritance.new
    lent = [*old.descriptors(), *old.orphans, old.report, *new.descriptors(), inheritance.config, note]
    environ = _environment() | {_INHERITANCE: f"{os.getpid()}:{note}"}
    try:
        process.become_again(command(), environ, lent)
    finally:
        os.close(note)


def _environment() -> dict[str, str]:
    own = {name: os.environ[name] for name in _SYSTEMD if name in os.environ}
    return inherited.without(os.environ) | own


# ------------------------------------------------------------ in whoever comes after it


def task() -> Task | None:
    """What we are to do as a successor, if we are one."""
    note = _note(os.environ, _TASK, os.getppid())
    return task_from(_read(note)) if note is not None else None


def inheritance() -> Inheritance | None:
    """What we have taken over, if we have."""
    note = _note(os.environ, _INHERITANCE, os.getpid())
    return inheritance_from(_read(note)) if note is not None else None


def _note(environ: Mapping[str, str], name: str, pid: int) -> int | None:
    for_whom, _, fd = environ.get(name, "").partition(":")
    return int(fd) if for_whom == str(pid) and fd.isdigit() else None


def _read(fd: int) -> str:
    with os.fdopen(fd, "rb") as file:
        return file.read().decode()


# ------------------------------------------------------------ between the two


def hand_over(line: socket.socket, estate: Estate, kept: Sequence[str], config: Config) -> None:
    """Give the master what was started; the descriptors keep their order and get other numbers."""
    import pickle  # starts do without

    fds = estate.descriptors()
    order = {fd: index for index, fd in enumerate(fds)}
    left = Inheritance(old=Estate(), new=estate.numbered(order.__getitem__), kept=tuple(kept))
    note = memory.create_filled("kraal-estate", to_text(left).encode())
    # Whoever reads it runs the same code as we do.
    plan = memory.create_filled("kraal-config", pickle.dumps(config))
    parcels.send(line, DESCRIPTORS, [note, plan, *fds])
    # The kernel drops descriptors for which the receiver has no room, and says nothing to us.
    line.send(READY + b"%d" % (2 + len(fds)))


def fail(task: Task, reasons: Sequence[str]) -> int:
    """Tell the master why nothing was handed over.  Returns our exit code."""
    text = "\n".join(reasons).encode("utf-8", "backslashreplace")
    # The master may be gone, or have heard enough.
    with suppress(OSError), socket.socket(fileno=os.dup(task.line)) as line:
        line.send(FAILED + text[: parcels.LONGEST - 1])
    return Exit.SOFTWARE


def received(descriptors: Sequence[int]) -> Inheritance:
    """Put together what a successor handed over."""
    note, plan, *fds = descriptors
    left = inheritance_from(os.pread(note, os.fstat(note).st_size, 0).decode())
    return Inheritance(old=Estate(), new=left.new.numbered(fds.__getitem__), kept=left.kept, config=plan)


def configuration(left: Inheritance) -> Config:
    """The configuration that the successor read."""
    import pickle

    with os.fdopen(left.config, "rb") as file:
        file.seek(0)  # it was written through this descriptor
        config: Config = pickle.load(file)
        return config
