"""Has slow requests written down and ends those that run too long: looks at the slots when one may be due."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kraal.fields import Frozen
from kraal.manager import overtime, slowness
from kraal.manager.kills import Kills
from kraal.manager.overtime import Step, Told
from kraal.memory.scoreboard import Scoreboard, WorkerState
from kraal.unix import process
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

if TYPE_CHECKING:
    from kraal.manager.slow_requests import SlowRequests

# A look costs little, but not nothing.
_SHORTEST = 0.05


class Hands(Frozen):
    """What `Deadlines` does not do itself."""

    tell: Callable[[int, int, int], None]  # slot, request, step: write it where the worker looks
    signal: int  # what makes the worker look
    warn: Callable[[str], None]


class Deadlines:
    """Knows the pool's workers, and what was done about their requests."""

    def __init__(
        self,
        limits: overtime.Limits,
        loop: Loop,
        scoreboard: Scoreboard,
        hands: Hands,
        slow_requests: "SlowRequests | None" = None,
    ) -> None:
        """Without `slow_requests` no request is slow."""
        self._limits = limits
        self._slow_requests = slow_requests
        self._loop = loop
        self._scoreboard = scoreboard
        self._hands = hands
        self.kills = Kills(hands.warn)
        self._slots: dict[Pid, int] = {}
        self._told: dict[Pid, Told] = {}
        self._written: dict[Pid, int] = {}  # the last request that was written down
        times = [time for time in (limits.timeout, slow_requests.timeout if slow_requests else 0.0) if time]
        if times:
            loop.call_later(min(times), self._look)

    def add(self, pid: Pid, slot: int) -> None:
        """A worker was started."""
        self._slots[pid] = slot

    def keep_in_child(self) -> int:
        """After fork: where workers give their memory to be looked at; -1 if nobody looks."""
        return self._slow_requests.stacks.keep_in_child() if self._slow_requests else -1

    def remove(self, pid: Pid) -> None:
        """It is gone."""
        if self._slow_requests:
            self._slow_requests.stacks.remove(pid)
        self.kills.forget(pid)
        self._slots.pop(pid, None)
        self._told.pop(pid, None)
        self._written.pop(pid, None)

    def _look(self) -> None:
        read = {pid: self._scoreboard.worker(slot) for pid, slot in self._slots.items()}
        states = {pid: state for pid, state in read.items() if state}
        again = []
        if self._slow_requests:
            again.append(self._look_for_slow(self._slow_requests, states))
        if self._limits.timeout:
            again.append(self._look_for_overtime(states))
        self._loop.call_later(max(min(again), _SHORTEST), self._look)

    def _look_for_slow(self, slow_requests: "SlowRequests", states: Mapping[Pid, WorkerState]) -> float:
        """Returns in how many seconds to look again."""
        decision = slowness.decide(slow_requests.timeout, states, self._written, self._loop.now())
        for slow in decision.found:
            self._written[slow.pid] = slow.request
            self._hands.warn(slowness.explain(slow, states[slow.pid]))
            slow_requests.write_down(slow, self._slots[slow.pid], states[slow.pid])
        return decision.look_again

    def _look_for_overtime(self, states: Mapping[Pid, WorkerState]) -> float:
        """Returns in how many seconds to look again."""
        now = self._loop.now()
        decision = overtime.decide(self._limits, states, self._told, now)
        for action in decision.actions:
            self._told[action.pid] = Told(action.request, action.step, now)
            self._act(action, overtime.explain(action, states[action.pid]))
        return decision.look_again

    def _act(self, action: overtime.Action, line: str) -> None:
        if action.step is Step.DESTROY:
            self.kills.kill(action.pid, line)
        else:
            self._hands.warn(line)
            self._hands.tell(self._slots[action.pid], action.request, action.step)
            process.send(action.pid, self._hands.signal)
