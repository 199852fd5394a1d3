"""What the configuration says, typed: one value for the process, one per pool.

A field is the directive of that name with `.` as `_`.  Its default here is the directive's default;
its kind and meaning are in `directives`.  Texts stay as php-fpm shows them, and properties give
them the form that code wants.
"""

import re
from collections.abc import Mapping
from enum import Enum, IntEnum

from kraal.config.address import Address, is_tcp, parse_address
from kraal.config.clients import Clients, parse_clients
from kraal.config.excerpts import printable
from kraal.errors import Place
from kraal.fields import Frozen, replace


class Pm(Enum):
    """Who decides how many workers a pool has."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    ONDEMAND = "ondemand"


class LogLevel(IntEnum):
    """How grave a line of the log is."""

    DEBUG = 1
    NOTICE = 2
    WARNING = 3
    ERROR = 4
    ALERT = 5


class LogFormat(Enum):
    """What the lines of the log look like."""

    TEXT = "text"
    JSON = "json"


class Notice(Frozen):
    """A line for the log that stops nothing."""

    level: LogLevel
    text: str
    pool: str | None = None

    def __str__(self) -> str:
        return printable(self.text if self.pool is None else f"[pool {self.pool}] {self.text}")


class PhpValue(Frozen):
    """An ini setting of a pool's workers; `kind` is php_value or php_admin_value, flags are 1 or 0."""

    kind: str
    name: str
    value: str
    at: Place


class Account(Frozen):
    """Whom the workers become.  Given as a number it has no home, and no name if passwd lacks it."""

    uid: int
    gid: int
    name: str | None = None
    home: str | None = None


class Global(Frozen, kw_only=True):
    """The `[global]` section.  For limits 0 means the system's own; rlimit_core -1 is unlimited."""

    pid: str | None = None
    error_log: str = "log/php-fpm.log"
    syslog_ident: str = "php-fpm"
    syslog_facility: int = 24
    log_buffering: bool = True
    log_level: LogLevel = LogLevel.NOTICE
    log_limit: int = 1024
    log_format: LogFormat = LogFormat.TEXT
    emergency_restart_threshold: int = 0
    emergency_restart_interval: int = 0
    process_control_timeout: int = 0
    process_max: int = 0
    process_priority: int | None = None
    daemonize: bool = True
    rlimit_files: int = 0
    rlimit_core: int = 0
    events_mechanism: str | None = None
    systemd_interval: int = 10
    metrics_listen: str | None = None
    metrics_listen_owner: str | None = None
    metrics_listen_group: str | None = None
    metrics_listen_mode: str | None = None
    metrics_listen_allowed_clients: str | None = None
    metrics_user: str = "nobody"
    written: frozenset[str] = frozenset()


