"""What one master leaves to the next: sockets, managers, and words about them.  Pure.

Written by the code of one version and read by that of another, so it is plain text, an heir leaves alone
what it does not know, and nearly all fields have a default.  Descriptors are numbers; see `succession`.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kraal.fields import Frozen, field, names, replace

T = TypeVar("T", bound=Frozen)


class Socket(Frozen, kw_only=True):
    """A listening socket; see `unix.listener.Listener`."""

    pool: str
    fd: int = -1
    shared: tuple[int, ...] = ()  # descriptors, too
    key: str = ""
    ours: bool = True
    identity: tuple[int, int] | None = None


class Tenant(Frozen, kw_only=True):
    """A pool manager; see `managers.Manager`."""

    pool: str
    pid: int = 0
    fd: int = -1  # of the channel
    started: float = 0.0  # seconds of the monotonic clock
    serving: bool = True
    decorated: bool = True
    access_log: str | None = None
    fingerprint: str = ""
    patience: float | None = None  # seconds that it may drain; None: as long as it likes
    # See budget.Claim.
    serial: int = 0
    wanted: int = 0
    granted: int = 0


class Board(Frozen, kw_only=True):
    """The scoreboard of a pool; see `boards.Boards`."""

    pool: str
    fd: int = -1
    fingerprint: str = ""  # of the manager that had it last
    manager: int = 0  # its process id


class Ledger(Frozen, kw_only=True):
    """The ledger of a pool; see `ledgers.Ledgers`."""

    pool: str
    fd: int = -1


class Estate(Frozen, kw_only=True):
    """All that a master owns."""

    sockets: tuple[Socket, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    boards: tuple[Board, ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    pid_file: str | None = None
    daemonized: bool = False
    report: int = -1  # descriptor of the reports, see `report`
    files: int | None = None  # see `launcher.Setting`
    nice: int | None = None  # what it was before process.priority changed it; None: it has not
    orphans: tuple[int, ...] = ()  # descriptors of processes whose manager was killed
    orphan_workers: int = 0  # how many of them count for process.max, see budget.Budget

    def descriptors(self) -> tuple[int, ...]:
        """Of sockets, channels, scoreboards and ledgers, in a fixed order."""
        of_sockets = (fd for each in self.sockets for fd in (each.fd, *each.shared))
        of_files = (*(each.fd for each in self.boards), *(each.fd for each in self.ledgers))
        return (*of_sockets, *(each.fd for each in self.tenants), *of_files)

    def numbered(self, number: Callable[[int], int]) -> "Estate":
        """The same with other numbers for these."""
        return replace(
            self,
            sockets=tuple(
                replace(each, fd=number(each.fd), shared=tuple(number(fd) for fd in each.shared))
                for each in self.sockets
            ),
            tenants=tuple(replace(each, fd=number(each.fd)) for each in self.tenants),
            boards=tuple(replace(each, fd=number(each.fd)) for each in self.boards),
            ledgers=tuple(replace(each, fd=number(each.fd)) for each in self.ledgers),
        )


class Task(Frozen, kw_only=True):
    """What a successor is told: try to start what the configuration says now, and hand it over."""

    master: int  # the process id that stays
    estate: Estate = field(default_factory=Estate)
    changed_only: bool = False
    line: int = -1  # descriptor of the socket to the master
    stderr: int = -1  # where standard error goes once Python runs
    nice: int | None = None  # of the master; None: who starts may not change it


class Inheritance(Frozen, kw_only=True):
    """What the master finds when it has executed itself."""

    old: Estate  # its sockets are those that nobody listens on any more
    new: Estate
    kept: tuple[str, ...] = ()  # pools of the old estate whose managers stay
    config: int = -1  # descriptor of a memory file, see `succession`
    number: int = 0  # of the reload
    nice: int | None = None  # of the master; None: it may not change it


def to_text(value: Task | Inheritance | Estate) -> str:
    """For a memory file."""
    return json.dumps(value, default=vars)


def task_from(text: str) -> Task:
    """Undo `to_text`.  Raises ValueError for what is none."""
    plain = _plain(text)
    return _build(Task, {**plain, "estate": _estate(plain["estate"])})


def inheritance_from(text: str) -> Inheritance:
    """Undo `to_text`.  Raises ValueError for what is none."""
    plain = _plain(text)
    plain |= {"old": _estate(plain["old"]), "new": _estate(plain["new"]), "kept": tuple(plain["kept"])}
    return _build(Inheritance, plain)


def estate_from(text: str) -> Estate:
    """Undo `to_text`.  Raises ValueError for what is none."""
    return _estate(_plain(text))


def retired(old: Iterable[Socket], new: Iterable[Socket]) -> tuple[Socket, ...]:
    """The sockets on which nobody is to listen any more."""
    kept = {each.key for each in new}
    return tuple(each for each in old if each.key not in kept)


def kept_boards(old: Estate, kept: Iterable[str], leaving: Iterable[Tenant]) -> tuple[Board, ...]:
    """The scoreboards of pools that stay as they are, but for those that somebody who leaves writes to."""
    names, busy = set(kept), {each.pid for each in leaving}
    return tuple(each for each in old.boards if each.pool in names and each.manager not in busy)


def restored(old: Iterable[Socket], new: Iterable[Socket]) -> tuple[Socket, ...]:
    """The new sockets, where an inherited one belongs to whom it belonged to before."""
    before = {(each.key, each.identity): each.ours for each in old}
    return tuple(replace(each, ours=before.get((each.key, each.identity), each.ours)) for each in new)


def _plain(text: str) -> dict[str, Any]:
    return _object(json.loads(text))


def _object(plain: Any) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ValueError("this is no estate")
    return plain


def _estate(plain: Any) -> Estate:
    plain = _object(plain)
    sockets = tuple(_socket(each) for each in plain.get("sockets", ()))
    tenants = tuple(_build(Tenant, each) for each in plain.get("tenants", ()))
    boards = tuple(_build(Board, each) for each in plain.get("boards", ()))
    ledgers = tuple(_build(Ledger, each) for each in plain.get("ledgers", ()))
    orphans = tuple(plain.get("orphans", ()))
    tuples = {"sockets": sockets, "tenants": tenants, "boards": boards, "ledgers": ledgers}
    return _build(Estate, {**plain, **tuples, "orphans": orphans})


def _socket(plain: Any) -> Socket:
    plain = _object(plain)
    tuples = {"identity": _pair(plain), "shared": tuple(plain.get("shared", ()))}
    return _build(Socket, {**plain, **tuples})


def _pair(plain: dict[str, Any]) -> tuple[int, int] | None:
    identity = plain.get("identity")
    return (identity[0], identity[1]) if identity else None


def _build(kind: type[T], plain: Any) -> T:
    found = _object(plain)
    return kind(**{name: found[name] for name in names(kind) if name in found})
