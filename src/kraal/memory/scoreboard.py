"""The scoreboard: which worker does what.  Python reads it; each slot is written by its worker in C.

A worker is foreign: whatever stands in the memory, reading gives values or None, never an error.
"""

import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import chain
from mmap import MADV_REMOVE, PAGESIZE, mmap
from typing import Any

from kraal._native import _bridge
from kraal.fields import Frozen, names
from kraal.memory.layout import Layout
from kraal.memory.opcache import Opcache, opcache

_ffi: Any = _bridge.ffi
HEADER: int = _ffi.sizeof("struct kraal_scoreboard")
SLOT: int = _ffi.sizeof("struct kraal_slot")
_MAGIC = 0x6B726C31
_ORDINARY: int = _ffi.integer_const("KRAAL_ORDINARY")
_KILL: int = _ffi.integer_const("KRAAL_OVERTIME_KILL")
_AWAY: int = _ffi.integer_const("KRAAL_RESIDENT_AWAY")
# A slot that is being written is read again; a worker that died while writing must not hold us up.
_ATTEMPTS = 20


class Stage(IntEnum):
    """What a worker is at; see enum kraal_stage."""

    IDLE = 1
    READING_HEADERS = 2
    INFO = 3
    RUNNING = 4
    ENDING = 5
    FINISHING = 6


_IDLE = Stage.IDLE.value  # compared a thousand times a second where there are a thousand workers


class WorkerState(Frozen, kw_only=True):
    """One used slot.  Clock values are nanoseconds of the monotonic clock, `started_at` is of the epoch."""

    pid: int
    stage: Stage
    requests: int
    started_at: int
    accepted_ns: int
    finished_ns: int
    cpu_ns: int
    waited_ns: int = -1  # before it came here; -1: nobody knows
    memory: int
    content_length: int
    method: str
    user: str
    uri: str
    query: str
    script: str
    error: str = ""  # the last that PHP raised in this request

    @property
    def url(self) -> str:
        """What was asked for, with the query."""
        return f"{self.uri}?{self.query}" if self.query else self.uri

    @property
    def request(self) -> str:
        """Its request, in php-fpm's words for the log."""
        return f"script '{self.script}' (request: \"{self.method} {self.url}\")"

    overdue: bool = False  # the manager has had it end, as its request took too long
    resident: bool = False  # it keeps a worker script loaded

    @property
    def waited(self) -> int | None:
        """Nanoseconds that the request waited before it came here; None: nobody knows."""
        return self.waited_ns if self.requests and self.waited_ns >= 0 else None


class PoolState(Frozen, kw_only=True):
    """All of a scoreboard at one moment."""

    started_at: int
    accepted: int
    slow: int
    max_active: int
    max_children_reached: int
    queue: int = 0  # connections that waited when somebody looked last
    queue_limit: int = 0
    max_queue: int = 0
    connections: int = 0
    turned_away: int = 0  # requests that the manager has answered with 503
    memory_peak: int = 0
    log_lost: int = 0
    opcache: Opcache | None = None  # as it was when the manager asked last; None: it is not known
    slots: int = 0
    workers: tuple[WorkerState, ...] = ()

    @property
    def idle(self) -> int:
        """Workers that wait for a request."""
        return sum(worker.stage is Stage.IDLE for worker in self.workers)

    @property
    def active(self) -> int:
        """Workers that have one."""
        return len(self.workers) - self.idle

    @property
    def limit(self) -> int:
        """How many workers there may be: residents have one slot more, see `Pool.slots`."""
        return self.slots - any(worker.resident for worker in self.workers)


def note_layout(memory: mmap, fill: Callable[[Any], None]) -> Layout:
    """Have the layout of workers filled into a scoreboard, and read it."""
    header = _ffi.cast("struct kraal_scoreboard *", _ffi.from_buffer(memory))
    fill(_ffi.addressof(header, "layout"))
    return _layout(header)


def layout_in(content: bytes) -> Layout | None:
    """The layout in a copy of a scoreboard's beginning; None if it is none, or that of another version."""
    if len(content) < HEADER:
        return None
    header = _ffi.cast("struct kraal_scoreboard *", _ffi.from_buffer(content))
    known = header.magic == _MAGIC and header.slot_size == SLOT and header.layout.current_frame
    return _layout(header) if known else None


