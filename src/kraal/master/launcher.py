"""Executes pool managers: what each of them is told, and what it finds open."""

import os
import sys
from collections.abc import Callable, Mapping, Set
from contextlib import ExitStack

from kraal.boot import Descriptor, Order, Php
from kraal.config.model import Config, Pool
from kraal.fields import Frozen, Mutable
from kraal.master import fingerprints, generation
from kraal.master.budget import Claim
from kraal.master.generation import Event, State
from kraal.master.orders import drain_timeout, order_for
from kraal.master.scoreboards import Boards
from kraal.php import paths
from kraal.reload.estate import Tenant
from kraal.unix import memory, privileges, process
from kraal.unix.channel import Channel
from kraal.unix.inherited import Passed
from kraal.unix.process import Pid

# -I: neither the environment nor the working folder may bring in other modules.  -c: what -m does before it
# imports anything of ours takes 4 ms.  What the garbage collector looks for while modules are imported takes
# 3 ms, and it finds nothing.
_START = "import gc; gc.disable(); from kraal.manager.manager import main; raise SystemExit(main())"
_MANAGER = ("-I", "-c", _START)
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Setting(Frozen):
    """What the command line and the process bring along."""

    php: Php
    environ: Mapping[str, str]
    as_root: bool
    master: int = 0  # its process id, of a successor's as well
    passed: tuple[Passed, ...] = ()  # sockets
    nice: int | None = None  # nice value that the master had before process.priority
    files: int | None = None  # soft limit of open files that the master had; None: the one that it has


class Manager(Mutable):
    """A pool manager that was executed."""

    pool: str
    pid: Pid
    channel: Channel
    started: float
    state: State = State.STARTING
    decorated: bool = True
    access_log: str | None = None
    fingerprint: str = ""
    patience: float | None = None  # seconds that it drains at most for a reload
    said: int | None = None  # see Descriptor.SAID; until it was read
    rehearsing: bool = False  # see master/dormancy.py

    @classmethod
    def of(cls, tenant: Tenant) -> "Manager":
        """One that somebody else executed."""
        return cls(
            tenant.pool,
            Pid(tenant.pid),
            Channel(tenant.fd),
            tenant.started,
            State.SERVING if tenant.serving else State.STARTING,
            tenant.decorated,
            tenant.access_log,
            tenant.fingerprint,
            tenant.patience,
        )

    def tenant(self, claim: Claim) -> Tenant:
        """For whoever takes over."""
        return Tenant(
            pool=self.pool,
            pid=self.pid,
            fd=self.channel.fileno(),
            started=self.started,
            serving=self.state is State.SERVING,
            decorated=self.decorated,
            access_log=self.access_log,
            fingerprint=self.fingerprint,
            patience=self.patience,
            serial=claim.serial,
            wanted=claim.wanted,
            granted=claim.granted,
        )

    def happened(self, event: Event) -> None:
        """Go on to the next state."""
        self.state = generation.advance(self.state, event)


class Launcher:
    """Knows the configuration."""

    def __init__(
        self,
        config: Config,
        setting: Setting,
        boards: Boards,
        descriptors: Callable[[str], tuple[int, ...]],
    ) -> None:
        """`descriptors` are those of a pool: of its socket, and of what its workers share."""
        self._config = config
        self._setting = setting
        self._boards = boards
        self._descriptors = descriptors
        self._sources: dict[str | None, str] = {}  # by version of PHP

    def order(self, pool: Pool) -> Order:
        """What the manager of a pool is told."""
        account = pool.account
        groups = tuple(privileges.groups_of(account.name, account.gid)) if account else ()
        return order_for(
            pool,
            self._config.global_,
            php=self._php(pool),
            environ=self._setting.environ,
            as_root=self._setting.as_root,
            groups=groups,
            files=self._setting.files,
            master=self._setting.master,
        )

    def pages(self, pool: Pool) -> tuple[int, ...]:
        """The descriptor of the socket for a pool's local pages, if it has one."""
        pages = self._config.pages(pool)
        return self._descriptors(pages.name)[:1] if pages else ()

    def fingerprint(self, pool: Pool) -> str:
        """Of a manager of this pool that is executed now."""
        return self._fingerprint(pool, self.order(pool).to_bytes())

    def _fingerprint(self, pool: Pool, order: bytes) -> str:
        addresses = "\n".join((pool.listen, pool.pm_status_listen or ""))
        return fingerprints.of_pool(order, addresses, self._sources_of(self._php(pool)))

    def _php(self, pool: Pool) -> Php:
        """Which PHP a pool has, and how it is started."""
        return paths.for_version(self._setting.php, pool.php_version)

    def _sources_of(self, php: Php) -> str:
        if php.version not in self._sources:
            self._sources[php.version] = fingerprints.of_sources(php)
        return self._sources[php.version]

    def execute(self, pool: Pool, now: float, busy: Set[int]) -> Manager:
        """Start the manager of a pool; `busy` are the process ids of managers.  Raises OSError."""
        order = self.order(pool).to_bytes()
        fingerprint = self._fingerprint(pool, order)
        argv = [sys.executable, *_MANAGER]
        with ExitStack() as failed, ExitStack() as lent:
            ours, theirs = Channel.pair()
            failed.callback(ours.close)
            lent.callback(theirs.close)
            board = self._boards.provide(pool, fingerprint, busy)
            filled = memory.create_filled("kraal-order", order)
            lent.callback(os.close, filled)
            said = memory.create_filled("kraal-said", b"")
            failed.callback(os.close, said)
            ledger = self._boards.ledgers.provide(pool.name)
            listener, *shared = self._descriptors(pool.name)
            more = self.pages(pool)
            if more:
                # Numbers are fixed, and not every pool has all that comes before.
                more = (*[board] * (Descriptor.PAGES - Descriptor.POKE - len(shared)), *more)
            descriptors = [theirs.fileno(), listener, board, filled, said, ledger, *shared, *more]
            pid = process.execute(argv, {"PATH": SEARCH_PATH}, descriptors)
            failed.pop_all()
        self._boards.use(pool.name, pid)
        return Manager(
            pool.name,
            pid,
            ours,
            now,
            decorated=pool.decorate_workers_output,
            access_log=pool.access_log,
            fingerprint=fingerprint,
            patience=drain_timeout(self._config.global_),
            said=said,
        )
