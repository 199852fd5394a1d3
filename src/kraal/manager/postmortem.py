"""Find out what a worker that is gone was at, as far as the system tells."""

import signal
import time
from collections.abc import Callable

from kraal.boot import Order
from kraal.errors import Exit
from kraal.manager.crew import Asked, Worker
from kraal.manager.exit_message import Death
from kraal.manager.exit_reason import reason
from kraal.memory.ledger import Ending
from kraal.memory.scoreboard import WorkerState
from kraal.unix import cgroup, process


class Postmortem:
    """Knows how many processes the kernel had killed for lack of memory before."""

    def __init__(self, order: Order, count: Callable[[Ending], None]) -> None:
        """`count` notes why a worker has ended."""
        self._order = order
        self._count = count
        self._oom_kills = cgroup.oom_kills()

    def examine(
        self, gone: process.Exit, dead: Worker, end: str, age: float, state: WorkerState | None
    ) -> Death:
        """`end` says how it ended, `state` is what it left."""
        out_of_memory = gone.signal == signal.SIGKILL and self._is_out_of_memory()
        spent = self._is_spent(state, resident=dead.resident)
        overdue = state is not None and state.overdue
        self._count(reason(gone, dead, spent=spent, overdue=overdue, out_of_memory=out_of_memory))
        return Death(
            pid=gone.pid,
            end=end,
            age=age,
            expected=gone.code == Exit.OK or gone.signal == signal.SIGQUIT or dead.asked is not Asked.NOT,
            state=state,
            now_ns=time.monotonic_ns(),
            memory=gone.memory,
            out_of_memory=out_of_memory,
        )

    def _is_spent(self, state: WorkerState | None, *, resident: bool) -> bool:
        limit = self._order.resident_max_requests if resident else self._order.max_requests
        return state is not None and 0 < limit <= state.requests

    def _is_out_of_memory(self) -> bool:
        before, self._oom_kills = self._oom_kills, cgroup.oom_kills()
        return self._oom_kills > before
