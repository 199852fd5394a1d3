"""Pools that sleep: they have no process, and the master sees when somebody comes."""

from collections.abc import Callable, Iterable
from functools import partial

from kraal.config.model import Pm, Pool
from kraal.unix.loop import Loop


def may_sleep(pool: Pool) -> bool:
    """Whether a pool needs no process while nobody asks it for anything."""
    return pool.pm is Pm.ONDEMAND and not pool.residents


def rehearsed(pools: Iterable[Pool]) -> Pool | None:
    """The pool whose manager is started at first although it may sleep, so that PHP is tried.

    Where another one is started anyway there is no need.
    """
    pools = list(pools)
    return pools[0] if pools and all(map(may_sleep, pools)) else None


class Dormancy:
    """The one owner of the table of those that sleep."""

    def __init__(
        self, loop: Loop, doors: Callable[[str], tuple[int, ...]], wake: Callable[[str], None]
    ) -> None:
        """`doors` are the descriptors of a pool that can be read when somebody comes."""
        self._loop = loop
        self._doors = doors
        self._wake = wake
        self._asleep: dict[str, tuple[int, ...]] = {}

    def __contains__(self, pool: str) -> bool:
        return pool in self._asleep

    def begin(self, pool: str) -> None:
        """Call `wake`, once, when somebody comes; who waits already counts."""
        if pool in self._asleep:
            return
        self._asleep[pool] = self._doors(pool)
        for door in self._asleep[pool]:
            self._loop.watch(door, partial(self._stir, pool))

    def end(self, pool: str) -> None:
        """Watch no more."""
        for door in self._asleep.pop(pool, ()):
            self._loop.unwatch(door)

    def end_all(self) -> None:
        """The master stops: who comes now is not served."""
        for pool in list(self._asleep):
            self.end(pool)

    def _stir(self, pool: str) -> None:
        self.end(pool)
        self._wake(pool)
