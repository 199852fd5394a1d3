"""The file with the process id of the master."""

import os
from contextlib import suppress

from kraal.errors import StartError

_LONGEST = 32  # characters


def write(path: str, pid: int) -> None:
    """Make it, in the place of an older one.  Raises StartError."""
    try:
        # The file of an instance that was killed may be a link by now, or have another mode.
        with suppress(FileNotFoundError):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w") as file:
            file.write(str(pid))
    except OSError as error:
        raise StartError(
            f"Unable to create the PID file ({path}).: {error.strerror} ({error.errno})"
        ) from error


def is_stale(path: str) -> bool:
    """Whether it names a process that does not exist: nobody has removed it, so that one was killed."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            os.kill(int(file.read(_LONGEST)), 0)
    except (OSError, ValueError, OverflowError) as error:
        return isinstance(error, ProcessLookupError)
    return False


def remove(path: str | None) -> None:
    """Remove it, if there is one and we may."""
    if path is not None:
        with suppress(OSError):
            os.unlink(path)
