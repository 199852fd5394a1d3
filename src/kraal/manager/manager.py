"""A pool manager: loads PHP once, as the pool's user, and keeps as many workers as are wanted.

Executed by the master (master/launcher.py), never imported by it.  What it decides is in `sizing`
and `stop_ladder`; what it does with the system is in `unix`.
"""

import gc
import os
import signal
import sys
import traceback
from functools import partial

from kraal.boot import Descriptor, Order
from kraal.errors import Exit, StartError
from kraal.logs.relay import Level, Relay, message
from kraal.manager import leftovers, overtime, sizing, slow_log, stop_ladder, streams
from kraal.manager.arrival import arrive
from kraal.manager.crew import Asked, Crew, Worker
from kraal.manager.deadlines import Deadlines, Hands
from kraal.manager.entrances import Entrances
from kraal.manager.exit_message import describe
from kraal.manager.frontdesk import FrontDesk, Means
from kraal.manager.max_memory import MaxMemory
from kraal.manager.postmortem import Postmortem
from kraal.manager.process_max import ProcessMax
from kraal.manager.residents import Hands as ResidentHands
from kraal.manager.residents import Residents
from kraal.manager.scaling import Hands as StaffHands
from kraal.manager.scaling import Scaling
from kraal.manager.side_processes import SideProcesses
from kraal.manager.stopping import Stopping
from kraal.manager.vacancy import Vacancy
from kraal.memory.scoreboard import Scoreboard
from kraal.php import runtime
from kraal.php.bridge import OVERTIME_SIGNAL, Php
from kraal.unix import memory, process
from kraal.unix.channel import Channel, Kind
from kraal.unix.handoff import Handoff
from kraal.unix.loop import Loop
from kraal.unix.process import Pid
from kraal.worker.news import News
from kraal.worker.scribe import Scribe
from kraal.worker.spawning import Spawner


