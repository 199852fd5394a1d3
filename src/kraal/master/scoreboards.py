"""The scoreboards, as the master keeps them: that of a pool outlives its manager, and so do its counters."""

import os
from collections.abc import Container, Iterable

from kraal.config.model import Pool
from kraal.fields import replace
from kraal.master.heartbeat import Pulse
from kraal.master.ledgers import Ledgers
from kraal.memory import scoreboard
from kraal.reload.estate import Board
from kraal.unix import memory


class Boards:
    """The one owner of the memory files."""

    def __init__(self, now: float) -> None:
        """`now` is when the pools begin to be served, in seconds of the epoch."""
        self._now = int(now)
        self.ledgers = Ledgers()
        self._open: dict[str, Board] = {}

    def provide(self, pool: Pool, fingerprint: str, busy: Container[int]) -> int:
        """The descriptor of a scoreboard for the next manager of a pool.

        It is that of the last one, unless this one is told something else or the last one still lives.
        `busy` are the process ids of managers.
        """
        board = self._open.get(pool.name)
        if board and board.fingerprint == fingerprint and board.manager not in busy:
            return board.fd
        slots = pool.slots
        fd = memory.create(f"kraal-{pool.name}", scoreboard.size_for(slots))
        os.pwrite(fd, scoreboard.fresh_header(slots, self._now), 0)
        self._put(Board(pool=pool.name, fd=fd, fingerprint=fingerprint))
        return fd

    def use(self, pool: str, manager: int) -> None:
        """This manager has it now."""
        self._open[pool] = replace(self._open[pool], manager=manager)

    def replace_of(self, manager: int) -> None:
        """This manager was killed: its workers go on writing, so the next one gets another file."""
        for board in [each for each in self._open.values() if each.manager == manager]:
            try:
                self._put(replace(board, fd=_continued(board)))
            except OSError:
                # No descriptors or no memory for now: who starts the next manager tries again, from zero.
                os.close(self._open.pop(board.pool).fd)

    def take(self, boards: Iterable[Board], outdated: Iterable[Board] = ()) -> None:
        """Own what the master before us owned, and let go of those that only leaving managers use."""
        self._open |= {each.pool: each for each in boards}
        for each in outdated:
            os.close(each.fd)

    def all(self) -> tuple[Board, ...]:
        """What there is to be passed on."""
        return tuple(self._open.values())

    def pulse(self) -> Pulse:
        """Of all pools together."""
        boards = self._open.values()
        found = [scoreboard.tally(os.pread(each.fd, os.fstat(each.fd).st_size, 0)) for each in boards]
        return Pulse(*map(sum, zip(*found, strict=True)))

    def _put(self, board: Board) -> None:
        if old := self._open.get(board.pool):
            os.close(old.fd)
        self._open[board.pool] = board


def _continued(board: Board) -> int:
    """Another file with the same counters."""
    fd = memory.create(f"kraal-{board.pool}", os.fstat(board.fd).st_size)
    header = os.pread(board.fd, scoreboard.size_for(0), 0)
    os.pwrite(fd, scoreboard.continued_header(header), 0)
    return fd
