"""The pool managers of a master: executes them, hears them, buries them, starts others in their place."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from functools import partial
from itertools import islice

from kraal.config.model import Config, LogLevel, Pool
from kraal.errors import Exit, StartError
from kraal.fields import Frozen
from kraal.logs.error import ErrorLog, Origin, Speaker, clean
from kraal.manager import sizing, stop_ladder
from kraal.master import access_files, slow_logs
from kraal.master.budget import Claim
from kraal.master.dormancy import Dormancy, may_sleep, rehearsed
from kraal.master.generation import Event, State
from kraal.master.health import Health, health
from kraal.master.hearing import PATIENCE as HEARING
from kraal.master.hearing import Hearing
from kraal.master.launch import MOST_ENDED, Launch, Verdict
from kraal.master.launcher import Launcher, Manager, Setting
from kraal.master.listeners import Listeners
from kraal.master.orphans import Orphans
from kraal.master.process_max import ProcessMax
from kraal.master.scoreboards import Boards
from kraal.reload.estate import Tenant
from kraal.unix import process
from kraal.unix.channel import Kind, Output
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# Messages of one manager, and then others have their turn.
_TURN = 64
_MOST_SAID = 1 << 16  # of what PHP says while it starts
_LOOK = 1.0
# A manager that is stuck longer than its stop ladder takes is killed with all its workers.
_GRACE = 3.0


class Owner(Frozen):
    """Who is told what happens."""

    launched: Callable[[], None]  # every pool serves, for the first time
    failed: Callable[[StartError], None]  # one of them cannot, before that
    emptied: Callable[[], None]  # there is no manager any more
    crashed: Callable[[], None] = lambda: None  # a worker has


class Managers:
    """The one owner of their table."""

    def __init__(
        self,
        loop: Loop,
        config: Config,
        setting: Setting,
        log: ErrorLog,
        listeners: Listeners,
        owner: Owner,
    ) -> None:
        self._loop = loop
        self._pools = {pool.name: pool for pool in config.pools}
        self._log = log
        self._owner = owner
        self.boards = Boards(time.time())
        self.launcher = Launcher(config, setting, self.boards, listeners.descriptors)
        self._listeners = listeners
        self._dormancy = Dormancy(loop, self._doors, self._wake)
        self._hearing = Hearing(loop)
        self._table: dict[Pid, Manager] = {}
        self._failed_starts: dict[str, int] = {}
        self.process_max = ProcessMax(config, self._grant, log.warning)
        self.orphans = Orphans(loop, self.process_max.count_orphans)
        self._launch = Launch(self._pools)
        self.launched = False
        self.stopping = False

    def __bool__(self) -> bool:
        return bool(self._table)

    # ------------------------------------------------------------ starting

    def start(self, *, served: Set[str] = frozenset()) -> None:
        """Start a manager for each pool that is not served elsewhere, as soon as the loop runs.

        Pools that may sleep need none to be served; they sleep from `let_sleep` on.
        """
        asleep = {pool.name for pool in self._pools.values() if may_sleep(pool)}
        for pool in self._pools.values():
            if pool.name not in served | asleep:
                self._loop.call_later(0, partial(self._start, pool))
        rehearsal = rehearsed(self._pools.values())
        if rehearsal and rehearsal.name not in served:
            asleep -= {rehearsal.name}
            self._loop.call_later(0, partial(self._start, rehearsal, rehearsing=True))
        self._launch.wait_for_all_but(served | asleep)
        self._loop.call_later(0, self.check_launched)

    def take_over(self, tenants: Iterable[Tenant], *, superseded: bool = False) -> list[Manager]:
        """Go on with managers that others executed, but that are our children now."""
        taken = []
        for tenant in tenants:
            if not process.is_child(tenant.pid):
                # It ended on the way from master to master, and was reaped for a stranger.
                os.close(tenant.fd)
                continue
            manager = Manager.of(tenant)
            if superseded:
                manager.happened(Event.SUPERSEDED)
            claim = Claim(tenant.serial, tenant.wanted, tenant.granted, leaving=superseded)
            self.process_max.take(manager.pid, claim)
            self._add(manager)
            taken.append(manager)
        return taken

    def resume(self) -> None:
        """Begin in the middle: everything is taken over, and what ended meanwhile is started again."""
        self.launched = True
        for manager in self._table.values():
            if manager.state is State.SERVING:
                manager.decorated = self._pools[manager.pool].decorate_workers_output
        at_work = self._at_work()
        for pool in self._pools.values():
            if pool.name not in at_work and not may_sleep(pool):
                self._start_again(pool, failed=False)

    def let_sleep(self) -> None:
        """From now on pools that have no manager and need none get one when somebody comes."""
        at_work = self._at_work()
        for pool in self._pools.values():
            if may_sleep(pool) and pool.name not in at_work:
                self._dormancy.begin(pool.name)

    def _at_work(self) -> set[str]:
        return {each.pool for each in self._table.values() if each.state is not State.DRAINING}

    def tenants(self) -> tuple[Tenant, ...]:
        """What there is to take over."""
        return tuple(each.tenant(self.process_max[each.pid]) for each in self._table.values())

    def _start(self, pool: Pool, *, rehearsing: bool = False) -> None:
        if self.stopping:
            return
        try:
            manager = self.launcher.execute(pool, self._loop.now(), self._table.keys())
        except OSError as error:
            # Too many processes or descriptors, or no memory: that may pass.
            text = f"[pool {pool.name}] cannot start a manager: {error.strerror} ({error.errno})"
            self._fail(StartError(text, exit=Exit.SOFTWARE))
            self._start_again(pool, failed=True)
            return
        manager.rehearsing = rehearsing
        self._add(manager)
        self._hand_access_log(manager)
        self._loop.call_later(_LOOK, partial(self._end_if_stopped, manager))

    def _end_if_stopped(self, manager: Manager) -> None:
        """Its user can stop a manager that starts, and whoever waits for it would wait for ever."""
        if manager.state is not State.STARTING:
            return
        if process.is_stopped(manager.pid):
            text = f"manager {manager.pid} was stopped while it started: killing it"
            self._log.warning(f"[pool {manager.pool}] {text}")
            process.send(manager.pid, signal.SIGKILL)
        self._loop.call_later(_LOOK, partial(self._end_if_stopped, manager))

    def _start_again(self, pool: Pool, *, failed: bool) -> None:
        """Start another manager, or wait for who needs one; later if earlier ones have failed."""
        failures = self._failed_starts.get(pool.name, 0) + 1 if failed else 0
        self._failed_starts[pool.name] = failures
        again = self._rest if may_sleep(pool) else self._start
        self._loop.call_later(sizing.respawn_delay(failures), partial(again, pool))

    def _rest(self, pool: Pool) -> None:
        if not self.stopping:
            self._dormancy.begin(pool.name)

    def _doors(self, pool: str) -> tuple[int, ...]:
        """What can be read when somebody comes, if only for the local pages."""
        return (*self._listeners.doors(pool), *self.launcher.pages(self._pools[pool]))

    def _wake(self, pool: str) -> None:
        self._log.debug(f"[pool {pool}] somebody has come: starting a manager")
        self._start(self._pools[pool])

    def _hand_access_log(self, manager: Manager) -> None:
        """Open the file, as the manager may not.  What is written meanwhile waits for it."""
        if not manager.access_log:
            return
        try:
            file = access_files.open_file(manager.access_log)
        except StartError as error:
            self._log.error(str(error))
            return
        if not manager.channel.hand(Kind.FILE, file):
            self._log.error(f"[pool {manager.pool}] the manager does not take its access log: it is too busy")
        os.close(file)

    def reopen_access_logs(self, then: Callable[[], None]) -> None:
        """Have lines go to new files of the same names; call when they do, if there are any."""
        for manager in self._table.values():
            self._hand_access_log(manager)
        # A pool that sleeps opens its file anew when it wakes.
        paths = [each.access_log for each in self._table.values()]
        if any(paths) or any(pool.access_log for pool in self._pools.values()):
            self.hear_out(then)

    def _add(self, manager: Manager) -> None:
        self._table[manager.pid] = manager
        self._loop.watch(manager.channel.fileno(), lambda: self._on_message(manager))

    # ------------------------------------------------------------ hearing

    def _on_message(self, manager: Manager) -> None:
        try:
            # Not more at once: a pool that talks without end must not keep the others waiting.
            for kind, payload in islice(manager.channel.receive(), _TURN):
                self._obey(manager, kind, payload)
        except EOFError:
            self._loop.unwatch(manager.channel.fileno())

    def _obey(self, manager: Manager, kind: int, payload: bytes) -> None:
        """A manager may be in the hands of whoever broke into its pool: unknown things are ignored."""
        if kind == Kind.LOG and payload:
            level = min(max(payload[0], LogLevel.DEBUG), LogLevel.ALERT)
            text = clean(payload[1:].decode("utf-8", "backslashreplace"))
            # The name comes from here: no pool speaks for another one, or for the master.
            self._log.relay(LogLevel(level), f"[pool {manager.pool}] {text}", Origin(manager.pid))
        elif kind == Kind.OUTPUT and (output := Output.from_bytes(payload)):
            self._log.say(_speaker(manager, output), output.text, closed=output.closed)
        elif kind == Kind.SLOW:
            slow_logs.write(self._pools.get(manager.pool), payload, self._log)
        elif kind == Kind.SPOKEN:
            self._hearing.heard(manager.pid)
        elif kind == Kind.CLAIM:
            self.process_max.hear(manager.pid, manager.pool, payload)
        elif kind == Kind.CRASHED:
            self._owner.crashed()
        elif kind == Kind.READY and manager.state is State.STARTING:
            manager.happened(Event.READY)
            self.check_launched()
            self._hear_start(manager)
            if manager.rehearsing:
                manager.channel.offer(Kind.REST)
        elif kind == Kind.LEAVING and manager.state is State.SERVING:
            manager.happened(Event.RESTED)
            self._log.debug(f"[pool {manager.pool}] nobody comes: manager {manager.pid} leaves")
            self._loop.call_later(_GRACE, partial(self._kill, manager))
        elif kind == Kind.FAILED and manager.state is State.STARTING:
            text = clean(payload.decode("utf-8", "backslashreplace"))
            self._fail(StartError(f"[pool {manager.pool}] {text}", exit=Exit.SOFTWARE))

    def _grant(self, pid: Pid, payload: bytes) -> None:
        manager = self._table.get(pid)
        if not manager or manager.channel.offer(Kind.GRANT, payload):
            return
        # One that has closed its side and does not read is not watched any more, and needs nothing.
        with suppress(KeyError):
            self._loop.watch_room(manager.channel.fileno(), partial(self._grant_again, manager))

    def _grant_again(self, manager: Manager) -> None:
        self._loop.unwatch_room(manager.channel.fileno())
        self.process_max.repeat(manager.pid)

    def _hear_start(self, manager: Manager) -> None:
        """Log what PHP and its extensions have written while they started, as if a worker had."""
        if manager.said is None:
            return
        text = os.pread(manager.said, _MOST_SAID, 0)
        os.close(manager.said)
        manager.said = None
        if text:
            self._log.say(_speaker(manager, Output(2, manager.pid, text)), text.rstrip(b"\n") + b"\n")

    def serving(self) -> set[str]:
        """The pools that have a manager whose workers serve."""
        return {manager.pool for manager in self._table.values() if manager.state is State.SERVING}

    def health(self) -> dict[str, Health]:
        """How each pool is."""
        failing = {pool for pool, failures in self._failed_starts.items() if failures}
        return {name: health(pool, self._table.values(), failing) for name, pool in self._pools.items()}

    def check_launched(self) -> None:
        """Tell the owner, once, when every pool is served."""
        if not self.launched and self._launch.is_complete(self.serving()):
            self.launched = True
            self._owner.launched()

    def _fail(self, failure: StartError) -> None:
        if self.launched:
            self._log.error(str(failure))
        elif not self.stopping:
            self._owner.failed(failure)

    # ------------------------------------------------------------ burying

    def reap(self) -> list[process.Exit]:
        """Bury the managers that have ended.  Returns the children that were none."""
        others = []
        for gone in process.reap():
            manager = self._table.pop(gone.pid, None)
            if manager:
                self._bury(manager, gone)
            else:
                others.append(gone)
        if not self._table:
            self._owner.emptied()
        return others

    def _bury(self, manager: Manager, gone: process.Exit) -> None:
        # Its last words, before the channel is closed.
        self._on_last_message(manager)
        self._hear_start(manager)
        self._hearing.heard(gone.pid)
        last, age = manager.state, self._loop.now() - manager.started
        manager.happened(Event.EXITED)
        self.process_max.bury(gone.pid, self.orphans.adopt(gone.pid))
        if gone.code != Exit.OK:
            self.boards.replace_of(gone.pid)
        if self.stopping or last is State.DRAINING:
            return
        pool = self._pools[manager.pool]
        if last is State.LEAVING:
            self._start_again(pool, failed=False)
            return
        text = f"[pool {manager.pool}] manager {gone.pid} exited {gone} after {age:.6f} seconds from start"
        if not self.launched:
            self._launch_on(manager, gone, text)
            return
        what = "whoever comes next starts another" if may_sleep(pool) else "starting another"
        self._log.warning(f"{text}; {what}")
        self._start_again(pool, failed=last is State.STARTING or age < sizing.HEALTHY_AGE)

    def _launch_on(self, manager: Manager, gone: process.Exit, text: str) -> None:
        """Go on with the start, if it was somebody else who ended this manager."""
        pool, told = self._pools[manager.pool], gone.code in (None, Exit.OK)
        verdict = self._launch.ended(pool.name) if told else Verdict.FAILS
        if verdict is Verdict.FAILS:
            why = f": somebody has ended it {MOST_ENDED} times, and no other pool serves" if told else ""
            self._fail(StartError(text + why, exit=Exit.SOFTWARE))
            return
        forgone = verdict is Verdict.GOES_ON_WITHOUT
        self._log.warning(f"{text}; starting another{', and not waiting for it' if forgone else ''}")
        if not manager.rehearsing:
            self._start_again(pool, failed=True)
        elif not forgone:
            self._start(pool, rehearsing=True)
        self.check_launched()

    def _on_last_message(self, manager: Manager) -> None:
        with suppress(KeyError):
            self._loop.unwatch(manager.channel.fileno())
        with suppress(EOFError):
            for kind, payload in manager.channel.receive():
                self._obey(manager, kind, payload)
        manager.channel.close()

    # ------------------------------------------------------------ leaving

    def hear_out(self, then: Callable[[], None], patience: float = HEARING) -> None:
        """Call when the managers have done what they were told, and passed on what they have to say."""
        speaking = [each for each in self._table.values() if each.state is not State.STARTING]
        self._hearing.hold([(each.pid, each.channel) for each in speaking], then, patience)

    def drain(self, manager: Manager) -> None:
        """Let a manager that was superseded finish what its workers run, and leave."""
        if self._table.get(manager.pid) is not manager:
            return
        manager.channel.offer(Kind.DRAIN)
        if manager.patience is not None:
            longest = stop_ladder.duration(stop_ladder.quit_ladder(manager.patience)) + _GRACE
            self._loop.call_later(longest, lambda: self._kill(manager))

    def stop(self, kind: Kind, longest: float) -> None:
        """Tell all to leave; who has not left after the longest time, in seconds, and some more is killed."""
        self.stopping = True
        self._dormancy.end_all()
        for manager in self._table.values():
            manager.happened(Event.SUPERSEDED)
            self.process_max.retire(manager.pid)
            manager.channel.offer(kind)
            self._loop.call_later(longest + _GRACE, partial(self._kill, manager))

    def _kill(self, manager: Manager) -> None:
        if self._table.get(manager.pid) is not manager:
            return
        text = f"manager {manager.pid} does not leave: killing its process group"
        self._log.warning(f"[pool {manager.pool}] {text}")
        process.send_group(manager.pid, signal.SIGKILL)


def _speaker(manager: Manager, output: Output) -> Speaker:
    stream = "stdout" if output.stream == 1 else "stderr"
    return Speaker(manager.pool, output.pid, stream, manager.decorated)
