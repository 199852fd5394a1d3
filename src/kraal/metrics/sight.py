"""Look at a running master from outside, as `kraal status` does, and at the memory of its workers."""

import time
from collections.abc import Iterable

from kraal import __version__
from kraal.memory.ledger import Entries
from kraal.memory.scoreboard import PoolState
from kraal.metrics.families import PoolView, View
from kraal.observe.holdings import Holdings
from kraal.unix import process


class Sight:
    """Of one master."""

    def __init__(self, master: int, *, keep: float = 0.0) -> None:
        """What it costs to ask for the memory of many workers is not paid again for `keep` seconds."""
        self._master = master
        self._keep = keep
        self._sizes: dict[str, int] = {}
        self._weighed = -keep

    def look(self) -> View:
        """As things are.  Raises StartError if we may not look, or if the process is no master."""
        holdings = Holdings(self._master)
        states, entries = holdings.states(), holdings.entries()
        self._weigh(states)
        pools = [
            PoolView(name=name, state=state, entries=entries.get(name, Entries()), pss=self._sizes.get(name))
            for name, state in sorted(states.items())
        ]
        return View(__version__, holdings.reloads, pools)

    def _weigh(self, states: dict[str, PoolState]) -> None:
        now = time.monotonic()
        if now - self._weighed < self._keep:
            return
        self._weighed = now
        # Whose process a slot names is its worker's word: only grandchildren of the master count.
        family = process.grandchildren(self._master)
        self._sizes = {}
        for name, state in states.items():
            size = _size(family & {worker.pid for worker in state.workers})
            if size is not None:
                self._sizes[name] = size


def _size(pids: Iterable[int]) -> int | None:
    """Bytes of all of them; None if we may not see that."""
    sizes = [process.proportional_memory(pid) for pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if known or not sizes else None
