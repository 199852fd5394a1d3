"""Decide which requests are slow (request_slowlog_timeout).

Arithmetic only: no clock, no memory.  `deadlines` has them written; see `stack_sample` and `logs.slow`.
"""

from collections.abc import Mapping

from kraal.fields import Frozen
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.unix.process import Pid


class Slow(Frozen):
    """A request that has become slow.  `age` is in seconds."""

    pid: Pid
    request: int
    age: float


class Decision(Frozen):
    """What has become slow, and in how many seconds to look again."""

    found: tuple[Slow, ...]
    look_again: float


def decide(
    timeout: float, workers: Mapping[Pid, WorkerState], told: Mapping[Pid, int], now: float
) -> Decision:
    """Look at every worker.  `told` has the last request of each that was told of; each is told of once."""
    found = []
    # A request that begins right now is the earliest that nobody knows of.
    look_again = timeout
    for pid, state in workers.items():
        # Like php-fpm: what runs after the answer is nobody's waiting time.
        if state.stage is not Stage.RUNNING or told.get(pid) == state.requests:
            continue
        age = now - state.accepted_ns / 1e9
        if age >= timeout:
            found.append(Slow(pid, state.requests, age))
        else:
            look_again = min(look_again, timeout - age)
    return Decision(tuple(found), look_again)


def explain(slow: Slow, state: WorkerState) -> str:
    """The line of the error log, which is php-fpm's."""
    return f"child {slow.pid}, {state.request} executing too slow ({slow.age:.6f} sec), logging"
