"""Climbs a stop ladder: tells the workers of a pool to leave, and those who do not, harder and harder."""

from collections.abc import Callable

from kraal.crew import Crew
from kraal.stopping import Step
from kraal.unix import process
from kraal.unix.loop import Loop, Timer


class Climbing:
    """The way of one manager; whoever begins another ladder leaves the first."""

    def __init__(self, loop: Loop, crew: Crew, left: Callable[[], None]) -> None:
        """`left` is called when nobody is there to be told."""
        self._loop = loop
        self._crew = crew
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
            process.send(each.pid, step.signal)
        # The last step is repeated until it is true.
        following = tuple(rest) or ladder
        self._next_step = self._loop.call_later(step.patience, lambda: self.climb(following))
