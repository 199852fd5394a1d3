"""The files of access logs: opened by the master, whoever the pools run as, and written by their scribes."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from kraal.config.model import Pool
from kraal.errors import Exit, StartError
from kraal.unix.files import duplicate_own, open_to_append, open_with_care

_MODE = 0o600


def open_file(path: str) -> int:
    """Append to a file, never waiting for the reader of a pipe.  Raises StartError."""
    try:
        return _open(path)
    except OSError as error:
        text = f"failed to open access log ({path}): {error.strerror} ({error.errno})"
        raise StartError(text, exit=Exit.CONFIG) from error


def check(pools: Iterable[Pool]) -> None:
    """Open them all, and let go of them.  Raises StartError."""
    for pool in pools:
        if pool.access_log:
            os.close(open_file(pool.access_log))


def _open(path: str) -> int:
    own = duplicate_own(path)
    if own is not None:
        return own
    try:
        fd = open_to_append(path, os.O_NOCTTY | os.O_NONBLOCK, _MODE)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return _open_pipe(path)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        with suppress(PermissionError):
            both = _open_pipe(path)
            os.close(fd)
            return both
    os.set_blocking(fd, True)
    return fd


def _open_pipe(path: str) -> int:
    """For writing and reading: when its reader is gone, lines wait in it for the next one."""
    fd = open_with_care(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        # It was one a moment ago.
        os.close(fd)
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    os.set_blocking(fd, True)
    return fd
