"""The ledgers, as the master keeps them: that of a pool is written by all its generations."""

import os
from collections.abc import Container, Iterable

from kraal.memory import ledger
from kraal.reload.estate import Ledger
from kraal.unix import memory

# Of the files' names; as long as that of scoreboards, so that there is one limit for the names of pools.
PREFIX = "kraal+"


class Ledgers:
    """The one owner of the memory files."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def provide(self, pool: str) -> int:
        """The descriptor of a pool's ledger.  Raises OSError."""
        if pool not in self._open:
            fd = memory.create(f"{PREFIX}{pool}", ledger.SIZE)
            os.pwrite(fd, ledger.fresh(), 0)
            self._open[pool] = fd
        return self._open[pool]

    def take(self, ledgers: Iterable[Ledger], pools: Container[str]) -> None:
        """Own what another master owned, as far as there are these pools."""
        for each in ledgers:
            unwanted = self._open.pop(each.pool, None) if each.pool in pools else each.fd
            if unwanted is not None:
                os.close(unwanted)
            if each.pool in pools:
                self._open[each.pool] = each.fd

    def all(self) -> tuple[Ledger, ...]:
        """What there is to be passed on."""
        return tuple(Ledger(pool=pool, fd=fd) for pool, fd in self._open.items())
