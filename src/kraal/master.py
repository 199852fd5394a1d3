"""The master: owns listeners and pool managers, writes the log, answers signals.  It never loads PHP."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from kraal import generation, scoreboard, sizing, stopping
from kraal.boot import Php
from kraal.config.model import Config, LogLevel, Pool
from kraal.errors import Exit, StartError
from kraal.generation import Event, State
from kraal.hearing import Hearing
from kraal.listeners import Listeners
from kraal.logs.error import ErrorLog, Origin, Speaker, clean
from kraal.orders import order_for, quit_timeout
from kraal.unix import memory, privileges, process
from kraal.unix.channel import Channel, Kind, Output
from kraal.unix.inherited import Passed
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid

# A manager that is stuck longer than its stop ladder takes is killed with all its workers.
_GRACE = 3.0
# Messages of one manager, and then others have their turn.
_TURN = 64
# Of what PHP says while it starts.
_MOST_SAID = 1 << 16
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Manager:
    """A pool manager that was executed."""

    pool: Pool
    pid: Pid
    channel: Channel
    said: int | None  # see Descriptor.SAID; until it was read
    started: float
    state: State = State.STARTING

    def happened(self, event: Event) -> None:
        """Go on to the next state."""
        self.state = generation.advance(self.state, event)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the command line and the process bring along."""

    php: Php
    environ: Mapping[str, str]
    as_root: bool
    passed: tuple[Passed, ...] = ()  # sockets


