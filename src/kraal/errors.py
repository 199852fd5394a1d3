"""What can go wrong, one kind per reader.

Raise where the fact is known, catch where something can be done.  Only `cli.main`, and `command.common` for
what it calls, turn an error into an exit code.
"""

from enum import IntEnum

from kraal.fields import Frozen


class Exit(IntEnum):
    """Exit codes of php-fpm, which are those of sysexits.h."""

    OK = 0
    USAGE = 64
    SOFTWARE = 70
    CONFIG = 78


class Place(Frozen):
    """A line of a configuration file; line 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Error(Exception):
    """Any failure that kraal explains in one sentence instead of a traceback."""

    exit: Exit = Exit.SOFTWARE


class UsageError(Error):
    """The command line is wrong; the reader is the person who typed it."""

    exit = Exit.USAGE


class ConfigError(Error):
    """The configuration is wrong; the reader is the operator, who needs file and line."""

    exit = Exit.CONFIG

    def __init__(self, message: str, *, at: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at

    def __str__(self) -> str:
        return f"[{self.at}] {self.message}" if self.at else self.message


class StartError(Error):
    """The configuration is right, but the system does not allow it (a port in use, no permission)."""

    def __init__(self, message: str, *, exit: Exit = Exit.CONFIG) -> None:
        super().__init__(message)
        self.exit = exit


class LocalProtocolError(Error):
    """Our side asked for something that the protocol does not allow: a defect of ours."""


class RemoteProtocolError(Error):
    """The peer broke the protocol."""
