"""Workers seen from another process, by whoever may look into them: for `kraal trace` and `kraal profile`.

All that is needed stands in the scoreboard, which managers and workers have in their memory: who is at work,
and where things stand.
"""

import os
import re
from collections.abc import Iterator
from functools import partial

from kraal.errors import Exit, StartError
from kraal.memory.scoreboard import HEADER, SLOT, WorkerState, layout_in, state_in
from kraal.memory.stack_sample import Subject
from kraal.unix import process
from kraal.unix.insight import Foreign, Unreadable
from kraal.unix.stillness import Process

# A scoreboard in a map of memory.
_BOARD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .* /memfd:kraal-(.*) \(deleted\)$", re.MULTILINE)


class Board:
    """The scoreboard of a pool, in the memory of one of its processes."""

    def __init__(self, pool: str, memory: Foreign, start: int, end: int) -> None:
        """Raises ValueError if it is none."""
        self.pool = pool
        self._memory = memory
        self._slots = range(start + HEADER, end - SLOT + 1, SLOT)
        layout = layout_in(memory.read(start, HEADER))
        if layout is None:
            raise ValueError("this is no scoreboard")
        self._layout = layout

    def workers(self) -> dict[int, WorkerState]:
        """Who is there, and what each of them does.  Raises Unreadable."""
        first, size = self._slots.start, len(self._slots) * SLOT
        content = self._memory.read(first, size)
        copies = (content[at : at + SLOT] for at in range(0, len(content), SLOT))
        return {state.pid: state for copy in copies if (state := state_in(copy))}

    def subject(self, pid: int) -> Subject:
        """A worker to look at."""
        return Subject(Process(pid), Foreign(pid), self._layout, partial(self._request, pid))

    def _request(self, pid: int) -> int:
        state = self.workers().get(pid)
        return state.requests if state else 0


def board_of(pid: int) -> Board | None:
    """The scoreboard that a process has in its memory, if any.  Raises StartError if we may not look."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            maps = file.read()
        memory = Foreign(pid)
        for start, end, pool in _BOARD.findall(maps):
            try:
                return Board(pool, memory, int(start, 16), int(end, 16))
            except ValueError:
                continue
    except (OSError, Unreadable) as error:
        raise StartError(f"process {pid}: {_reason(error)}", exit=Exit.SOFTWARE) from error
    return None


def _reason(error: OSError | Unreadable) -> str:
    if isinstance(error, FileNotFoundError | ProcessLookupError):
        return "there is no such process"
    return (
        "it may not be looked into: that takes root with CAP_SYS_PTRACE, or the pool's own user "
        "where process.dumpable = yes"
    )


def boards_of(master: int, pool: str | None) -> list[Board]:
    """Those of a master's pools, or of one of them.  Raises StartError."""
    children = sorted(process.children(master))
    boards = [board for child in children if (board := board_of(child))]
    if not boards and not os.path.exists(f"/proc/{master}"):
        raise StartError(f"process {master}: there is no such process", exit=Exit.SOFTWARE)
    if not boards:
        raise StartError(f"process {master} has no pools of kraal", exit=Exit.SOFTWARE)
    found = [board for board in boards if pool in (None, board.pool)]
    if not found:
        names = ", ".join(sorted({board.pool for board in boards}))
        raise StartError(f"there is no pool {pool}; there are: {names}", exit=Exit.SOFTWARE)
    return found


def all_workers(boards: list[Board]) -> Iterator[tuple[Board, WorkerState]]:
    """Everybody, in order."""
    for board in boards:
        for _pid, state in sorted(board.workers().items()):
            yield board, state
