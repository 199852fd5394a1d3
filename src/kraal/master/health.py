"""How a pool is, for whoever asks whether all are well.  Pure."""

from collections.abc import Container, Iterable
from enum import Enum

from kraal.config.model import Pool
from kraal.master.dormancy import may_sleep
from kraal.master.generation import State
from kraal.master.launcher import Manager


class Health(Enum):
    """Whether whoever comes is served."""

    SERVING = "serving"
    ASLEEP = "asleep"  # whoever comes wakes it
    DOWN = "down"


def health(pool: Pool, managers: Iterable[Manager], failing: Container[str]) -> Health:
    """`managers` are those of all pools, `failing` the pools whose last manager could not start."""
    if any(each.pool == pool.name and each.state is State.SERVING for each in managers):
        return Health.SERVING
    return Health.ASLEEP if may_sleep(pool) and pool.name not in failing else Health.DOWN
