"""Ends requests that have run too long: looks at the slots when one may be due."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from kraal import overtime
from kraal.overtime import Step, Told
from kraal.scoreboard import Scoreboard
from kraal.unix import process
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# A look costs little, but not nothing.
_SHORTEST = 0.05


@dataclass(frozen=True, slots=True)
class Hands:
    """What the timekeeper does not do itself."""

    tell: Callable[[int, int, int], None]  # slot, request, step: write it where the worker looks
    signal: int  # what makes the worker look
    warn: Callable[[str], None]


class Timekeeper:
    """Knows the pool's workers, and what was done about their requests."""

    def __init__(self, limits: overtime.Limits, loop: Loop, scoreboard: Scoreboard, hands: Hands) -> None:
        self._limits = limits
        self._loop = loop
        self._scoreboard = scoreboard
        self._hands = hands
        self._slots: dict[Pid, int] = {}
        self._told: dict[Pid, Told] = {}
        if limits.timeout:
            loop.call_later(limits.timeout, self._look)

    def add(self, pid: Pid, slot: int) -> None:
        """A worker was started."""
        self._slots[pid] = slot

    def remove(self, pid: Pid) -> None:
        """It is gone."""
        self._slots.pop(pid, None)
        self._told.pop(pid, None)

    def _look(self) -> None:
        read = {pid: self._scoreboard.worker(slot) for pid, slot in self._slots.items()}
        states = {pid: state for pid, state in read.items() if state}
        now = self._loop.now()
        decision = overtime.decide(self._limits, states, self._told, now)
        for action in decision.actions:
            self._told[action.pid] = Told(action.request, action.step, now)
            self._hands.warn(overtime.explain(action, states[action.pid]))
            self._act(action)
        self._loop.call_later(max(decision.look_again, _SHORTEST), self._look)

    def _act(self, action: overtime.Action) -> None:
        if action.step is Step.DESTROY:
            process.send(action.pid, signal.SIGKILL)
        else:
            self._hands.tell(self._slots[action.pid], action.request, action.step)
            process.send(action.pid, self._hands.signal)
