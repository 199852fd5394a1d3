"""Going to the background: the parent stays until the child says that it serves."""

import os
import sys
from contextlib import suppress

from kraal.errors import Exit


class Waiter:
    """The child's word to its parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def succeed(self) -> None:
        """Let the parent exit with 0, and let go of the terminal."""
        with suppress(BrokenPipeError):  # somebody killed our parent: we serve all the same
            os.write(self._fd, bytes([Exit.OK]))
        os.close(self._fd)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)


def start() -> Waiter:
    """Fork.  Only the child returns; the parent exits when it succeeds or ends, as php-fpm's does."""
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(ours)
        _exit_as_told(pid, theirs)
    os.close(theirs)
    os.setsid()
    return Waiter(ours)


def _exit_as_told(pid: int, fd: int) -> None:
    if os.read(fd, 1):
        os._exit(Exit.OK)
    with suppress(ChildProcessError):  # whoever started us ignores SIGCHLD
        os.waitpid(pid, 0)
    os._exit(Exit.SOFTWARE)
