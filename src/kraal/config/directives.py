"""Every directive, of php-fpm 8.2 to 8.5 and kraal's own, in one table: name, kind, meaning, since and so on.

The default of a directive is that of its field in `model`.  What kraal accepts but does not act on
yet is marked; whoever sets it is told so once per line.  So is what php-fpm does not know: it refuses
a file that has it.
"""

from enum import Enum

from kraal.config.model import Global, Pool
from kraal.fields import Frozen, replace

# Without these there is no pool.
REQUIRED = ("listen", "pm", "pm.max_children")
_DAEMON = 24


class Kind(Enum):
    """How the value of a directive is understood."""

    TEXT = "text"
    PATH = "path"
    INTEGER = "integer"
    TIME = "time"
    BOOLEAN = "boolean"
    LOG_LEVEL = "log level"
    LOG_FORMAT = "text or json"
    FACILITY = "syslog facility"
    CORE = "integer or unlimited"
    SIZE = "size"
    PM = "static, dynamic or ondemand"


class Scope(Enum):
    """The kind of section where a directive may stand."""

    GLOBAL = "global"
    POOL = "pool"


class Directive(Frozen):
    """One row of the table."""

    scope: Scope
    name: str
    kind: Kind
    meaning: str
    since: str = ""
    in_force: bool = True
    own: bool = False  # kraal's own, unknown to php-fpm

    @property
    def field(self) -> str:
        """The name of its field in the model."""
        return self.name.replace(".", "_")

    @property
    def default(self) -> object:
        """The value when it is not written; None means unset."""
        owner = Global if self.scope is Scope.GLOBAL else Pool
        return getattr(owner, self.field)

    @property
    def written_default(self) -> str:
        """The default as one would write it; empty when there is none."""
        match self.default:
            case None:
                return ""
            case bool(value):
                return "yes" if value else "no"
            case Enum() as member:
                return member.name.lower()
            case value if self.kind is Kind.FACILITY:
                return "daemon" if value == _DAEMON else str(value)
            case value:
                return f"{value}s" if self.kind is Kind.TIME else str(value)


class ArrayDirective(Frozen):
    """A directive written with brackets, in pools only: `name[key] = value`."""

    name: str
    meaning: str
    since: str = ""
    in_force: bool = True

    @property
    def written(self) -> str:
        """The name with its brackets."""
        return f"{self.name}[]" if self.name == "access.suppress_path" else f"{self.name}[NAME]"


def _global(name: str, kind: Kind, meaning: str, since: str = "") -> Directive:
    return Directive(Scope.GLOBAL, name, kind, meaning, since)


def _pool(name: str, kind: Kind, meaning: str, since: str = "") -> Directive:
    return Directive(Scope.POOL, name, kind, meaning, since)


def _own(directive: Directive) -> Directive:
    """Mark a directive that php-fpm refuses."""
    return replace(directive, own=True)


def _later(directive: Directive) -> Directive:
    """Mark a directive that is accepted, but that this version does not act on."""
    return replace(directive, in_force=False)


GLOBAL = (
    _global("pid", Kind.PATH, "File that holds the master's process id."),
    _global("error_log", Kind.PATH, "File that the master logs to, or `syslog`."),
    _global("syslog.ident", Kind.TEXT, "Tag in front of lines sent to syslog."),
    _global("syslog.facility", Kind.FACILITY, "Facility of lines sent to syslog."),
    _global(
        "log_buffering", Kind.BOOLEAN, "Write what workers say when its line is complete, not before.", "7.3"
    ),
    _global("log_level", Kind.LOG_LEVEL, "Least grave level that is logged."),
    _global(
        "log_limit", Kind.INTEGER, "Longest line of the log in bytes, all included; longer ones go on.", "7.3"
    ),
    _own(_global("log_format", Kind.LOG_FORMAT, "What the lines of the error log look like.")),
    _global(
        "emergency_restart_threshold",
        Kind.INTEGER,
        "Number of crashed workers that reloads everything; 0 is never.",
    ),
    _global("emergency_restart_interval", Kind.TIME, "Time within which those crashes count."),
    _global("process_control_timeout", Kind.TIME, "Time for workers to obey a signal before a harder one."),
    _global("process.max", Kind.INTEGER, "Most workers of all pools together; 0 is no limit.", "5.4"),
    _global("process.priority", Kind.INTEGER, "Nice value of the master, -19 to 20."),
    _global("daemonize", Kind.BOOLEAN, "Go to the background."),
    _global("rlimit_files", Kind.INTEGER, "Limit of open files of the master."),
    _global("rlimit_core", Kind.CORE, "Limit of the core file size of the master."),
    _later(_global("events.mechanism", Kind.TEXT, "How the master waits for events.")),
    _global("systemd_interval", Kind.TIME, "Time between status reports to systemd; 0 is off."),
    _own(
        _global(
            "metrics.listen",
            Kind.TEXT,
            "Address that answers HTTP with figures for Prometheus (`/metrics`), `/health` and `/ready`.",
        )
    ),
    _own(_global("metrics.listen.owner", Kind.TEXT, "Owner of its socket file.")),
    _own(_global("metrics.listen.group", Kind.TEXT, "Group of its socket file.")),
    _own(_global("metrics.listen.mode", Kind.TEXT, "Permissions of its socket file; 0660 if not set.")),
    _own(
        _global(
            "metrics.listen.allowed_clients",
            Kind.TEXT,
            "Addresses or networks allowed there over TCP; any if not set.",
        )
    ),
    _own(_global("metrics.user", Kind.TEXT, "User of what answers there, if the master is root.")),
)

