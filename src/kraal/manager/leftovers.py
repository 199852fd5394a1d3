"""Requests that wait for residents in a pool that has none any more: a reload has switched worker mode off.

Workers of the old generation pass them on for as long as they live.  Nobody takes them out of the pair of
sockets of residents but the manager, who puts them into that of the ordinary workers.
"""

import os
import stat
from contextlib import suppress

from kraal.boot import Descriptor, Order
from kraal.unix.handoff import Handoff
from kraal.unix.loop import Loop

# Until the workers have made room.
_AGAIN = 0.02


def watch(order: Order, loop: Loop, handoff: Handoff) -> Handoff:
    """Pass on what is left over, if there may be anything, and whatever comes.  Returns the handoff."""
    if not order.residents and _is_socket(Descriptor.RESIDENT_TAKE):
        _Leftovers(loop, Handoff(Descriptor.RESIDENT_GIVE, Descriptor.RESIDENT_TAKE), handoff).watch()
    return handoff


def _is_socket(fd: int) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    return False


class _Leftovers:
    def __init__(self, loop: Loop, source: Handoff, target: Handoff) -> None:
        self._loop = loop
        self._source = source
        self._target = target

    def watch(self) -> None:
        self._loop.watch(self._source.fileno(), self._pass_on)

    def _pass_on(self) -> None:
        if not self._source.pass_on(self._target):
            self._loop.unwatch(self._source.fileno())
            self._loop.call_later(_AGAIN, self.watch)
