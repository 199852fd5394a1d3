"""The workers of managers that were killed: they finish what they have, and nobody else would end them."""

import os
import resource
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice

from kraal.unix import process
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# Of the descriptors that the master may have.  A pool can leave behind as many processes as it likes.
_SHARE = 8
# So many are for all else that the master has to open.
_SPARE = 32


class Orphans:
    """The one owner of their descriptors."""

    def __init__(self, loop: Loop, changed: Callable[[int], None] = lambda _living: None) -> None:
        """`changed` is told how many are left when one has ended."""
        self._loop = loop
        self._changed = changed
        self._open: set[int] = set()

    def adopt(self, group: Pid) -> int:
        """Look after those of a manager, if they are not too many: the kernel has told all to leave.

        Returns how many they are.
        """
        before = len(self._open)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = max(0, limit // _SHARE - len(self._open))
        # Without descriptors to spare we do without.
        with suppress(OSError):
            for orphan in islice(process.open_group(group), room):
                # The kernel gives the lowest number that is free.
                if orphan >= limit - _SPARE:
                    os.close(orphan)
                    break
                self.take((orphan,))
        return len(self._open) - before

    def take(self, descriptors: Iterable[int]) -> None:
        """Look after these, which are descriptors."""
        for orphan in descriptors:
            self._open.add(orphan)
            self._loop.watch(orphan, partial(self._forget, orphan))

    def descriptors(self) -> tuple[int, ...]:
        """Of all."""
        return tuple(self._open)

    def end(self) -> None:
        """Kill them."""
        for orphan in self._open:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(orphan, signal.SIGKILL)
            os.close(orphan)
        self._open.clear()

    def _forget(self, orphan: int) -> None:
        self._open.remove(orphan)
        self._loop.unwatch(orphan)
        os.close(orphan)
        self._changed(len(self._open))
