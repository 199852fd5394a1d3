"""Sees what the workers of a pool run: their manager's view into their memory."""

from contextlib import closing
from functools import partial

from kraal.memory import stack_sample
from kraal.memory.layout import Layout
from kraal.memory.scoreboard import Scoreboard
from kraal.memory.stack_sample import Missing, StackSample, Subject
from kraal.unix.insight import Given, Window
from kraal.unix.loop import Loop
from kraal.unix.stillness import Process


class Stacks:
    """The one owner of what workers have given to be looked at."""

    def __init__(self, loop: Loop, layout: Layout, scoreboard: Scoreboard) -> None:
        self._layout = layout
        self._scoreboard = scoreboard
        self._window = Window()
        self._memories: dict[int, Given] = {}
        # At once: what is on its way counts against the limit of open files, too.
        loop.watch(self._window.fileno(), self._receive)

    def keep_in_child(self) -> int:
        """After fork: close what is not the worker's; returns the descriptor that it sends its memory to."""
        for memory in self._memories.values():
            memory.close()
        return self._window.keep_in_child()

    def remove(self, pid: int) -> None:
        """A worker is gone."""
        self._receive()
        memory = self._memories.pop(pid, None)
        if memory:
            memory.close()

    def look(self, pid: int, slot: int, most: int) -> StackSample | Missing:
        """What a worker runs now; at most so many frames."""
        self._receive()
        memory = self._memories.get(pid)
        if memory is None:
            return Missing.CLOSED
        with closing(Process(pid)) as process:
            request = partial(self._scoreboard.requests, slot)
            return stack_sample.take(Subject(process, memory, self._layout, request), most)

    def _receive(self) -> None:
        self._memories |= self._window.receive()
