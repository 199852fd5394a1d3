"""Opening files whose folder may be in the hands of a pool's user."""

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress

_PIPE_SIZE = 1 << 20
_MOST_LINKS = 40  # as the kernel's
# Links of the kernel, which only it can follow.
_KERNEL_S = ("/proc/", "/dev/fd/")
# Names of descriptors of our own.
_OWN_DESCRIPTOR = re.compile(r"/dev/(?:std(?P<name>in|out|err)|fd/(?P<a>\d+))|/proc/self/fd/(?P<b>\d+)")
_STREAMS = {"in": 0, "out": 1, "err": 2}


def open_to_append(path: str, flags: int = 0, mode: int = 0o600) -> int:
    """Append to a file, which is made if there is none.  Raises OSError."""
    return open_with_care(path, flags | os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)


def open_without_waiting(path: str, mode: int = 0o600) -> int:
    """Append to a file, or write to a named pipe whether or not somebody reads it.  Raises OSError.

    A pipe is opened at both its ends: what is written while its reader is gone waits for the next one.
    Writing to it does not wait; everything else is as usual.
    """
    try:
        fd = open_to_append(path, os.O_NOCTTY | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return _open_pipe(path)
    if not _is_pipe(fd):
        os.set_blocking(fd, True)
        return fd
    with suppress(PermissionError):
        both = _open_pipe(path)
        os.close(fd)
        return both
    return fd


def widen(fd: int) -> None:
    """Give a pipe as much room as it may have without privileges; leave anything else as it is."""
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _open_pipe(path: str) -> int:
    fd = open_with_care(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    if not _is_pipe(fd):
        # It was one a moment ago.
        os.close(fd)
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    return fd


def _is_pipe(fd: int) -> bool:
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


def duplicate_own(path: str) -> int | None:
    """A copy of a descriptor of our own, if the path names one.  Raises OSError.

    Opened once more, a file would be written from its beginning, another user's pipe perhaps not, and a
    socket not at all.
    """
    own = _OWN_DESCRIPTOR.fullmatch(path)
    if not own:
        return None
    fd = os.dup(int(_STREAMS[own["name"]] if own["name"] else own["a"] or own["b"]))
    os.set_inheritable(fd, False)
    return fd


def open_with_care(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a file, at its name through links of root and of our own only.  Raises OSError.

    Who may write to the folder would otherwise choose which of our files it is.
    """
    for _ in range(_MOST_LINKS):
        if path.startswith(_KERNEL_S):
            return os.open(path, flags, mode)
        try:
            return os.open(path, flags | os.O_NOFOLLOW, mode)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        path = os.path.join(os.path.dirname(path), _target(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _target(path: str) -> str:
    """Where a link leads."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Of what was opened: it may be exchanged while we look.
        found = os.fstat(fd)
        if not stat.S_ISLNK(found.st_mode) or found.st_uid not in (0, os.geteuid()):
            raise OSError(errno.EPERM, "it is a link of another user")
        return os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
