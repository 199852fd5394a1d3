"""Workers whose manager was killed: they finish what they have, and nobody else would end them."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from kraal.unix.loop import Loop


class Orphans:
    """The one owner of their descriptors."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._fds: set[int] = set()

    def take(self, fds: Iterable[int]) -> None:
        """Look after these."""
        for fd in fds:
            self._fds.add(fd)
            self._loop.watch(fd, partial(self._forget, fd))

    def descriptors(self) -> tuple[int, ...]:
        """Of all that are left."""
        return tuple(self._fds)

    def end(self) -> None:
        """Kill them."""
        for fd in self._fds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
        self._fds.clear()

    def _forget(self, fd: int) -> None:
        self._fds.remove(fd)
        self._loop.unwatch(fd)
        os.close(fd)