class Pool(Frozen, kw_only=True):
    """The section of one pool.  Times are seconds; 0 means off."""

    name: str
    at: Place
    prefix: str | None = None
    user: str | None = None
    group: str | None = None
    listen: str = ""
    listen_backlog: int = -1
    listen_acl_users: str | None = None
    listen_acl_groups: str | None = None
    listen_owner: str | None = None
    listen_group: str | None = None
    listen_mode: str | None = None
    listen_allowed_clients: str | None = None
    process_priority: int | None = None
    process_dumpable: bool = False
    pm: Pm = Pm.STATIC
    pm_max_children: int = 0
    pm_start_servers: int = 0
    pm_min_spare_servers: int = 0
    pm_max_spare_servers: int = 0
    pm_max_spawn_rate: int = 32
    pm_process_idle_timeout: int = 10
    pm_max_requests: int = 0
    pm_max_requests_jitter: int = 0
    pm_max_memory: int = 0
    queue_max_length: int = 0
    queue_max_wait: int = 0
    pm_status_path: str | None = None
    pm_status_listen: str | None = None
    ping_path: str | None = None
    ping_response: str | None = None
    access_log: str | None = None
    access_format: str | None = None
    access_suppress_path: tuple[str, ...] = ()
    slowlog: str | None = None
    request_slowlog_timeout: int = 0
    request_slowlog_trace_depth: int = 20
    request_terminate_timeout: int = 0
    request_terminate_timeout_track_finished: bool = False
    request_terminate_grace: int = 2
    rlimit_files: int = 0
    rlimit_core: int = 0
    chroot: str | None = None
    chdir: str | None = None
    catch_workers_output: bool = False
    decorate_workers_output: bool = True
    clear_env: bool = True
    connection_idle_timeout: int = 0
    connection_header_timeout: int = 60
    connection_body_timeout: int = 60
    connection_body_buffer: int = 65_536
    security_limit_extensions: str = ".php .phar"
    security_limit_php_value: str = "all"
    security_limit_body_files: str = "all"
    process_no_new_privs: bool = False
    worker_script: str | None = None
    worker_num: int = 0
    worker_max_requests: int = 0
    worker_fork: bool = False
    worker_match: str | None = None
    worker_watch: str | None = None
    php_version: str | None = None
    apparmor_hat: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    php_values: tuple[PhpValue, ...] = ()
    written: frozenset[str] = frozenset()
    # Found out by the loader rather than written:
    account: Account | None = None
    socket_uid: int = -1
    socket_gid: int = -1
    # Not a pool, but where its local pages, or figures of all, are asked for; see Config.listening.
    pages_of: str | None = None

    @property
    def address(self) -> Address:
        """Where to listen; the loader has made sure that the text is an address."""
        return parse_address(self.listen)

    @property
    def socket_mode(self) -> int:
        """The mode of the socket file; as in php-fpm what follows the octal digits does not count."""
        if not self.listen_mode:
            return 0o660
        digits = re.match(r"[0-7]*", self.listen_mode.strip())
        return int("0" + digits[0], 8) if digits else 0

    @property
    def acl_users(self) -> tuple[str, ...]:
        """The further users of the socket file."""
        return () if is_tcp(self.listen) else _list(self.listen_acl_users)

    @property
    def acl_groups(self) -> tuple[str, ...]:
        """The further groups of the socket file."""
        return () if is_tcp(self.listen) else _list(self.listen_acl_groups)

    @property
    def limit_extensions(self) -> tuple[str, ...]:
        """The endings that a main script may have; none means any."""
        return tuple(re.findall(r"[^ \t]+", self.security_limit_extensions))

    @property
    def limit_php_value(self) -> tuple[str, ...] | None:
        """The PHP settings that a web server may send; None means any."""
        return _limit(self.security_limit_php_value)

    @property
    def limit_body_files(self) -> tuple[str, ...] | None:
        """The directories where a web server may leave a body; None means anywhere."""
        return _limit(self.security_limit_body_files)

    @property
    def residents(self) -> int:
        """How many workers keep the worker script loaded; unless written, all but one."""
        if not self.worker_script:
            return 0
        return self.worker_num or max(1, self.pm_max_children - 1)

    @property
    def ordinary(self) -> int:
        """How many workers there may be beside them."""
        return self.pm_max_children - self.residents

    @property
    def slots(self) -> int:
        """How many processes there may be for a moment: a resident leaves when another can take its place."""
        return self.pm_max_children + bool(self.residents)

    @property
    def match(self) -> tuple[str, ...]:
        """The scripts whose requests the worker script handles, besides itself."""
        return tuple((self.worker_match or "").split())

    @property
    def watched(self) -> tuple[str, ...]:
        """The files and directories after whose changes the worker script is started anew."""
        return tuple((self.worker_watch or "").split())

    @property
    def allowed_clients(self) -> Clients | None:
        """The peers that may connect over TCP; None means any."""
        text = self.listen_allowed_clients
        return None if text is None else parse_clients(text)

    @property
    def client_complaints(self) -> tuple[str, ...]:
        """What is wrong with that list; over a socket file it does not count."""
        clients = self.allowed_clients
        return clients.complaints if clients and is_tcp(self.listen) else ()


def _limit(text: str) -> tuple[str, ...] | None:
    """Read `all`, `none` or a list.  The grammar of the file makes an empty text of a bare `none`."""
    found = tuple(re.findall(r"[^\s,]+", text))
    match [word.lower() for word in found]:
        case ["all"]:
            return None
        case ["none"]:
            return ()
        case _:
            return found


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


class Config(Frozen):
    """The whole configuration, pools in the order of the files."""

    global_: Global
    pools: tuple[Pool, ...]
    file: str
    warnings: tuple[Notice, ...] = ()
    metrics: Pool | None = None  # none either, but where `metrics.listen` is

    @property
    def listening(self) -> tuple[Pool, ...]:
        """Everything that listens: pools, and what a pool is made up for, as in php-fpm."""
        pages = (pages for pool in self.pools if (pages := self.pages(pool)))
        return (*self.pools, *pages, *([self.metrics] if self.metrics else []))

    def pages(self, pool: Pool) -> Pool | None:
        """Where the local pages of a pool are asked for, if that is not where its requests come in."""
        if pool.pm_status_listen is None:
            return None
        name = f"{pool.name}_status"
        while any(other.name == name for other in self.pools):
            name += "_"
        listen = pool.pm_status_listen
        return replace(
            pool, name=name, listen=listen, listen_backlog=-1, pm_status_listen=None, pages_of=pool.name
        )


def worker_environment(pool: Pool, environ: Mapping[str, str]) -> dict[str, str]:
    """Compute the environment of a pool's workers out of the master's.

    A value `$NAME` is looked up in the master's environment.  Of two entries for one name the first
    wins, for php-fpm sets them last to first.  USER and HOME
    follow the account unless written, but not an account given as a number.  Programs see the order.
    """
    result = {} if pool.clear_env else dict(environ)
    for name, value in reversed(pool.env):
        result[name] = environ.get(value[1:], "") if value.startswith("$") else value
    account = pool.account
    if account is not None and account.name is not None and account.home is not None:
        written = dict(pool.env)
        result |= {
            name: value
            for name, value in (("USER", account.name), ("HOME", account.home))
            if name not in written
        }
    return result
