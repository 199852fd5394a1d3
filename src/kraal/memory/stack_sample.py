"""A look at what a worker runs: its stack, of one moment, or the word that it moved.

A worker that waits in a system call holds still, and is read without further ado.  One that runs is read
from its own processor: it waits there while we are at work, as for any other process.  Nobody stops it, and
none of its system calls is interrupted.  What cannot be proved to have stood still is not told.
"""

import time
from collections.abc import Callable
from enum import Enum
from functools import partial

from kraal.fields import Frozen
from kraal.memory.layout import Layout
from kraal.memory.stack import Frame, Implausible, Pages, Reader
from kraal.unix import stillness
from kraal.unix.insight import Memory, Unreadable
from kraal.unix.stillness import Hidden, Process

# How often a worker that moved is looked at again.  Nearly always the first look does.
_ATTEMPTS = 20
_MOMENT = 0.0002
# Params that web servers tell a request from others by, in this order.
REQUEST_IDS = ("REQUEST_ID", "HTTP_X_REQUEST_ID", "UNIQUE_ID")
_PARAMS = ("REQUEST_METHOD", "REQUEST_URI", *REQUEST_IDS)


class Missing(Enum):
    """Why there is no stack."""

    MOVED = "the worker moved while it was looked at"
    STRANGE = "the stack of the worker makes no sense"
    CLOSED = "the memory of the worker cannot be read"
    HIDDEN = "whether the worker moved cannot be seen: /proc is hidden"


class StackSample(Frozen):
    """A worker at one moment."""

    frames: tuple[Frame, ...]
    script: str
    params: dict[str, str]
    request: int  # its number in the worker

    @property
    def request_id(self) -> str:
        """What the web server calls the request; empty if it has no name."""
        return next((self.params[name] for name in REQUEST_IDS if self.params.get(name)), "")


class Subject(Frozen):
    """A worker to look at."""

    process: Process
    memory: Memory
    layout: Layout
    request: Callable[[], int]  # the number of the request that it runs now


def take(subject: Subject, most: int) -> StackSample | Missing:
    """Look at a worker; at most so many frames."""
    read = partial(_read, subject, most, _PARAMS)
    return _excused(lambda: _sleeping(subject.process, read) or _waiting(subject.process, read))


def sample(subject: Subject, most: int) -> StackSample | Missing:
    """Look at a worker for a statistic: in one way, whether it sleeps or runs, and without its params.

    If sleepers were looked at at once, and the others a moment later, when some of them sleep, too, then
    sleep would be seen more often than there is.
    """
    return _excused(lambda: _waiting(subject.process, partial(_read, subject, most, ())))


def _excused(look: Callable[[], StackSample | Missing | None]) -> StackSample | Missing:
    try:
        return look() or Missing.MOVED
    except Hidden:
        return Missing.HIDDEN
    except Unreadable:
        return Missing.CLOSED


def _sleeping(process: Process, read: Callable[[], StackSample | Missing]) -> StackSample | Missing | None:
    """Look at a worker that sleeps; None if it does not."""
    before = process.look()
    if not before.sleeps:
        return None
    found = read()
    return found if stillness.has_slept(before, process.look()) else None


def _waiting(process: Process, read: Callable[[], StackSample | Missing]) -> StackSample | Missing | None:
    """Look at a worker that waits because we run where it would run; None if it goes elsewhere each time.

    It may as well sleep.
    """
    ours = -1
    with stillness.own_processors():
        for _ in range(_ATTEMPTS):
            first = process.processor()
            if first != ours:
                if not stillness.run_on(first):
                    return None
                ours, first = first, process.processor()
            before = process.look()
            found = read()
            after, last = process.look(), process.processor()
            waited = stillness.has_waited(before, after, first=first, last=last, ours=ours)
            if waited or stillness.has_slept(before, after):
                if found is not Missing.STRANGE:
                    return found
                # Caught in the middle of a change: let it go on.
                time.sleep(_MOMENT)
    return None


def _read(subject: Subject, most: int, params: tuple[str, ...]) -> StackSample | Missing:
    reader = Reader(subject.layout, Pages(subject.memory.read).read)
    try:
        return StackSample(
            frames=reader.frames(most),
            script=reader.script(),
            params=reader.params(params),
            request=subject.request(),
        )
    except Implausible:
        return Missing.STRANGE
