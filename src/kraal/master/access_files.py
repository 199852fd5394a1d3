"""The files of access logs: opened by the master, whoever the pools run as, and written by their scribes."""

import os
from collections.abc import Iterable

from kraal.config.model import Pool
from kraal.errors import Exit, StartError
from kraal.unix.files import duplicate_own, open_without_waiting


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
    fd = open_without_waiting(path)
    # The scribe may wait as long as it likes.
    os.set_blocking(fd, True)
    return fd
