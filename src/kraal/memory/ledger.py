"""The ledger of a pool: what its workers have done, in all generations.  Written in C, and read here.

A worker is foreign: whatever stands in the memory, reading gives numbers.
"""

from enum import IntEnum

from kraal._native import _bridge
from kraal.fields import Frozen

_ffi = _bridge.ffi
SIZE: int = _ffi.integer_const("KRAAL_LEDGER_SIZE")
_MAGIC: int = _ffi.integer_const("KRAAL_LEDGER_MAGIC")

# Where the buckets of histograms end, in seconds.
BOUNDS = tuple(sorted(number / 1e6 for number in _ffi.typeof("enum kraal_bound").elements))


class Ending(IntEnum):
    """Why a worker has ended; see enum kraal_ending."""

    STOPPED = 0  # its pool was stopped or reloaded
    SPARE = 1  # there were enough without it
    MAX_REQUESTS = 2
    MAX_MEMORY = 3
    TIMEOUT = 4  # a request took too long, and could not be ended alone
    OUT_OF_MEMORY = 5  # the kernel killed it
    SIGNAL = 6
    ERROR = 7
    REPLACED = 8  # a resident, whose script or memory had changed


class Histogram(Frozen):
    """How often something took how long: a number for each of BOUNDS, not added up, and one for all above."""

    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    sum_ns: int = 0


class Entries(Frozen, kw_only=True):
    """All of a ledger at one moment."""

    answers: tuple[int, ...] = (0,) * 6  # by the first digit of the status; 0: what is none of HTTP
    durations: Histogram = Histogram()
    waits: Histogram = Histogram()
    endings: tuple[int, ...] = (0,) * len(Ending)
    lazy: tuple[int, int] = (
        0,
        0,
    )  # connections closed: their requests did not come in time; there were too many


def fresh() -> bytes:
    """For a file in which nobody has written yet."""
    return int(_MAGIC).to_bytes(8, "little").ljust(SIZE, b"\0")


def read(content: bytes) -> Entries | None:
    """What stands in a copy of a ledger; None if it is none."""
    if len(content) != SIZE:
        return None
    ledger = _ffi.from_buffer("struct kraal_ledger *", content)
    if ledger.magic != _MAGIC:
        return None
    return Entries(
        answers=tuple(ledger.answers),
        durations=Histogram(tuple(ledger.durations.buckets), int(ledger.durations.sum_ns)),
        waits=Histogram(tuple(ledger.waits.buckets), int(ledger.waits.sum_ns)),
        endings=tuple(ledger.endings)[: len(Ending)],
        lazy=(ledger.lazy[0], ledger.lazy[1]),
    )
