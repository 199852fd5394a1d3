"""Which pools a master has, told to whoever may look into it: one that nobody has woken has no scoreboard.

A memory file like that of the reports; see `report`.
"""

import json
import os
from collections.abc import Iterable

from kraal.config.model import Pool
from kraal.memory.scoreboard import PoolState
from kraal.unix import memory

# Not what a scoreboard or a ledger could be called.
NAME = "kraal.pools"


def create(pools: Iterable[Pool], now: float) -> int:
    """Make the memory file of a master that has these pools since `now`, in seconds of the epoch."""
    plain = [{"name": pool.name, "slots": pool.slots, "started_at": int(now)} for pool in pools]
    return memory.create_filled(NAME, json.dumps(plain).encode())


def read(fd: int) -> dict[str, PoolState]:
    """Every pool, as if it slept."""
    plain = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    return {each["name"]: _asleep(each["slots"], each["started_at"]) for each in plain}


def _asleep(slots: int, started_at: int) -> PoolState:
    return PoolState(
        started_at=started_at, accepted=0, slow=0, max_active=0, max_children_reached=0, slots=slots
    )
