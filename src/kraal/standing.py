"""How a pool is, for whoever asks whether all are well.  Pure."""

from collections.abc import Container, Iterable
from enum import Enum

from kraal.config.model import Pool
from kraal.dormancy import may_sleep
from kraal.generation import State
from kraal.launcher import Manager


class Standing(Enum):
    """Whether whoever comes is served."""

    SERVING = "serving"
    ASLEEP = "asleep"  # whoever comes wakes it
    DOWN = "down"


def standing(pool: Pool, managers: Iterable[Manager], failing: Container[str]) -> Standing:
    """`managers` are those of all pools, `failing` the pools whose last manager could not start."""
    if any(each.pool == pool.name and each.state is State.SERVING for each in managers):
        return Standing.SERVING
    return Standing.ASLEEP if may_sleep(pool) and pool.name not in failing else Standing.DOWN
