"""Decide which requests have run too long, and how they are to end.

Arithmetic only: no clock, no signals.  The manager carries out what it returns; see native/overtime.h for
how the worker is told.
"""

from collections.abc import Mapping
from enum import IntEnum

from kraal.fields import Frozen
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.unix.process import Pid

# A worker that SIGTERM does not end within this gets SIGKILL, again and again.
_STUBBORN = 1.0
_AFTER_THE_ANSWER = {Stage.ENDING, Stage.FINISHING}


class Step(IntEnum):
    """What is done about a request; the first two are those of enum kraal_overtime."""

    STOP = 1  # PHP ends it with a fatal error, and runs its shutdown functions
    KILL = 2  # its worker ends, by SIGTERM
    DESTROY = 3  # by SIGKILL


class Limits(Frozen):
    """request_terminate_timeout and what belongs to it, in seconds."""

    timeout: float
    grace: float
    track_finished: bool


class Told(Frozen):
    """What was done last about a request of a worker, and when (seconds of the monotonic clock)."""

    request: int
    step: Step
    at: float


class Action(Frozen):
    """Something to do now.  `age` is that of the request, in seconds."""

    pid: Pid
    request: int
    step: Step
    age: float
    first: bool = True  # nothing was done about this request before


class Decision(Frozen):
    """What to do now, and in how many seconds to look again."""

    actions: tuple[Action, ...]
    look_again: float


def decide(
    limits: Limits, workers: Mapping[Pid, WorkerState], told: Mapping[Pid, Told], now: float
) -> Decision:
    """Look at every worker.  `now` is in seconds of the monotonic clock."""
    actions = []
    # A request that begins right now is the earliest that nobody knows of.
    look_again = limits.timeout
    for pid, state in workers.items():
        last = told.get(pid)
        if last and last.request != state.requests:
            last = None
        if not _counts(state, limits, last):
            continue
        due, step = _next(limits, state, last)
        if due <= now:
            actions.append(Action(pid, state.requests, step, now - state.accepted_ns / 1e9, last is None))
            due = now + _patience(step, limits)
        look_again = min(look_again, due - now)
    return Decision(tuple(actions), look_again)


def _counts(state: WorkerState, limits: Limits, last: Told | None) -> bool:
    """Whether time runs for what the worker does."""
    if state.stage is Stage.IDLE:
        return False
    return last is not None or limits.track_finished or state.stage not in _AFTER_THE_ANSWER


def _next(limits: Limits, state: WorkerState, last: Told | None) -> tuple[float, Step]:
    """When something is to be done about a request, and what."""
    if last is None:
        return state.accepted_ns / 1e9 + limits.timeout, Step.STOP if limits.grace else Step.KILL
    return last.at + _patience(last.step, limits), Step(min(last.step + 1, Step.DESTROY))


def _patience(step: Step, limits: Limits) -> float:
    return limits.grace if step is Step.STOP else _STUBBORN


def explain(action: Action, state: WorkerState) -> str:
    """The line of the log; the first one about a request is php-fpm's."""
    what = "execution timed out" if action.first else "still running"
    end = "killing" if action.step is Step.DESTROY else "terminating"
    return f"child {action.pid}, {state.request} {what} ({action.age:.6f} sec), {end}"
