"""How reloads ended, told to whoever may look into the master.

The master holds a memory file open that `kraal reload` finds among the descriptors of its process: there is
no file to clean up, nobody can connect to the master, and who may not see into it learns nothing.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress

from kraal.fields import Frozen

# Not what a scoreboard or a ledger could be called: those are foreign.
_NAME = "kraal.reloads"
_MOST_TEXT = 4096
_TOTAL_SIZE = 8


class Report(Frozen):
    """The last reload that ended; number 0 means none."""

    number: int = 0
    failure: str | None = None
    going_on: int = 0  # the number of a reload that has begun and not ended, if any
    failed: int = 0  # how many have failed


def create() -> int:
    """Make the memory file of a master."""
    fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    write(fd, Report())
    return fd


def write(fd: int, report: Report) -> None:
    """Say how things are."""
    os.pwrite(fd, to_bytes(report), 0)


def to_bytes(report: Report) -> bytes:
    """A sum, a text, and newlines up to a fixed size, so that a shorter report covers a longer one."""
    plain = dict(vars(report))
    plain["failure"] = report.failure[: _MOST_TEXT // 4] if report.failure else None
    text = json.dumps(plain, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return (b"%08x" % zlib.crc32(text) + text).ljust(2 * _MOST_TEXT, b"\n")


def from_bytes(content: bytes) -> Report | None:
    """Undo `to_bytes`; None for what was read while it was being written."""
    total, text = content[:_TOTAL_SIZE], content[_TOTAL_SIZE:].rstrip(b"\n")
    if b"%08x" % zlib.crc32(text) != total:
        return None
    return Report(**json.loads(text))


def read(fd: int) -> Report:
    """How things are."""
    while (found := from_bytes(os.pread(fd, 2 * _MOST_TEXT, 0))) is None:
        pass
    return found


def find(pid: int) -> int | None:
    """Open the reports of a master; None if the process is none.  Raises OSError if we may not look."""
    for path in descriptors(pid):
        with suppress(FileNotFoundError):
            if os.readlink(path).startswith(f"/memfd:{_NAME} "):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def descriptors(pid: int) -> Iterator[str]:
    """What the files that a process has open are found at.  Raises OSError if we may not look."""
    folder = f"/proc/{pid}/fd"
    return (f"{folder}/{name}" for name in sorted(os.listdir(folder), key=int))
