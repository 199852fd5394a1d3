"""The files of the slow logs, which the master writes; see `slow_requests` for who sees what is written.

A file is opened for each entry, as by php-fpm, so that it may be moved away at any time.
"""

import os
from collections.abc import Iterable

from kraal.config.model import Pool
from kraal.errors import StartError
from kraal.logs.error import ErrorLog
from kraal.unix.files import open_to_append


def check(pools: Iterable[Pool]) -> None:
    """Make the files that are to be written, while there is a way back.  Raises StartError."""
    for pool in pools:
        if pool.request_slowlog_timeout and pool.slowlog:
            _append(pool.slowlog, b"")


def write(pool: Pool | None, lines: bytes, log: ErrorLog) -> None:
    """Write what the manager of a pool has to say, if the configuration still has the pool."""
    if pool and pool.slowlog:
        try:
            _append(pool.slowlog, lines)
        except StartError as error:
            log.error(f"[pool {pool.name}] {error}")


def _append(path: str, lines: bytes) -> None:
    try:
        # Who reads a pipe, and whether anybody does, is not to hold up the master.
        fd = open_to_append(path, os.O_NONBLOCK)
        try:
            os.write(fd, lines)
        finally:
            os.close(fd)
    except OSError as error:
        reason = f"{error.strerror} ({error.errno})"
        raise StartError(f"Unable to create or open slowlog({path}): {reason}") from error
