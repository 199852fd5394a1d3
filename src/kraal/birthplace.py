"""Where workers are born: a fork of the manager with a slot, pipes and the signals of a worker."""

import os
import signal
from dataclasses import dataclass
from mmap import mmap
from typing import NoReturn

from kraal import worker
from kraal.boot import Order
from kraal.bridge import Php
from kraal.errors import Exit
from kraal.frontdesk import FrontDesk
from kraal.logs.capture import Pipes
from kraal.logs.relay import Relay
from kraal.news import News
from kraal.scoreboard import Scoreboard
from kraal.scribe import Scribe
from kraal.timekeeper import Timekeeper
from kraal.unix.channel import Channel
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# Signals that mean one thing to a manager and another to a worker.
_HANDLED = {signal.SIGQUIT, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


@dataclass(frozen=True, slots=True)
class Born:
    """A worker, and what its manager has of it."""

    pid: Pid
    slot: int
    pipes: Pipes


class Birthplace:
    """Knows what a worker inherits, and what it must not keep."""

    def __init__(
        self,
        order: Order,
        php: Php,
        scoreboard: Scoreboard,
        ledger: mmap,
        relay: Relay,
        loop: Loop,
        channel: Channel,
        timekeeper: Timekeeper,
        news: News,
        scribe: Scribe | None,
        alarm: int,
        frontdesk: FrontDesk,
    ) -> None:
        self._order = order
        self._php = php
        self._scoreboard = scoreboard
        self._ledger = ledger
        self._relay = relay
        self._loop = loop
        self._channel = channel
        self._timekeeper = timekeeper
        self._news = news
        self._scribe = scribe
        self._alarm = alarm
        self._frontdesk = frontdesk
        self._manager = os.getpid()

    def fork(self, *, resident: bool) -> Born | None:
        """A new worker; None if there is no slot for it.  Raises OSError."""
        slot = self._scoreboard.free_slot()
        if slot is None:
            return None
        self._scoreboard.prepare(slot, resident=resident)
        pipes = Pipes.open(wanted=self._order.catch_output)
        # A signal between fork and the child's own set-up would be lost: it waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = Pid(os.fork())
            if pid == 0:
                self._become_worker(slot, pipes, before, resident=resident)
        except OSError:
            pipes.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._scoreboard.occupy(slot, pid)
        return Born(pid, slot, pipes)

    def _become_worker(
        self, slot: int, pipes: Pipes, mask: set[int | signal.Signals], *, resident: bool
    ) -> NoReturn:
        """Runs in the child."""
        try:
            pipes.attach()
            log = self._relay.keep_in_child()
            self._timekeeper.open_in_child()
            self._loop.close_in_child()
            self._frontdesk.close_in_child()
            self._channel.close()
            self._news.keep_in_child()
            place = worker.Place(
                self._order,
                self._php,
                self._scoreboard,
                self._ledger,
                self._frontdesk.queue,
                slot,
                log,
                self._alarm,
                self._manager,
                pipes.unfinished,
                self._scribe.keep_in_child() if self._scribe else -1,
                self._news if resident else None,
            )
        except BaseException:
            os._exit(Exit.SOFTWARE)
        worker.serve_and_exit(place, mask)