POOL = (
    _pool("prefix", Kind.PATH, "Directory that relative paths of the pool start from."),
    _pool("user", Kind.TEXT, "User of the workers; needed when the master is root."),
    _pool("group", Kind.TEXT, "Group of the workers; the user's own if not set."),
    _pool("listen", Kind.TEXT, "Address for requests: `port`, `host:port` or the path of a socket."),
    _pool(
        "listen.backlog",
        Kind.INTEGER,
        "Length of the queue of the listening socket; -1 is the system's most.",
    ),
    _pool("listen.acl_users", Kind.TEXT, "Users that may connect to the socket file, as a list."),
    _pool("listen.acl_groups", Kind.TEXT, "Groups that may connect to the socket file, as a list."),
    _pool("listen.owner", Kind.TEXT, "Owner of the socket file."),
    _pool("listen.group", Kind.TEXT, "Group of the socket file."),
    _pool("listen.mode", Kind.TEXT, "Permissions of the socket file, octal; 0660 if not set."),
    _pool("listen.allowed_clients", Kind.TEXT, "Addresses or networks allowed over TCP; any if not set."),
    _pool("process.priority", Kind.INTEGER, "Nice value of the workers, -19 to 20."),
    _pool("process.dumpable", Kind.BOOLEAN, "Let the workers be traced and leave core files.", "7.0.29"),
    _pool("pm", Kind.PM, "How the number of workers is governed."),
    _pool("pm.max_children", Kind.INTEGER, "Most workers at a time."),
    _pool("pm.start_servers", Kind.INTEGER, "Workers at the start (dynamic)."),
    _pool("pm.min_spare_servers", Kind.INTEGER, "Fewest idle workers (dynamic)."),
    _pool("pm.max_spare_servers", Kind.INTEGER, "Most idle workers (dynamic)."),
    _pool("pm.max_spawn_rate", Kind.INTEGER, "Most workers started within a second.", "8.1"),
    _pool("pm.process_idle_timeout", Kind.TIME, "Idle time after which a worker ends (ondemand)."),
    _pool("pm.max_requests", Kind.INTEGER, "Requests after which a worker is replaced; 0 is never."),
    _own(
        _pool(
            "pm.max_requests_jitter",
            Kind.INTEGER,
            "Up to so many requests more, by chance, so that workers are not replaced all at once.",
        )
    ),
    _own(_pool("pm.max_memory", Kind.SIZE, "Memory at which a worker is replaced; 0 is never.")),
    _own(
        _pool(
            "queue.max_length",
            Kind.INTEGER,
            "Most connections that may wait while all workers are busy: more are answered with 503; "
            "0 is no limit.",
        )
    ),
    _own(
        _pool(
            "queue.max_wait",
            Kind.TIME,
            "Longest that a connection may wait for a worker: then it is answered with 503; 0 is no limit.",
        )
    ),
    _pool("pm.status_path", Kind.TEXT, "URI of the status page."),
    _pool("pm.status_listen", Kind.TEXT, "Address that answers status and ping pages only.", "8.0"),
    _pool("ping.path", Kind.TEXT, "URI that answers that the pool is alive."),
    _pool("ping.response", Kind.TEXT, "Answer to a ping."),
    _pool("access.log", Kind.PATH, "File of the access log."),
    _pool("access.format", Kind.TEXT, "Format of the access log, or `json`."),
    _pool("slowlog", Kind.PATH, "File for the stacks of slow requests."),
    _pool("request_slowlog_timeout", Kind.TIME, "Time after which a request is slow; 0 is never."),
    _pool("request_slowlog_trace_depth", Kind.INTEGER, "Frames of a slow request's stack.", "7.2"),
    _pool("request_terminate_timeout", Kind.TIME, "Time after which a request is ended; 0 is never."),
    _pool(
        "request_terminate_timeout_track_finished",
        Kind.BOOLEAN,
        "Count the time after fastcgi_finish_request() and in shutdown functions, too.",
        "7.3",
    ),
    _own(
        _pool(
            "request_terminate_grace",
            Kind.TIME,
            "Time for the shutdown functions of such a request, before its worker is killed; 0: none.",
        )
    ),
    _pool("rlimit_files", Kind.INTEGER, "Limit of open files of the workers."),
    _pool("rlimit_core", Kind.CORE, "Limit of the core file size of the workers."),
    _pool("chroot", Kind.PATH, "Root directory of the workers."),
    _pool("chdir", Kind.PATH, "Working directory of the workers."),
    _pool("catch_workers_output", Kind.BOOLEAN, "Log what workers write to stdout and stderr."),
    _pool("decorate_workers_output", Kind.BOOLEAN, "Say in the log which worker wrote it.", "7.3"),
    _pool("clear_env", Kind.BOOLEAN, "Start the workers without the master's environment."),
    _own(
        _pool(
            "connection.idle_timeout",
            Kind.TIME,
            "Time after which a kept connection without a request is closed; 0 is never.",
        )
    ),
    _own(
        _pool(
            "connection.header_timeout",
            Kind.TIME,
            "Time for a request to come up to the end of its params, before its connection is closed; "
            "0: as long as it takes.",
        )
    ),
    _own(
        _pool(
            "connection.body_timeout",
            Kind.TIME,
            "Time for which a client may be silent in the middle of a body; 0: as long as it likes.",
        )
    ),
    _own(
        _pool(
            "connection.body_buffer",
            Kind.SIZE,
            "How much of a body, or all of a smaller one, has to be there before a worker runs the request; "
            "0: nothing.",
        )
    ),
    _pool("security.limit_extensions", Kind.TEXT, "Endings that the main script may have; empty allows all."),
    _own(
        _pool(
            "security.limit_php_value",
            Kind.TEXT,
            "PHP settings that the web server may send in `PHP_VALUE` and `PHP_ADMIN_VALUE`: "
            "`all`, `none` or a list of names.",
        )
    ),
    _own(
        _pool(
            "security.limit_body_files",
            Kind.TEXT,
            "Where the web server may leave a body that it names in `REQUEST_BODY_FILE`: "
            "`all`, `none` or a list of directories.",
        )
    ),
    _own(
        _pool(
            "process.no_new_privs",
            Kind.BOOLEAN,
            "Let nothing that scripts execute gain rights by set-user-ID bits or file capabilities.",
        )
    ),
    _pool("apparmor_hat", Kind.TEXT, "AppArmor hat of the workers."),
    _own(
        _pool(
            "php.version",
            Kind.TEXT,
            "Version of PHP that the pool runs, as in 8.2, of those that kraal is built for.",
        )
    ),
    _own(
        _pool(
            "worker.script",
            Kind.PATH,
            "Script that stays loaded in some of the workers, the residents, and handles requests in a loop.",
        )
    ),
    _own(
        _pool(
            "worker.num",
            Kind.INTEGER,
            "How many of pm.max_children are residents; 0: all but one, which is for other scripts.",
        )
    ),
    _own(
        _pool(
            "worker.max_requests",
            Kind.INTEGER,
            "Requests after which a resident is replaced; 0 is never.",
        )
    ),
    _own(
        _pool(
            "worker.fork",
            Kind.BOOLEAN,
            "Start the script once, and fork the residents off that process: soon, and sharing its memory.",
        )
    ),
    _own(
        _pool(
            "worker.match",
            Kind.TEXT,
            "Further scripts whose requests are for the residents: full paths, in which `*` is anything.",
        )
    ),
    _own(
        _pool(
            "worker.watch",
            Kind.TEXT,
            "For development: files and directories after whose changes the residents start anew.",
        )
    ),
)

ARRAYS = (
    ArrayDirective("env", "Environment variable of the workers; `$NAME` takes the master's."),
    ArrayDirective("php_value", "PHP setting that scripts may change."),
    ArrayDirective("php_flag", "Boolean PHP setting that scripts may change."),
    ArrayDirective("php_admin_value", "PHP setting that scripts may not change."),
    ArrayDirective("php_admin_flag", "Boolean PHP setting that scripts may not change."),
    ArrayDirective("access.suppress_path", "Path whose requests are not logged if they succeed.", "8.2"),
)
