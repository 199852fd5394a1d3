"""What the master tells a pool manager when it executes it.

The order travels in a memory file; the descriptors beside it have fixed numbers.
"""

import json
from enum import IntEnum
from typing import Any, TypeVar

from kraal.fields import Frozen, field, names
from kraal.logs.access import Access
from kraal.manager.sizing import Policy

T = TypeVar("T", bound=Frozen)


class Descriptor(IntEnum):
    """Open files that a manager finds."""

    CHANNEL = 3
    LISTENER = 4
    SCOREBOARD = 5
    ORDER = 6
    SAID = 7  # a file for what PHP says while it starts
    LEDGER = 8
    # What the workers of all generations of a pool share; see native/sharing.h and native/handoff.h.
    POKE = 9
    GIVE = 10
    TAKE = 11
    # Of pools with a worker script: the same for its requests.
    RESIDENT_GIVE = 12
    RESIDENT_TAKE = 13
    PAGES = 14  # another listener, for the local pages; if there is one


class Php(Frozen, kw_only=True):
    """How PHP is to be started."""

    ini_path: str | None  # php.ini, or the folder it is in
    ini_scan_dir: str | None  # further *.ini files; None: what PHP was built with
    ini_ignore: bool = False
    defines: tuple[str, ...] = ()  # -d name=value, as written
    executable: str = ""
    extended_info: bool = False  # -e
    version: str | None = None  # as in 8.2; None: the one that kraal was built for first
    # Whether the command line or the environment has named these, so that they are for every version.
    ini_given: bool = False
    scan_given: bool = False


class Privileges(Frozen, kw_only=True):
    """Whom the pool runs as, and with which limits.  None leaves a thing as it is."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    nice: int | None = None
    files: int | None = None
    soft_files: int | None = None  # of the workers, where the master has raised its own
    core: int | None = None
    dumpable: bool = False
    no_new_privileges: bool = False
    chroot: str | None = None
    chdir: str | None = None


class Order(Frozen, kw_only=True):
    """All that a manager needs to know of its pool."""

    pool: str
    policy: str  # static, dynamic or ondemand
    max_children: int
    php: Php
    master: int = 0  # its process id, which reloads do not change
    start_servers: int = 0
    min_spare_servers: int = 0
    max_spare_servers: int = 0
    max_spawn_rate: int = 32
    idle_timeout: float = 10.0
    max_memory: int = 0  # bytes; 0 is no limit
    privileges: Privileges = field(default_factory=Privileges)
    environment: dict[str, str] = field(default_factory=dict)
    # (name, value, admin): admin values can be changed neither by scripts nor by the web server
    ini: tuple[tuple[str, str, bool], ...] = ()
    apparmor_hat: str | None = None  # of the workers
    max_requests: int = 0
    terminate_timeout: int = 0  # seconds a request may take; 0: as long as it likes
    terminate_grace: int = 0  # seconds more for its shutdown functions
    track_finished: bool = False  # what a script does after its answer counts, too
    slow_timeout: int = 0  # seconds after which a request is slow; 0: never
    slow_depth: int = 20  # frames of its stack that are told of
    max_requests_jitter: int = 0
    # Seconds that connections are waited for; 0: for ever
    kept_timeout: int = 0
    header_timeout: int = 0
    body_timeout: int = 0
    body_buffer: int = 0  # bytes of a body that are there before PHP runs
    extensions: str = ""
    php_values: tuple[str, ...] | None = None  # settings that the web server may send; None means any
    body_files: tuple[str, ...] | None = None  # directories of bodies in files; None means any
    # (hexadecimal IPv6 address, IPv4 as ::ffff:a.b.c.d; prefix length); None means any peer
    allowed_clients: tuple[tuple[str, int], ...] | None = None
    client_complaints: tuple[str, ...] = ()  # what workers say about that list
    queue_length: int = 0  # connections that may wait; 0: any number
    queue_wait: int = 0  # seconds that they may; 0: any time
    status_path: str | None = None
    ping_path: str | None = None
    ping_response: str = "pong"
    access: Access | None = None
    script: str | None = None  # that stays loaded in residents
    residents: int = 0  # of max_children
    rationed: bool = False  # all pools together have a limit, see manager/process_max.py
    fork: bool = False  # residents off one process in which the script was booted, see worker/zygote.py
    resident_max_requests: int = 0
    match: tuple[str, ...] = ()  # further scripts whose requests are theirs
    watched: tuple[str, ...] = ()  # after whose changes they start anew
    pages_apart: bool = False  # there is Descriptor.PAGES
    catch_output: bool = False
    log_level: int = 2
    log_limit: int = 1024
    log_buffering: bool = True
    quit_timeout: float = 0.0  # seconds; see manager/stop_ladder.py
    drain_timeout: float | None = None  # None: as long as requests take
    control_timeout: float = 0.0
    descriptors: dict[str, int] = field(default_factory=lambda: {each.name: each for each in Descriptor})

    @property
    def size(self) -> Policy:
        """What it says of the number of ordinary workers."""
        return Policy(
            kind=self.policy,
            max_children=self.max_children - self.residents,
            start_servers=self.start_servers,
            min_spare_servers=self.min_spare_servers,
            max_spare_servers=self.max_spare_servers,
            max_spawn_rate=self.max_spawn_rate,
            idle_timeout=self.idle_timeout,
        )

    @property
    def bounded(self) -> bool:
        """Whether there is a limit for who waits."""
        return self.queue_length > 0 or self.queue_wait > 0

    @property
    def fits(self) -> bool:
        """Whether the master means the same as we do by the numbers of descriptors."""
        return all(self.descriptors.get(each.name, each) == each for each in Descriptor)

    @property
    def slots(self) -> int:
        """How many workers there may be for a moment: see manager/residents.py."""
        return self.max_children + bool(self.residents)

    def to_bytes(self) -> bytes:
        """For the memory file."""
        return json.dumps(self, default=vars).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Order":
        """Undo `to_bytes`.

        The master may run the code of another version, if the package was replaced and it was not reloaded:
        what we do not know is left alone, and what it does not know has its default.
        """
        plain: dict[str, Any] = _frozen(json.loads(content))
        plain["php"] = _build(Php, plain["php"])
        plain["privileges"] = _build(Privileges, plain.get("privileges", {}))
        if plain.get("access") is not None:
            plain["access"] = _build(Access, plain["access"])
        return _build(cls, plain)


def _frozen(plain: Any) -> Any:
    """Tuples where JSON has lists."""
    if isinstance(plain, list):
        return tuple(map(_frozen, plain))
    if isinstance(plain, dict):
        return {name: _frozen(value) for name, value in plain.items()}
    return plain


def _build(kind: type[T], plain: dict[str, Any]) -> T:
    return kind(**{name: plain[name] for name in names(kind) if name in plain})
