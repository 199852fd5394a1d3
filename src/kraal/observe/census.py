"""A master's pools and their processes at one moment, for `kraal top`.

The numbers of processes come from scoreboards, which the pools' users can write.  Only a process that the
kernel says is a child of the master, or of a child of it, is taken for one of a pool.
"""

import os
import time
from collections.abc import Iterable, Mapping

from kraal.fields import Frozen, field
from kraal.memory.scoreboard import PoolState
from kraal.observe.holdings import Holdings
from kraal.unix import process, vitals
from kraal.unix.vitals import Vitals

# For the shares of memory: seconds of a look, and a part of the time between two at most.  The kernel walks
# through all pages of a process for one.
_PATIENCE, _PART = 0.05, 0.025


class Snapshot(Frozen, kw_only=True):
    """Everything at one moment."""

    clock_ns: int  # of the monotonic clock
    master: int
    age: float = 0.0  # of the master, seconds
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pools: Mapping[str, PoolState] = field(default_factory=dict)
    workers: Mapping[int, Vitals] = field(default_factory=dict)
    managers: Mapping[int, Vitals] = field(default_factory=dict)
    shares: Mapping[int, int] = field(default_factory=dict)  # PSS of workers, bytes


class Census:
    """Takes snapshots.  Shares of memory are read by and by, the oldest first."""

    def __init__(self) -> None:
        self._shares: dict[tuple[int, int], int | None] = {}
        self._looked = 0.0

    def take(self, master: int) -> Snapshot:
        """One of them.  Raises StartError if we may not look, or if it is no master."""
        pools = Holdings(master).states()
        clock_ns = time.monotonic_ns()
        found = _vitals(worker.pid for state in pools.values() for worker in state.workers)
        workers, managers = kin(master, found, _vitals({each.parent for each in found.values()}))
        own = vitals.read(master)
        return Snapshot(
            clock_ns=clock_ns,
            master=master,
            age=vitals.age(own) if own else 0.0,
            load=os.getloadavg(),
            pools=pools,
            workers=workers,
            managers=managers,
            shares=self._look_at_memory(workers),
        )

    def _look_at_memory(self, workers: Mapping[int, Vitals]) -> dict[int, int]:
        before = self._shares
        alive = {(pid, each.started) for pid, each in workers.items()}
        old = [key for key in before if key in alive]
        now = time.monotonic()
        deadline = now + min(_PATIENCE, _PART * (now - self._looked))
        self._looked = now
        self._shares = {key: before[key] for key in old}
        for key in [*(alive - before.keys()), *old]:
            if time.monotonic() > deadline:
                break
            # At the end: it is the newest now.
            self._shares.pop(key, None)
            self._shares[key] = process.proportional_memory(key[0])
        return {pid: share for (pid, _), share in self._shares.items() if share is not None}


def kin(
    master: int, found: Mapping[int, Vitals], parents: Mapping[int, Vitals]
) -> tuple[dict[int, Vitals], dict[int, Vitals]]:
    """Who of those that were found is a worker, and which of their parents are managers.  Pure.

    Workers whose manager was killed are children of the master.
    """
    managers = {pid: each for pid, each in parents.items() if each.parent == master}
    own = managers.keys() | {master}
    workers = {pid: each for pid, each in found.items() if each.parent in own and pid not in managers}
    return workers, managers


def _vitals(pids: Iterable[int]) -> dict[int, Vitals]:
    return {pid: each for pid in pids if (each := vitals.read(pid))}
