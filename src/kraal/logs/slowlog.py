"""The file of the slow log."""

import os

from kraal.errors import StartError


def append(path: str, lines: bytes = b"") -> None:
    """Write into the file.  Raises StartError.

    It is opened each time, as by php-fpm, so that it may be moved away at any time.
    """
    try:
        # Who reads a pipe, and whether anybody does, is not to hold up the master.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(path, flags, 0o600)
        try:
            os.write(fd, lines)
        finally:
            os.close(fd)
    except OSError as error:
        reason = f"{error.strerror} ({error.errno})"
        raise StartError(f"Unable to create or open slowlog({path}): {reason}") from error
