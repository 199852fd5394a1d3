"""The workers of a pool: who lives, who is idle and since when, and who was asked to leave."""

import signal
from collections.abc import Iterator
from enum import Enum, auto

from kraal.fields import Mutable
from kraal.manager.sizing import Seen
from kraal.memory.scoreboard import Scoreboard, WorkerState
from kraal.unix import process
from kraal.unix.process import Pid


class Asked(Enum):
    """Why a worker was asked to leave."""

    NOT = auto()
    SPARE = auto()  # there are enough without it
    REPLACED = auto()  # another one is to take its place


class Worker(Mutable):
    """A worker that lives."""

    pid: Pid
    slot: int
    started: float
    resident: bool = False  # see manager/residents.py
    asked: Asked = Asked.NOT


class Crew:
    """The one owner of the table of workers."""

    def __init__(self, scoreboard: Scoreboard) -> None:
        self._scoreboard = scoreboard
        self._workers: dict[Pid, Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def join(self, pid: Pid, slot: int, now: float, *, resident: bool = False) -> None:
        """Take in a new worker."""
        self._workers[pid] = Worker(pid, slot, now, resident)

    def part(self, pid: Pid) -> Worker | None:
        """Forget a worker that is gone."""
        return self._workers.pop(pid, None)

    def ask(self, pid: int, why: Asked) -> None:
        """Note that a worker was asked to leave."""
        self._workers[Pid(pid)].asked = why

    @property
    def ordinary(self) -> list[Worker]:
        """Those that are not residents: what is said of numbers, idleness and sizes is of these."""
        return [worker for worker in self._workers.values() if not worker.resident]

    def requests(self, pid: Pid) -> int:
        """How many requests a worker has served."""
        return self._scoreboard.requests(self._workers[pid].slot)

    @property
    def leaving(self) -> list[Worker]:
        """Those that were asked to leave and have not left."""
        return [worker for worker in self.ordinary if worker.asked is not Asked.NOT]

    @property
    def staying(self) -> list[Worker]:
        """The others."""
        return [worker for worker in self.ordinary if worker.asked is Asked.NOT]

    def is_idle(self, worker: Worker) -> bool:
        """Whether it has no request."""
        return self._scoreboard.is_idle(worker.slot)

    def state(self, worker: Worker) -> WorkerState | None:
        """What a worker does."""
        return self._scoreboard.worker(worker.slot)

    def end_deaf(self) -> None:
        """A worker without a request that was asked to leave and does not hear it would stay for ever."""
        for each in self.leaving:
            if self.is_idle(each) and process.blocks(each.pid, signal.SIGQUIT):
                process.send(each.pid, signal.SIGKILL)

    def look(self, now: float, *, waiting: int = 0) -> Seen:
        """The pool as it is now."""
        ordinary, staying = self.ordinary, self.staying
        idle: dict[int, float] = {
            worker.pid: now - self._idle_since(worker) for worker in staying if self.is_idle(worker)
        }
        active, leaving = len(staying) - len(idle), len(ordinary) - len(staying)
        return Seen(idle=idle, active=active, leaving=leaving, waiting=waiting)

    def count(self) -> tuple[int, int]:
        """How many are idle and will stay, and how many have a request."""
        ordinary = self.ordinary
        idle = [worker for worker in ordinary if self.is_idle(worker)]
        return sum(worker.asked is Asked.NOT for worker in idle), len(ordinary) - len(idle)

    def sizes(self) -> dict[int, int]:
        """Bytes of memory by pid.  Who has served nothing is left out: his successor would be no smaller."""
        used = [worker for worker in self.staying if self._scoreboard.requests(worker.slot)]
        return {worker.pid: process.own_memory(worker.pid) for worker in used}

    def _idle_since(self, worker: Worker) -> float:
        return max(worker.started, self._scoreboard.finished(worker.slot))
