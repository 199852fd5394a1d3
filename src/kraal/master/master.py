"""The master: owns listeners and pool managers, writes the log, answers signals.  It never loads PHP."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from kraal.config.model import Config
from kraal.errors import StartError
from kraal.logs.error import ErrorLog
from kraal.manager import stop_ladder
from kraal.master import access_files, pidfile, roster, title
from kraal.master.emergency import Emergency
from kraal.master.exporter import Exporter
from kraal.master.heartbeat import Heartbeat
from kraal.master.launcher import Setting
from kraal.master.listeners import Listeners
from kraal.master.managers import Managers, Owner
from kraal.master.orders import quit_timeout
from kraal.reload import report
from kraal.reload.estate import Estate, Inheritance, kept_boards
from kraal.reload.reloading import SIGNALS, Reloading, larger
from kraal.reload.report import Report
from kraal.reload.retiring import Retiring
from kraal.unix import notify
from kraal.unix.channel import Kind
from kraal.unix.loop import Loop

_READY = "Ready to handle connections"
# How long an old manager may take to tell its workers that others serve now.
_PATIENCE = 5.0
# How long the pools of a master that was killed may take to let go of their sockets, on a busy machine.
_LETTING_GO = 5.0


class Master:
    """Everything that runs for one configuration."""

    def __init__(self, config: Config, setting: Setting, log: ErrorLog, ready: Callable[[], None]) -> None:
        self._config = config
        self._setting = setting
        self._log = log
        self._ready = ready
        self._loop = Loop()
        self._listeners = Listeners(log)
        owner = Owner(self._on_launched, self._on_failed, self._check_empty, self._on_crash)
        self._managers = Managers(self._loop, config, setting, log, self._listeners, owner)
        self._exporter = Exporter(
            self._loop, log, config.metrics, self._listeners.descriptors, self._managers.health
        )
        self._reports = -1
        self._roster = -1  # is only to be open
        self._reloading: Reloading | None = None
        # A reload that was asked for before everything serves, and whether of changed pools only.
        self._asked: bool | None = None
        self._failure: StartError | None = None
        global_ = config.global_
        self._emergency = Emergency(global_.emergency_restart_threshold, global_.emergency_restart_interval)
        self._heartbeat = Heartbeat(self._loop, os.environ, self._managers.boards.pulse)

    def run(self, inheritance: Inheritance | None = None) -> None:
        """Start all pools, or go on with those of an inheritance, and stay until stopped.

        Raises StartError if they cannot start.
        """
        with ExitStack() as stack:
            stack.callback(self._listeners.close)
            if inheritance:
                self._take_over(inheritance)
            else:
                self._begin()
            stack.callback(pidfile.remove, self._config.global_.pid)
            stack.callback(self._managers.orphans.end)
            self._loop.run()
            # Who asks once more is obeyed already: Python would put the default action back before its end.
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_IGN)
        if self._failure:
            raise self._failure
        self._log.notice("exiting, bye-bye!")

    # ------------------------------------------------------------ beginning

    def _begin(self) -> None:
        access_files.check(self._config.pools)
        # An instance that was killed has left its file, and perhaps pools that are about to leave.
        pid_file = self._config.global_.pid
        patience = _LETTING_GO if pid_file and pidfile.is_stale(pid_file) else 0.0
        if patience:
            self._show_title()  # that may last
        self._listeners.open(self._config.listening, self._setting.passed, patience=patience)
        self._reports = report.create()
        self._roster = roster.create(self._config.pools, time.time())
        if pid_file:
            pidfile.write(pid_file, os.getpid())
        self._log.notice(f"fpm is running, pid {os.getpid()}")
        self._watch_signals()
        self._managers.process_max.open()
        self._exporter.start()
        self._managers.start()
        # Behind them, who have much to do meanwhile.
        self._loop.call_later(0, self._show_title)

    def _show_title(self) -> None:
        title.show("master process", self._config.file)

    def _on_launched(self) -> None:
        self._log.notice("ready to handle connections")
        self._managers.let_sleep()
        self._reloading = Reloading(self._loop, self._log, self._estate, self._reports)
        self._ready()
        notify.ready(os.environ, _READY)
        self._heartbeat.begin(float(self._config.global_.systemd_interval), os.getpid())
        if self._asked is not None:
            self._reloading.ask(changed_only=self._asked)

    def _on_crash(self) -> None:
        if self._emergency.crashed(self._loop.now()):
            text = f"failed processes threshold ({self._emergency}) is reached, initiating reload"
            self._log.warning(text)
            self._reload(changed_only=False)

    def _on_failed(self, failure: StartError) -> None:
        if not self._failure:
            self._failure = failure
            self._stop(Kind.TERMINATE)

    # ------------------------------------------------------------ from master to master

    def _estate(self) -> Estate:
        return Estate(
            sockets=self._listeners.sockets(),
            tenants=self._managers.tenants(),
            boards=self._managers.boards.all(),
            ledgers=self._managers.boards.ledgers.all(),
            pid_file=self._config.global_.pid,
            daemonized=self._config.global_.daemonize,
            report=self._reports,
            files=self._setting.files,
            nice=None if self._config.global_.process_priority is None else self._setting.nice,
            orphans=self._managers.orphans.descriptors(),
            orphan_workers=self._managers.process_max.orphans,
        )

    def _take_over(self, inheritance: Inheritance) -> None:
        """Everything runs already.  No failure here may end it."""
        old, new = inheritance.old, inheritance.new
        self._reports = old.report
        self._roster = roster.create(self._config.pools, time.time())
        self._watch_signals()
        self._listeners.restore(new.sockets)
        self._listeners.adjust(self._config.listening)
        if old.pid_file != new.pid_file:
            pidfile.remove(old.pid_file)
        stays = [each for each in old.tenants if each.serving and each.pool in inheritance.kept]
        leaves = [each for each in old.tenants if each not in stays]
        kept = kept_boards(old, inheritance.kept, leaves)
        self._managers.boards.take([*new.boards, *kept], outdated=set(old.boards) - set(kept))
        self._managers.boards.ledgers.take(
            [*old.ledgers, *new.ledgers], {each.name for each in self._config.pools}
        )
        self._managers.take_over([*new.tenants, *stays])
        self._managers.orphans.take(old.orphans)
        self._managers.process_max.take_orphans(old.orphan_workers)
        superseded = self._managers.take_over(leaves, superseded=True)
        self._log.notice(f"fpm is running, pid {os.getpid()}")
        self._managers.resume()
        self._exporter.start()
        Retiring(self._loop, self._managers).begin(superseded, old.sockets)
        self._managers.process_max.open()
        # Who is told that it is done finds nobody of the old ones who still accepts connections.
        self._managers.hear_out(partial(self._on_settled, inheritance.number), _PATIENCE)
        # Who ended meanwhile is told of once, and perhaps was.
        self._loop.call_later(0, self._reap)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_settled(self, number: int) -> None:
        report.write(self._reports, Report(number, failed=report.read(self._reports).failed))
        if not self._managers.stopping:
            self._on_launched()

    def _reload(self, *, changed_only: bool) -> None:
        if self._reloading:
            self._reloading.ask(changed_only=changed_only)
        else:
            self._asked = larger(self._asked, changed_only)

    # ------------------------------------------------------------ signals

    def _watch_signals(self) -> None:
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGINT, self._terminate)
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        self._loop.on_signal(signal.SIGQUIT, self._quit)
        self._loop.on_signal(signal.SIGUSR1, self._reopen_log)
        self._loop.on_signal(signal.SIGUSR2, lambda: self._reload(changed_only=False))
        self._loop.on_signal(signal.SIGHUP, lambda: self._reload(changed_only=True))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _reap(self) -> None:
        for gone in self._managers.reap():
            self._exporter.reaped(gone)
            if self._reloading:
                self._reloading.reaped(gone)
        self._check_empty()

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
            self._log.notice("error log file re-opened")
        except StartError as error:
            self._log.error(str(error))
        self._managers.reopen_access_logs(lambda: self._log.notice("access log file re-opened"))

    # ------------------------------------------------------------ stopping

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
        # Now, as a reload that ends meanwhile would end us, and the stop be forgotten.
        if self._reloading:
            self._reloading.abandon()
        self._managers.hear_out(then)

    def _stop(self, kind: Kind) -> None:
        notify.stopping(os.environ)
        self._managers.stop(kind, self._longest_stop(kind))
        self._check_empty()

    def _check_empty(self) -> None:
        """Leave when stopped and alone."""
        reloading = self._reloading is not None and self._reloading.is_going_on
        if self._managers.stopping and not self._managers and not reloading:
            self._loop.stop()

    def _longest_stop(self, kind: Kind) -> float:
        global_ = self._config.global_
        if kind is Kind.QUIT:
            return stop_ladder.duration(stop_ladder.quit_ladder(quit_timeout(global_)))
        return stop_ladder.duration(stop_ladder.terminate_ladder(float(global_.process_control_timeout)))
