"""Where workers are born: what each of them gets, and what all of them inherit."""

import os
from functools import partial
from mmap import mmap
from typing import NoReturn

from kraal.boot import Order
from kraal.errors import Exit
from kraal.fields import Frozen
from kraal.logs.capture import Pipes
from kraal.logs.relay import Relay
from kraal.manager import sizing
from kraal.manager.deadlines import Deadlines
from kraal.manager.frontdesk import FrontDesk
from kraal.manager.side_processes import SideProcesses
from kraal.memory.scoreboard import Scoreboard
from kraal.php.bridge import Php, birth
from kraal.unix.channel import Channel
from kraal.unix.loop import Loop
from kraal.unix.process import Pid
from kraal.worker import worker
from kraal.worker.news import News
from kraal.worker.nursery import Nursery
from kraal.worker.scribe import Scribe


class Born(Frozen):
    """A worker, and what its manager has of it."""

    pid: Pid
    slot: int
    pipes: Pipes


class Spawner:
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
        deadlines: Deadlines,
        news: News,
        scribe: Scribe | None,
        alarm: int,
        frontdesk: FrontDesk,
        side_processes: SideProcesses,
    ) -> None:
        self._order = order
        self._php = php
        self._scoreboard = scoreboard
        self._ledger = ledger
        self._relay = relay
        self._loop = loop
        self._channel = channel
        self._deadlines = deadlines
        self._news = news
        self._scribe = scribe
        self._alarm = alarm
        self._frontdesk = frontdesk
        self._manager = os.getpid()
        self._nursery = Nursery(side_processes, self._become_nursery)
        self._zygote = Nursery(side_processes, partial(self._become_nursery, zygote=True))
        self._spoken = Pipes()  # of the zygote

    def bear(self, *, resident: bool) -> Born | None:
        """A new worker; None if there is no slot for it.  Raises OSError."""
        slot = self._scoreboard.free_slot()
        if slot is None:
            return None
        self._scoreboard.prepare(slot, resident=resident)
        nursery = self._zygote
        if not (resident and self._order.fork):
            nursery = self._nursery
            nursery.open()
        pipes = Pipes.open(wanted=self._order.catch_output)
        try:
            pid = nursery.bear(self._birth(slot, resident=resident), pipes.theirs)
        except OSError:
            pipes.close()
            raise
        pipes.hand_over()
        self._scoreboard.occupy(slot, pid)
        return Born(pid, slot, pipes)

    def boot_zygote(self) -> Pid:
        """Have the worker script booted, in a process that bears residents then.  Raises OSError."""
        self._zygote.leave()
        self._spoken = Pipes.open(wanted=self._order.catch_output)
        try:
            self._zygote.open()
        except OSError:
            self._spoken.close()
            raise
        assert self._zygote.pid
        self._spoken.hand_over()
        self._relay.capture.add(self._zygote.pid, self._spoken)
        return self._zygote.pid

    @property
    def has_zygote(self) -> bool:
        """Whether it is there, as far as we know."""
        return self._zygote.pid is not None

    def end_zygote(self) -> None:
        """Bear no more residents for now, if they are the zygote's."""
        self._zygote.leave()

    def close(self) -> None:
        """Bear no more."""
        self._nursery.end()

    def _birth(self, slot: int, *, resident: bool) -> bytes:
        requests = self._order.resident_max_requests if resident else self._order.max_requests
        # Not by `random`, which is slow to import.
        chance = int.from_bytes(os.urandom(4))
        most = sizing.spread(requests, self._order.max_requests_jitter, chance)
        return birth(slot, most, resident=resident)

    def _become_nursery(self, line: int, *, zygote: bool = False) -> NoReturn:
        """Runs in the child."""
        try:
            self._nursery.close_in_child()
            self._zygote.close_in_child()
            if zygote:
                self._spoken.attach()
            log = self._relay.keep_in_child()
            window = self._deadlines.keep_in_child()
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
                line,
                window,
                log,
                self._alarm,
                self._manager,
                self._scribe.keep_in_child() if self._scribe else -1,
                self._news,
                zygote,
            )
        except BaseException:
            os._exit(Exit.SOFTWARE)
        worker.nurse_and_exit(place)
