"""Look at a running master from outside, as `kraal status` does, and at the memory of its workers.

Nothing is asked of the master: its memory files are read where it holds them open.
"""

import mmap
import os
import time
from collections.abc import Iterable
from contextlib import suppress

from kraal import __version__, ledger, ledgers, report
from kraal.errors import Exit, StartError
from kraal.ledger import Entries
from kraal.metrics.families import PoolView, View
from kraal.scoreboard import PoolState, Scoreboard
from kraal.unix import process

_MEMORY = "/memfd:"
_DELETED = " (deleted)"
_BOARD = "kraal-"


class Sight:
    """Of one master."""

    def __init__(self, master: int, *, keep: float = 0.0) -> None:
        """What it costs to ask for the memory of many workers is not paid again for `keep` seconds."""
        self._master = master
        self._keep = keep
        self._sizes: dict[str, int] = {}
        self._weighed = -keep

    def look(self) -> View:
        """As things are.  Raises StartError if we may not look, or if the process is no master."""
        try:
            found = report.find(self._master)
            if found is None:
                raise StartError(f"process {self._master} is no master of kraal", exit=Exit.SOFTWARE)
            with os.fdopen(found, "rb") as file:
                reloads = report.read(file.fileno())
            states, entries = self._files()
        except OSError as error:
            raise StartError(f"process {self._master}: {error.strerror}", exit=Exit.SOFTWARE) from error
        self._weigh(states)
        pools = [
            PoolView(name=name, state=state, entries=entries.get(name, Entries()), pss=self._sizes.get(name))
            for name, state in sorted(states.items())
        ]
        return View(__version__, reloads, pools)

    def _files(self) -> tuple[dict[str, PoolState], dict[str, Entries]]:
        states: dict[str, PoolState] = {}
        entries: dict[str, Entries] = {}
        for path in report.descriptors(self._master):
            # The master closes and opens files while we look.
            with suppress(FileNotFoundError, ValueError):
                name = os.readlink(path).removeprefix(_MEMORY).removesuffix(_DELETED)
                if name.startswith(_BOARD) and (state := _board(path)):
                    states[name.removeprefix(_BOARD)] = state
                elif name.startswith(ledgers.PREFIX) and (found := _ledger(path)):
                    entries[name.removeprefix(ledgers.PREFIX)] = found
        return states, entries

    def _weigh(self, states: dict[str, PoolState]) -> None:
        now = time.monotonic()
        if now - self._weighed < self._keep:
            return
        self._weighed = now
        # Whose process a slot names is its worker's word: only grandchildren of the master count.
        family = process.grandchildren(self._master)
        self._sizes = {}
        for name, state in states.items():
            size = _size(family & {worker.pid for worker in state.workers})
            if size is not None:
                self._sizes[name] = size


def _size(pids: Iterable[int]) -> int | None:
    """Bytes of all of them; None if we may not see that."""
    sizes = [process.proportional_memory(pid) for pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if known or not sizes else None


def _board(path: str) -> PoolState | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        board = Scoreboard(mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ))
        return board.read() if board.is_one else None
    finally:
        os.close(fd)


def _ledger(path: str) -> Entries | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return ledger.read(os.pread(fd, ledger.SIZE, 0))
    finally:
        os.close(fd)
