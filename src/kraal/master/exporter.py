"""The master's side of `metrics.listen`: has figures served, and says how its pools are.

What serves is a program of its own (`metrics.server`), so that no stranger talks to the master.  There is a
line between the two.  When the master executes itself the line ends: the program lets in nobody else and
leaves, and the next master starts another one on the same listener.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from kraal.config.model import Pool
from kraal.logs.error import ErrorLog
from kraal.manager import sizing
from kraal.master.health import Health
from kraal.master.launcher import SEARCH_PATH
from kraal.unix import memory, process
from kraal.unix.loop import Loop

_MOST_ASKED = 16
# Names that fit into a message.
_MOST_NAMED = 1000


class Exporter:
    """The one owner of the process."""

    def __init__(
        self,
        loop: Loop,
        log: ErrorLog,
        pool: Pool | None,
        listener: Callable[[str], tuple[int, ...]],
        health: Callable[[], Mapping[str, Health]],
    ) -> None:
        """`pool` is what was made a pool of; None: nothing is to be served."""
        self._loop = loop
        self._log = log
        self._pool = pool
        self._listener = listener
        self._health = health
        self._line: socket.socket | None = None
        self._pid = 0
        self._failures = 0
        self._started = 0.0

    def start(self) -> None:
        """Serve from now on."""
        if not self._pool:
            return
        self._started = self._loop.now()
        try:
            self._execute(self._pool)
        except OSError as error:
            self._log.error(f"cannot serve metrics: {error.strerror} ({error.errno})")
            self._again()

    def _execute(self, pool: Pool) -> None:
        account = pool.account if os.geteuid() == 0 else None
        order = {
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
            "networks": pool.allowed_clients.networks if pool.allowed_clients else None,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        filled = -1
        try:
            filled = memory.create_filled("kraal-exporter", json.dumps(order).encode())
            argv = [sys.executable, "-I", "-m", "kraal.metrics.server"]
            descriptors = [theirs.fileno(), *self._listener(pool.name)[:1], filled]
            self._pid = process.execute(argv, {"PATH": SEARCH_PATH}, descriptors)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            if filled >= 0:
                os.close(filled)
        self._line = ours
        self._loop.watch(ours.fileno(), self._answer)

    def _answer(self) -> None:
        """Say which pools are down, and which are not, as often as it asked."""
        assert self._line, "what is watched is open"
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for _ in range(_MOST_ASKED):
                if not self._line.recv(1, socket.MSG_DONTWAIT):
                    self._hang_up()
                    return
                self._line.send(json.dumps(self._told()).encode(), socket.MSG_DONTWAIT)

    def _told(self) -> dict[str, list[str]]:
        health = self._health()
        down = [name for name, how in health.items() if how is Health.DOWN]
        up = [name for name, how in health.items() if how is not Health.DOWN]
        return {"down": down[:_MOST_NAMED], "up": up[:_MOST_NAMED]}

    def _hang_up(self) -> None:
        if self._line:
            self._loop.unwatch(self._line.fileno())
            self._line.close()
            self._line = None

    def reaped(self, gone: process.Exit) -> None:
        """A child that is no manager has ended."""
        if not self._pid or gone.pid != self._pid:
            return
        self._pid = 0
        self._hang_up()
        age = self._loop.now() - self._started
        self._failures = self._failures + 1 if age < sizing.HEALTHY_AGE else 0
        self._log.warning(f"metrics: process {gone.pid} exited {gone}; starting another")
        self._again()

    def _again(self) -> None:
        self._loop.call_later(sizing.respawn_delay(self._failures), self.start)