class Master:
    """Everything that runs for one configuration."""

    def __init__(self, config: Config, setting: Setting, log: ErrorLog, ready: Callable[[], None]) -> None:
        self._config = config
        self._setting = setting
        self._log = log
        self._ready = ready
        self._loop = Loop()
        self._hearing = Hearing(self._loop)
        self._listeners = Listeners(log)
        self._managers: dict[Pid, Manager] = {}
        self._failed_starts: dict[str, int] = {}
        # Descriptors of the workers that a manager left behind when it was killed.
        self._orphans: set[int] = set()
        self._launched = False
        self._stopping = False
        self._kill_timer: Timer | None = None
        self._failure: StartError | None = None

    def run(self) -> None:
        """Start all pools and stay until stopped.  Raises StartError if they cannot start."""
        with ExitStack() as stack:
            stack.callback(self._listeners.close)
            self._listeners.open(self._config.pools, self._setting.passed)
            stack.enter_context(_pid_file(self._config.global_.pid))
            self._log.notice(f"fpm is running, pid {os.getpid()}")
            self._watch_signals()
            for pool in self._config.pools:
                self._loop.call_later(0, partial(self._start, pool))
            stack.callback(self._end_orphans)
            self._loop.run()
        if self._failure:
            raise self._failure
        self._log.notice("exiting, bye-bye!")

    # ------------------------------------------------------------ managers

    def _start(self, pool: Pool) -> None:
        if self._stopping:
            return
        try:
            self._execute(pool)
        except OSError as error:
            # Too many processes or descriptors, or no memory: that may pass.
            text = f"[pool {pool.name}] cannot start a manager: {error.strerror} ({error.errno})"
            self._fail(StartError(text, exit=Exit.SOFTWARE))
            self._start_again(pool, failed=True)

    def _start_again(self, pool: Pool, *, failed: bool) -> None:
        failures = self._failed_starts.get(pool.name, 0) + 1 if failed else 0
        self._failed_starts[pool.name] = failures
        self._loop.call_later(sizing.respawn_delay(failures), partial(self._start, pool))

    def _execute(self, pool: Pool) -> None:
        account = pool.account
        groups = tuple(privileges.groups_of(account.name, account.gid)) if account else ()
        order = order_for(
            pool,
            self._config.global_,
            php=self._setting.php,
            environ=self._setting.environ,
            as_root=self._setting.as_root,
            groups=groups,
        )
        # -I: neither the environment nor the working folder may bring in other modules.
        argv = [sys.executable, "-I", "-m", "kraal.pool"]
        with ExitStack() as failed, ExitStack() as lent:
            ours, theirs = Channel.pair()
            failed.callback(ours.close)
            lent.callback(theirs.close)
            board = memory.create(f"kraal-{pool.name}", scoreboard.size_for(pool.pm_max_children))
            lent.callback(os.close, board)
            filled = memory.create_filled("kraal-order", order.to_bytes())
            lent.callback(os.close, filled)
            said = memory.create_filled("kraal-said", b"")
            failed.callback(os.close, said)
            descriptors = [theirs.fileno(), self._listeners.fileno(pool.name), board, filled, said]
            pid = process.execute(argv, {"PATH": _SEARCH_PATH}, descriptors)
            failed.pop_all()
        manager = Manager(pool, pid, ours, said, self._loop.now())
        self._managers[pid] = manager
        self._loop.watch(ours.fileno(), lambda: self._on_message(manager))

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
            self._log.relay(LogLevel(level), f"[pool {manager.pool.name}] {text}", Origin(manager.pid))
        elif kind == Kind.OUTPUT and (output := Output.from_bytes(payload)):
            self._log.say(_speaker(manager.pool, output), output.text, closed=output.closed)
        elif kind == Kind.SPOKEN:
            self._hearing.heard(manager.pid)
        elif kind == Kind.READY and manager.state is State.STARTING:
            manager.happened(Event.READY)
            self._check_launched()
            self._hear_start(manager)
        elif kind == Kind.FAILED and manager.state is State.STARTING:
            text = clean(payload.decode("utf-8", "backslashreplace"))
            self._fail(StartError(f"[pool {manager.pool.name}] {text}", exit=Exit.SOFTWARE))

    def _hear_start(self, manager: Manager) -> None:
        """Log what PHP and its extensions have written while they started, as if a worker had."""
        if manager.said is None:
            return
        text = os.pread(manager.said, _MOST_SAID, 0)
        os.close(manager.said)
        manager.said = None
        if text:
            speaker = _speaker(manager.pool, Output(2, manager.pid, text, closed=False))
            self._log.say(speaker, text.rstrip(b"\n") + b"\n")

    def _check_launched(self) -> None:
        serving = {manager.pool.name for manager in self._managers.values() if manager.state is State.SERVING}
        if not self._launched and len(serving) == len(self._config.pools):
            self._launched = True
            self._log.notice("ready to handle connections")
            self._ready()

    def _fail(self, failure: StartError) -> None:
        if self._launched:
            self._log.error(str(failure))
        elif not self._failure:
            self._failure = failure
            self._stop(Kind.TERMINATE)

    def _reap(self) -> None:
        for gone in process.reap():
            manager = self._managers.pop(gone.pid, None)
            if manager:
                self._bury(manager, gone)
        if self._stopping and not self._managers:
            self._loop.stop()

    def _bury(self, manager: Manager, gone: process.Exit) -> None:
        # Its last words, before the channel is closed.
        self._on_last_message(manager)
        self._hear_start(manager)
        self._hearing.heard(gone.pid)
        age = self._loop.now() - manager.started
        failed = manager.state is State.STARTING or age < sizing.HEALTHY_AGE
        manager.happened(Event.EXITED)
        self._adopt_orphans(gone.pid)
        if self._stopping:
            return
        name = manager.pool.name
        text = f"[pool {name}] manager {gone.pid} exited {gone} after {age:.6f} seconds from start"
        if not self._launched:
            self._fail(StartError(text, exit=Exit.SOFTWARE))
            return
        self._log.warning(f"{text}; starting another")
        self._start_again(manager.pool, failed=failed)

    def _adopt_orphans(self, session: Pid) -> None:
        """The workers of a manager that was killed finish what they have; nobody else would end them."""
        for orphan in process.open_session(session):
            self._orphans.add(orphan)
            self._loop.watch(orphan, partial(self._forget_orphan, orphan))

    def _forget_orphan(self, orphan: int) -> None:
        self._orphans.remove(orphan)
        self._loop.unwatch(orphan)
        os.close(orphan)

    def _end_orphans(self) -> None:
        for orphan in self._orphans:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(orphan, signal.SIGKILL)
            os.close(orphan)

    def _on_last_message(self, manager: Manager) -> None:
        with suppress(KeyError):
            self._loop.unwatch(manager.channel.fileno())
        with suppress(EOFError):
            for kind, payload in manager.channel.receive():
                self._obey(manager, kind, payload)
        manager.channel.close()

    # ------------------------------------------------------------ stopping

    def _watch_signals(self) -> None:
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGINT, self._terminate)
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        self._loop.on_signal(signal.SIGQUIT, self._quit)
        self._loop.on_signal(signal.SIGUSR1, self._reopen_log)
        # Reloading is not there yet; the default action of its signals would end us.
        for number in (signal.SIGUSR2, signal.SIGHUP):
            self._loop.on_signal(number, self._explain_ignored(number))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _explain_ignored(self, number: signal.Signals) -> Callable[[], None]:
        return lambda: self._log.warning(f"{number.name} is not in force in this version of kraal")

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
            self._log.notice("error log file re-opened")
        except StartError as error:
            self._log.error(str(error))

    def _terminate(self) -> None:
        self._hear_out(self._terminate_now)

    def _terminate_now(self) -> None:
        self._log.notice("Terminating ...")
        self._stop(Kind.TERMINATE)

    def _quit(self) -> None:
        self._hear_out(self._quit_now)

    def _quit_now(self) -> None:
        self._log.notice("Finishing ...")
        self._stop(Kind.QUIT)

    def _hear_out(self, then: Callable[[], None]) -> None:
        serving = [each for each in self._managers.values() if each.state is State.SERVING]
        self._hearing.hold([(each.pid, each.channel) for each in serving], then)

    def _stop(self, kind: Kind) -> None:
        self._stopping = True
        if not self._managers:
            self._loop.stop()
            return
        for manager in self._managers.values():
            manager.happened(Event.SUPERSEDED)
            manager.channel.offer(kind)
        if self._kill_timer:
            self._kill_timer.cancel()
        self._kill_timer = self._loop.call_later(self._longest_stop(kind), self._kill)

    def _longest_stop(self, kind: Kind) -> float:
        global_ = self._config.global_
        if kind is Kind.QUIT:
            return stopping.duration(stopping.quit_ladder(quit_timeout(global_))) + _GRACE
        return stopping.duration(stopping.terminate_ladder(float(global_.process_control_timeout))) + _GRACE

    def _kill(self) -> None:
        for manager in self._managers.values():
            self._log.warning(
                f"[pool {manager.pool.name}] manager {manager.pid} does not leave: killing its process group"
            )
            process.send_group(manager.pid, signal.SIGKILL)


def _speaker(pool: Pool, output: Output) -> Speaker:
    stream = "stdout" if output.stream == 1 else "stderr"
    return Speaker(pool.name, output.pid, stream, pool.decorate_workers_output)


@contextmanager
def _pid_file(path: str | None) -> Iterator[None]:
    """Our pid in a file for as long as we live."""
    if path is None:
        yield
        return
    try:
        # The file of an instance that was killed may be a link by now, or have another mode.
        with suppress(FileNotFoundError):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w") as file:
            file.write(str(os.getpid()))
    except OSError as error:
        raise StartError(
            f"Unable to create the PID file ({path}).: {error.strerror} ({error.errno})"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)
