"""The successor of a running master: starts everything once more, beside it, and hands it over.

Until then it can fail in every way without harm.  It has the sockets of the running master, and opens those
that are new; where it fails, it leaves nothing behind.
"""

import signal
import socket
from contextlib import ExitStack

from kraal.config.model import Config
from kraal.errors import StartError
from kraal.logs.error import ErrorLog
from kraal.manager import stop_ladder
from kraal.master import access_files, fingerprints, pidfile
from kraal.master.dormancy import may_sleep
from kraal.master.launcher import Setting
from kraal.master.listeners import Listeners
from kraal.master.managers import Managers, Owner
from kraal.reload import succession
from kraal.reload.estate import Board, Estate, Task, Tenant
from kraal.unix.channel import Kind
from kraal.unix.loop import Loop

# How long a failed successor waits for its pools to leave, so that their new sockets are free again.
_PATIENCE = 2.0


class Successor:
    """A master for the time until its pools serve."""

    def __init__(self, config: Config, setting: Setting, log: ErrorLog, task: Task) -> None:
        self._config = config
        self._task = task
        self._line = socket.socket(fileno=task.line)
        self._loop = Loop()
        self._listeners = Listeners(log)
        self._managers = Managers(
            self._loop,
            config,
            setting,
            log,
            self._listeners,
            Owner(self._loop.stop, self._give_up, self._check_empty),
        )
        self._failure: StartError | None = None

    def run(self) -> None:
        """Start the pools and hand them over.  Raises StartError, with nothing left, if that fails."""
        self._watch_signals()
        with ExitStack() as failed:
            failed.callback(self._listeners.close)
            access_files.check(self._config.pools)
            self._listeners.inherit(self._task.estate.sockets)
            self._listeners.open(self._config.listening)
            pools = {pool.name for pool in self._config.pools}
            self._managers.boards.ledgers.take(self._task.estate.ledgers, pools)
            pid_file = self._config.global_.pid
            if pid_file and pid_file != self._task.estate.pid_file:
                pidfile.write(pid_file, self._task.master)
                failed.callback(pidfile.remove, pid_file)
            kept = self._kept()
            self._managers.start(served=kept)
            self._loop.run()
            if self._failure:
                raise self._failure
            estate = Estate(
                sockets=self._listeners.sockets(),
                tenants=self._managers.tenants(),
                boards=self._managers.boards.all(),
                ledgers=self._managers.boards.ledgers.all(),
                pid_file=pid_file,
            )
            try:
                succession.hand_over(self._line, estate, sorted(kept), self._config)
            except OSError as error:
                raise StartError(f"cannot hand over: {error.strerror} ({error.errno})") from error
            failed.pop_all()

    def _kept(self) -> set[str]:
        """The pools whose managers can stay; of those that sleep, whose scoreboards can."""
        if not self._task.changed_only:
            return set()
        estate = self._task.estate
        sleepers = {pool.name for pool in self._config.pools if may_sleep(pool)}
        old: dict[str, Tenant | Board] = {each.pool: each for each in estate.boards if each.pool in sleepers}
        old |= {each.pool: each for each in estate.tenants if each.serving}
        new = {each.pool for each in self._listeners.sockets() if each.ours}
        opened_anew = {each.pages_of or each.name for each in self._config.listening if each.name in new}
        return {
            pool.name
            for pool in self._config.pools
            if pool.name in old.keys() - opened_anew
            and _is_current(old[pool.name], self._managers.launcher.fingerprint(pool))
        }

    def _watch_signals(self) -> None:
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGTERM, lambda: self._give_up(StartError("the master stops")))
        # The master is gone.
        self._loop.watch(self._line.fileno(), lambda: self._give_up(StartError("nobody waits")))

    def _reap(self) -> None:
        self._managers.reap()

    def _give_up(self, failure: StartError) -> None:
        if self._failure:
            return
        self._failure = failure
        self._loop.unwatch(self._line.fileno())
        # Gently: pools that did start may serve requests already.  They leave without us, too.
        self._managers.stop(Kind.DRAIN, stop_ladder.duration(stop_ladder.quit_ladder(_PATIENCE)))
        # At once: if the master was killed, the next one wants them.
        self._listeners.close()
        self._loop.call_later(_PATIENCE, self._loop.stop)
        self._check_empty()

    def _check_empty(self) -> None:
        if self._failure and not self._managers:
            self._loop.stop()


def _is_current(old: Tenant | Board, fingerprint: str) -> bool:
    if old.fingerprint != fingerprint:
        return False
    return isinstance(old, Board) or fingerprints.libraries_are_current(old.pid)
