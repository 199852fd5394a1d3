"""What a master holds open for those who may look into it: its reports, its scoreboards and its ledgers.

Nothing is asked of the master: its memory files are read where it has them.  It opens and closes files
meanwhile.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from kraal.errors import Exit, StartError
from kraal.master import ledgers, roster
from kraal.memory import ledger
from kraal.memory.ledger import Entries
from kraal.memory.scoreboard import PoolState, Scoreboard
from kraal.reload import report

T = TypeVar("T")

_MEMORY = "/memfd:"
_DELETED = " (deleted)"
_BOARD = "kraal-"


class Holdings:
    """Of one master, at one moment."""

    def __init__(self, master: int) -> None:
        """Raises StartError if we may not look, or if the process is no master."""
        self._master = master
        with self._told():
            found = report.find(master)
            if found is None:
                raise StartError(f"process {master} is no master of kraal", exit=Exit.SOFTWARE)
            with os.fdopen(found, "rb") as file:
                self.reloads = report.read(file.fileno())
            self._files = [(path, name) for path in report.descriptors(master) if (name := _name(path))]

    def states(self) -> dict[str, PoolState]:
        """What the pools do, by name; one that this version cannot read is left out.  Raises StartError."""
        asleep: dict[str, PoolState] = {}
        for each in self._all(roster.NAME, roster.read).values():
            asleep |= each
        known = self._all(_BOARD, _state)
        unread = {name.removeprefix(_BOARD) for _, name in self._files} - known.keys()
        return dict(sorted({**{name: asleep[name] for name in asleep.keys() - unread}, **known}.items()))

    def entries(self) -> dict[str, Entries]:
        """What the ledgers of the pools say, by name.  Raises StartError."""
        return self._all(ledgers.PREFIX, lambda fd: ledger.read(os.pread(fd, ledger.SIZE, 0)))

    def _all(self, prefix: str, read: Callable[[int], T | None]) -> dict[str, T]:
        named = [(path, name) for path, name in self._files if name.startswith(prefix)]
        with self._told():
            found = {
                name.removeprefix(prefix): each
                for path, name in named
                if (each := _read(path, name, read)) is not None
            }
        return dict(sorted(found.items()))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StartError(f"process {self._master}: {error.strerror}", exit=Exit.SOFTWARE) from error


def _name(path: str) -> str | None:
    """That of a memory file of kraal, None for any other file."""
    with suppress(FileNotFoundError):
        name = os.readlink(path)
        if name.startswith(f"{_MEMORY}kraal"):
            return name.removeprefix(_MEMORY).removesuffix(_DELETED)
    return None


def _read(path: str, name: str, read: Callable[[int], T | None]) -> T | None:
    with suppress(FileNotFoundError, ValueError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The number may have gone to another file.
            return read(fd) if _name(f"/proc/self/fd/{fd}") == name else None
        finally:
            os.close(fd)
    return None


def _state(fd: int) -> PoolState | None:
    board = Scoreboard(mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ))
    return board.read() if board.is_one else None
