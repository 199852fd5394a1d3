"""Climbs a stop ladder: tells the workers of a pool to leave, and those who do not, harder and harder."""

import signal
from collections.abc import Callable

from kraal.manager.crew import Crew, Worker
from kraal.manager.kills import Kills
from kraal.manager.stop_ladder import Step
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.unix import process
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid


class Stopping:
    """The way of one manager; whoever begins another ladder leaves the first."""

    def __init__(self, loop: Loop, crew: Crew, kills: Kills, left: Callable[[], None]) -> None:
        """`left` is called when nobody is there to be told."""
        self._loop = loop
        self._crew = crew
        self._kills = kills
        self._left = left
        self._next_step: Timer | None = None
        self.begun = False

    def climb(self, ladder: tuple[Step, ...]) -> None:
        """Send the first signal of the ladder; come back with the rest if that did not do."""
        self.begun = True
        if self._next_step:
            self._next_step.cancel()
        if not self._crew:
            self._left()
            return
        step, *rest = ladder
        for each in self._crew:
            self._tell(each, step.signal)
        # The last step is repeated until it is true.
        following = tuple(rest) or ladder
        self._next_step = self._loop.call_later(step.patience, lambda: self.climb(following))

    def _tell(self, worker: Worker, number: int) -> None:
        if number == signal.SIGKILL:
            self._kills.kill(worker.pid, explain(worker.pid, self._crew.state(worker)))
        else:
            process.send(worker.pid, number)


def explain(pid: Pid, state: WorkerState | None) -> str:
    """The line of the log about a worker that is killed because it has not left."""
    has_request = state is not None and state.stage is not Stage.IDLE
    what = f", {state.request}" if state and has_request else ", which is idle,"
    return f"child {pid}{what} was told to leave and is still there, killing"
