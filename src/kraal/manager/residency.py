"""Decide how many residents to start, and which of them are to leave.

Arithmetic only.  A resident that is due goes on serving until another one has booted: the pool has room for
one more than it is to have, so they are replaced one after the other.
"""

from collections.abc import Iterable
from enum import Enum, auto

from kraal.fields import Frozen

_MORE = 1  # than are wanted, for whom there is room


class Stage(Enum):
    """Where a resident is in its life."""

    BOOTING = auto()  # the worker script has not come to its first wait
    UP = auto()
    DUE = auto()  # up, but to be replaced
    LEAVING = auto()  # told to leave


class Source(Enum):
    """What residents are forked off."""

    MANAGER = auto()  # each of them boots
    NOTHING = auto()  # there has to be a zygote first
    BOOTING = auto()  # it boots
    ZYGOTE = auto()


class Plan(Frozen):
    """What to do now."""

    start: int = 0
    leave: tuple[int, ...] = ()  # pids
    boot_zygote: bool = False


def plan(wanted: int, residents: Iterable[tuple[int, Stage]], source: Source = Source.MANAGER) -> Plan:
    """`residents` are their pids and stages."""
    by_stage: dict[Stage, list[int]] = {stage: [] for stage in Stage}
    for pid, stage in residents:
        by_stage[stage].append(pid)
    booting, up, due = (by_stage[stage] for stage in (Stage.BOOTING, Stage.UP, Stage.DUE))
    spare = len(up) + len(due) - wanted
    leave = tuple(due[: max(0, spare)])
    staying = len(booting) + len(up) + len(due) - len(leave)
    start = wanted - staying
    leaving = len(leave) + len(by_stage[Stage.LEAVING])
    # First the other one, if there is room.
    if start == 0 and len(due) > len(leave) and not booting and not leaving:
        start = 1
    if source in (Source.NOTHING, Source.BOOTING):
        return Plan(0, leave, boot_zygote=source is Source.NOTHING)
    return Plan(max(0, min(start, wanted + _MORE - staying - leaving)), leave)