class Manager:
    """The one owner of the pool's workers."""

    def __init__(self, order: Order, php: Php, channel: Channel) -> None:
        self._order = order
        self._php = php
        self._channel = channel
        self._loop = Loop()
        self._scoreboard = Scoreboard(memory.map_shared(Descriptor.SCOREBOARD))
        self._relay = Relay(channel, self._loop, least=order.log_level, buffering=order.log_buffering)
        self._side_processes = SideProcesses(order.pool, self._loop)
        self._process_max = ProcessMax(partial(self._relay.tell, Kind.CLAIM), limited=order.rationed)
        write = partial(php.write_lines, self._scoreboard.memory)
        self._scribe = Scribe(self._side_processes, self._loop, write) if order.access else None
        ledger = memory.map_shared(Descriptor.LEDGER)
        self._postmortem = Postmortem(order, partial(php.note_ending, ledger))
        self._crew = Crew(self._scoreboard)
        self._scales = MaxMemory(order.max_memory, self._crew, self._relay.log)
        warn = partial(self._relay.log, Level.WARNING)
        board = self._scoreboard.memory
        answered = php.answered_log(order, self._scribe.pipe, board) if self._scribe else None
        notes = partial(php.note_queue, board), partial(php.note_opcache, board)
        means = Means(*notes, php.powered_by, php.version, answered, lambda: self._scaling.is_full(), warn)
        self._frontdesk = FrontDesk(order, self._loop, self._scoreboard, self._crew.count, means)
        self._news = News()
        self._handoff = leftovers.watch(order, self._loop, Handoff(Descriptor.GIVE, Descriptor.TAKE))
        listener = None if order.residents else Descriptor.LISTENER
        entrances = Entrances(listener, self._handoff, self._frontdesk.waiting, self._crew.count)
        self._scaling = Scaling(
            order,
            self._loop,
            self._crew,
            self._process_max,
            entrances,
            self._scales,
            StaffHands(
                spawn=self._spawn,
                ask_to_leave=self._ask,
                count_reached=self._scoreboard.count_reached,
                set_alarm=partial(php.set_alarm, board),
                log=self._relay.log,
                changed=self._adapt,
            ),
        )
        self._draining = False  # for a reload
        self._deadlines = Deadlines(
            overtime.Limits(order.terminate_timeout, order.terminate_grace, order.track_finished),
            self._loop,
            self._scoreboard,
            Hands(partial(php.end_request, board), OVERTIME_SIGNAL, warn),
            slow_log.of(order, php.layout(board), self._loop, self._scoreboard, self._relay),
        )
        self._climbing = Stopping(self._loop, self._crew, self._deadlines.kills, self._leave)
        patience = order.size.idle_timeout
        self._vacancy = Vacancy(
            self._loop, self._handoff, patience, offered=self._scaling.open, over=self._rest
        )
        told = (self._news, self._scribe, self._scaling.alarm, self._frontdesk, self._side_processes)
        self._spawner = Spawner(
            order, php, self._scoreboard, ledger, self._relay, self._loop, channel, self._deadlines, *told
        )
        self._residents = self._expect_residents()

    def run(self, null: int) -> None:
        """Serve until told to leave, and until the last worker has left.  `null` is /dev/null."""
        self._scoreboard.initialize()
        self._loop.watch(self._channel.fileno(), self._on_channel)
        self._relay.start()
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        # The master's signals come over the channel.  From elsewhere these two mean the same.
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        self._loop.on_signal(signal.SIGINT, self._terminate)
        self._loop.on_signal(signal.SIGQUIT, self._quit)
        self._frontdesk.open()
        gc.freeze()
        gc.enable()  # see master/launcher.py
        streams.let_go_of_terminal(null)
        self._scales.check()
        begin = self._residents.start if self._residents else self._serve
        begin()
        self._loop.run()

    def _serve(self) -> None:
        self._scaling.fill(Level.DEBUG)  # the first workers are nothing to speak of
        self._relay.tell(Kind.READY)

    # ------------------------------------------------------------ residents

    def _expect_residents(self) -> Residents | None:
        if not self._order.script:
            return None
        hands = ResidentHands(
            spawn=partial(self._spawn, Level.DEBUG, resident=True),
            ask_to_leave=partial(self._ask, why=Asked.REPLACED),
            served=self._crew.requests,
            log=self._relay.log,
            ready=self._serve,
            failed=partial(self._give_up, partial(self._relay.send, Kind.FAILED)),
            ended=partial(self._give_up, partial(self._relay.log, Level.ERROR)),
        )
        return Residents(self._order, self._loop, self._news, self._side_processes, self._spawner, hands)

    def _give_up(self, tell: partial[None], why: str) -> None:
        """Nobody is served yet, and nobody can be."""
        tell(why)
        self._terminate()

    # ------------------------------------------------------------ workers

    def _adapt(self) -> None:
        """The number of workers may have changed."""
        self._frontdesk.keep()
        # With residents `Scaling` has that door.
        self._vacancy.see(vacant=self._scaling.is_empty and not self._residents)

    def _ask(self, pid: int, why: Asked) -> None:
        self._crew.ask(pid, why)
        process.send(pid, signal.SIGQUIT)

    def _spawn(self, level: Level, *, resident: bool = False) -> Pid | None:
        born = self._spawner.bear(resident=resident)
        if born is None:
            return None
        self._crew.join(born.pid, born.slot, self._loop.now(), resident=resident)
        self._deadlines.add(born.pid, born.slot)
        self._relay.capture.add(born.pid, born.pipes)
        self._relay.log(level, f"child {born.pid} started")
        return born.pid

    def _reap(self) -> None:
        alone = False
        for gone in process.reap():
            self._side_processes.buried(gone.pid)
            if dead := self._crew.part(gone.pid):
                self._bury(dead, gone)
            alone = self._residents is not None and self._residents.part(gone)
        if not self._climbing.begun:
            self._scaling.refill(wanted=self._scaling.is_empty and (self._handoff.close_idle() or alone))
            return
        self._process_max.share(len(self._crew.ordinary), 0)
        if not self._crew:
            self._leave()

    def _bury(self, dead: Worker, gone: process.Exit) -> None:
        age = self._loop.now() - dead.started
        failed = gone.code != Exit.OK and sizing.is_failed_start(age, self._scoreboard.requests(dead.slot))
        self._deadlines.remove(dead.pid)
        state = self._scoreboard.worker(dead.slot)
        self._php.vacate(self._scoreboard.memory, dead.slot)
        os.eventfd_write(Descriptor.POKE, 1)
        if gone.signal in (signal.SIGSEGV, signal.SIGBUS):
            self._relay.tell(Kind.CRASHED)
        level = Level.NOTICE if gone.code == Exit.OK or gone.signal == signal.SIGQUIT else Level.WARNING
        end = f"exited {gone}"
        as_asked = gone.signal in (None, signal.SIGQUIT)
        if dead.asked is Asked.SPARE and as_asked:
            level, end = Level.DEBUG, "has been killed by the process management"
        if not dead.resident:
            self._scaling.lost(failed=failed, against_plan=dead.asked is Asked.SPARE and not as_asked)
        if self._climbing.begun:
            level = Level.DEBUG
        self._relay.log(level, describe(self._postmortem.examine(gone, dead, end, age, state)))

    # ------------------------------------------------------------ leaving

    def _on_channel(self) -> None:
        try:
            for kind, payload, descriptors in self._channel.receive_all():
                if kind == Kind.FILE and self._scribe and descriptors:
                    self._scribe.use(descriptors[0])
                if kind in (Kind.QUIT, Kind.TERMINATE):
                    self._handoff.end()
                if kind == Kind.QUIT:
                    self._quit()
                elif kind == Kind.DRAIN:
                    self._drain()
                elif kind == Kind.TERMINATE:
                    self._terminate()
                elif kind == Kind.GRANT:
                    self._process_max.hear(payload)
                    self._scaling.fill(Level.DEBUG)
                elif kind == Kind.REST:
                    self._rest()
                elif kind == Kind.SPEAK:
                    self._relay.look()
                    self._relay.tell(Kind.SPOKEN)
        except EOFError:
            # The master is gone, or its successor has failed: nobody would replace us or stop us.
            self._loop.unwatch(self._channel.fileno())
            self._loop.when_ended(self._order.master, self._handoff.end)
            self._quit()

    def _rest(self) -> None:
        """Leave, if there is no worker: the master sees who comes, and starts another manager."""
        if not self._scaling.is_empty or self._residents:
            return
        if self._handoff.close_idle():
            self._scaling.open()
            return
        self._relay.tell(Kind.LEAVING)
        self._climb(())

    def _drain(self) -> None:
        if not self._climbing.begun:
            self._draining = True
            self._climb(stop_ladder.drain_ladder(self._order.drain_timeout))

    def _quit(self) -> None:
        # Draining may have no end; a stop has.
        if not self._climbing.begun or self._draining:
            self._draining = False
            self._climb(stop_ladder.quit_ladder(self._order.quit_timeout))

    def _terminate(self) -> None:
        self._draining = False
        self._climb(stop_ladder.terminate_ladder(self._order.control_timeout))

    def _climb(self, ladder: tuple[stop_ladder.Step, ...]) -> None:
        """Whoever comes now is not our business."""
        if self._residents:
            self._residents.stop()
        self._scaling.end()
        self._frontdesk.rest()
        self._vacancy.see(vacant=False)
        self._process_max.share(len(self._crew.ordinary), 0)
        self._spawner.close()
        self._climbing.climb(ladder)

    def _leave(self) -> None:
        self._frontdesk.close()
        if self._scribe and (text := self._scribe.finish(self._scoreboard.untold)):
            self._relay.log(Level.WARNING, text)
        self._relay.finish()
        self._loop.stop()


def main() -> int:
    """The manager's whole life.  Returns the exit code."""
    channel = Channel(Descriptor.CHANNEL)
    order, null = arrive()
    try:
        php = runtime.start(order)
        manager = Manager(order, php, channel)
    except (StartError, OSError) as error:
        channel.send(Kind.FAILED, str(error).encode("utf-8", "backslashreplace"))
        return Exit.SOFTWARE
    if not php.has_opcache():
        text = "OPcache is not loaded: every request compiles its scripts anew"
        channel.offer(Kind.LOG, message(Level.WARNING, text))
    try:
        manager.run(null)
    except Exception:
        # A defect of ours.  Standard error may be closed by now, so the log has to tell.
        for line in traceback.format_exc().splitlines():
            channel.offer(Kind.LOG, message(Level.ERROR, line))
        return Exit.SOFTWARE
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