def state_in(content: bytes) -> WorkerState | None:
    """The state in a copy of a slot, if there is a worker in it."""
    return _decode(_ffi.from_buffer("struct kraal_slot *", content)) if len(content) == SLOT else None


def _layout(header: Any) -> Layout:
    return Layout(**{name: int(getattr(header.layout, name)) for name in names(Layout)})


def size_for(slots: int) -> int:
    """Bytes of a scoreboard."""
    return int(HEADER + slots * SLOT)


def fresh_header(slots: int, started_at: int) -> bytes:
    """For a file in which nobody has served yet."""
    header = _ffi.new("struct kraal_scoreboard *")
    header.magic, header.slot_count, header.slot_size = _MAGIC, slots, SLOT
    header.started_at = started_at
    return bytes(_ffi.buffer(header))


def tally(content: bytes) -> tuple[int, int, int, int]:
    """Of a whole file: how many workers are active, how many idle, the requests so far, and the slow ones."""
    view = _ffi.from_buffer(content)
    header = _ffi.cast("struct kraal_scoreboard *", view)
    slots = _ffi.cast("struct kraal_slot *", view + HEADER)
    used = [slots[index].stage for index in range((len(content) - HEADER) // SLOT) if slots[index].pid > 0]
    idle = used.count(Stage.IDLE)
    return len(used) - idle, idle, int(header.accepted), int(header.slow)


def continued_header(before: bytes) -> bytes:
    """For a file that takes the place of another one, whose workers are nobody's business any more."""
    header = _ffi.new("struct kraal_scoreboard *")
    _ffi.memmove(header, before, min(len(before), HEADER))
    _forget_workers(header)
    return bytes(_ffi.buffer(header))


def _forget_workers(header: Any) -> None:
    header.active = header.residents_active = header.parked = header.alarm = 0
    header.opcache = [0] * len(header.opcache)


class Scoreboard:
    """A scoreboard in shared memory."""

    def __init__(self, memory: mmap) -> None:
        self.memory = memory
        self._view = _ffi.from_buffer(memory)
        self._header = _ffi.cast("struct kraal_scoreboard *", self._view)
        self._count = max(0, (len(memory) - HEADER) // SLOT)
        self._slots = _ffi.cast("struct kraal_slot *", self._view + HEADER)
        self._next = 0  # where to look for a free slot first

    def initialize(self) -> None:
        """Write the header, unless it is there: the counters of a pool outlive its managers.

        Its workers do not, and whatever slots say of others a worker has forged.
        """
        header = self._header
        if (header.magic, header.slot_count, header.slot_size) == (_MAGIC, self._count, SLOT):
            header.log_untold = 0  # the earlier one has told when it left
            _forget_workers(header)
            self._clear_slots()
            return
        _ffi.memmove(self._view, bytes(len(self.memory)), len(self.memory))
        self._header.magic = _MAGIC
        self._header.slot_count = self._count
        self._header.slot_size = SLOT
        self._header.started_at = int(time.time())

    def _clear_slots(self) -> None:
        # Whole pages are given back: where nobody has written there is none, and there is to be none.
        whole = -(-HEADER // PAGESIZE) * PAGESIZE
        self.memory[HEADER:whole] = bytes(len(self.memory[HEADER:whole]))
        if len(self.memory) > whole:
            self.memory.madvise(MADV_REMOVE, whole)

    def free_slot(self) -> int | None:
        """A slot without a worker."""
        # Those that come after the last one, first: where there are many, most are taken.
        order = chain(range(self._next, self._count), range(self._next))
        found = next((index for index in order if self._slots[index].pid == 0), None)
        if found is not None:
            self._next = found + 1
        return found

    def prepare(self, index: int, *, resident: bool = False) -> None:
        """Make a slot ready for a worker that is about to be forked."""
        _ffi.memmove(self._slots + index, bytes(SLOT), SLOT)
        slot = self._slots[index]
        slot.started_at = int(time.time())
        slot.stage = Stage.IDLE
        slot.residence = _AWAY if resident else _ORDINARY

    def occupy(self, index: int, pid: int) -> None:
        """Say whose slot it is.  All else in it belongs to the worker, which may be serving already."""
        self._slots[index].pid = pid

    def is_idle(self, index: int) -> bool:
        """Whether the worker in a slot has no request."""
        return bool(self._slots[index].stage == _IDLE)

    def finished(self, index: int) -> float:
        """When the last request in a slot ended, in seconds of the monotonic clock; 0 without one."""
        return float(self._slots[index].finished_ns / 1e9)

    def count_reached(self) -> None:
        """The pool has reached its limit once more."""
        # Whatever a worker has made of the number, there is one after it.
        self._header.max_children_reached = (self._header.max_children_reached + 1) & 0xFFFFFFFF

    def untold(self) -> int:
        """How many lines of the access log were lost that the error log was not told of."""
        return int(self._header.log_untold)

    def count_slow(self) -> None:
        """One more request was slow."""
        self._header.slow = (self._header.slow + 1) & 0xFFFFFFFFFFFFFFFF

    def count_turned_away(self) -> None:
        """One more request was turned away."""
        self._header.turned_away = (self._header.turned_away + 1) & 0xFFFFFFFFFFFFFFFF

    def connections(self) -> int:
        """How many connections the workers have taken from the listener."""
        return int(self._header.connections)

    def requests(self, index: int) -> int:
        """How many requests the worker in a slot has taken."""
        return int(self._slots[index].requests)

    def accepted(self) -> int:
        """How many requests were taken."""
        return int(self._header.accepted)

    @property
    def is_one(self) -> bool:
        """Whether the memory is a scoreboard of this version."""
        return self._count > 0 and (self._header.magic, self._header.slot_size) == (_MAGIC, SLOT)

    def read(self) -> PoolState:
        """Everything, as it is now."""
        header = self._header
        return PoolState(
            started_at=int(header.started_at),
            accepted=int(header.accepted),
            slow=int(header.slow),
            max_active=int(header.max_active),
            max_children_reached=int(header.max_children_reached),
            queue=int(header.queue),
            queue_limit=int(header.queue_limit),
            max_queue=int(header.max_queue),
            connections=int(header.connections),
            turned_away=int(header.turned_away),
            memory_peak=int(header.memory_peak),
            log_lost=int(header.log_lost),
            opcache=opcache(tuple(header.opcache)),
            slots=self._count,
            workers=tuple(self._read_slots()),
        )

    def worker(self, index: int) -> WorkerState | None:
        """What the worker in a slot does, if there is one."""
        return _decode(self._copy(index))

    def _read_slots(self) -> Iterator[WorkerState]:
        for index in range(self._count):
            state = _decode(self._copy(index))
            if state:
                yield state

    def _copy(self, index: int) -> Any:
        """A copy of a slot, whole if the writer lets us."""
        copy = _ffi.new("struct kraal_slot *")
        for _ in range(_ATTEMPTS):
            before = self._slots[index].sequence
            _ffi.memmove(copy, self._slots + index, SLOT)
            if before % 2 == 0 and before == self._slots[index].sequence:
                break
        return copy


def _decode(slot: Any) -> WorkerState | None:
    if slot.pid <= 0:
        return None
    stage = Stage(slot.stage) if slot.stage in Stage.__members__.values() else Stage.RUNNING
    return WorkerState(
        pid=slot.pid,
        stage=stage,
        requests=slot.requests,
        started_at=slot.started_at,
        accepted_ns=slot.accepted_ns,
        finished_ns=slot.finished_ns,
        cpu_ns=slot.cpu_ns,
        waited_ns=slot.waited_ns,
        memory=slot.memory,
        content_length=slot.content_length,
        **{name: _text(getattr(slot, name)) for name in ("method", "user", "uri", "query", "script")},
        error=_text(slot.error) if slot.error_request == slot.requests else "",
        overdue=slot.overtime == slot.requests and slot.overtime_step == _KILL,
        resident=slot.residence != _ORDINARY,
    )


def _text(array: Any) -> str:
    # Not ffi.string: a hostile worker may leave out the NUL.
    return bytes(_ffi.buffer(array)).partition(b"\0")[0].decode("utf-8", "replace")
