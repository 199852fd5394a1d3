"""What a configuration may say, and php-fpm takes in silence, but cannot have been meant.

Each check yields findings at the level of a warning, as `checks` does with errors.
"""

from collections.abc import Iterator, Mapping

from kraal.config.address import is_tcp
from kraal.config.checks import Finding
from kraal.config.model import Global, LogLevel, PhpValue, Pm, Pool

_OF_SOCKET_FILES = ("listen.owner", "listen.group", "listen.mode", "listen.acl_users", "listen.acl_groups")
_OF_DYNAMIC = ("pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers", "pm.max_spawn_rate")
_OF_ONDEMAND = ("pm.process_idle_timeout",)
# One directive that does nothing unless the other one, or one of the others, is set.
_NEEDS = (
    ("pm.max_requests_jitter", ("pm.max_requests", "worker.max_requests")),
    ("worker.num", ("worker.script",)),
    ("worker.max_requests", ("worker.script",)),
    ("worker.fork", ("worker.script",)),
    ("worker.match", ("worker.script",)),
    ("worker.watch", ("worker.script",)),
    ("decorate_workers_output", ("catch_workers_output",)),
    ("ping.response", ("ping.path",)),
    ("access.format", ("access.log",)),
    ("access.suppress_path", ("access.log",)),
    ("slowlog", ("request_slowlog_timeout",)),
    ("request_terminate_timeout_track_finished", ("request_terminate_timeout",)),
)
# Settings that may be written several times, as each adds to those before.
ADD_UP = frozenset({"extension", "zend_extension", "disable_functions", "disable_classes"})


def conflicts_of_process(global_: Global, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    """Look at `[global]`, and at all pools against it."""
    threshold, interval = "emergency_restart_threshold", "emergency_restart_interval"
    for name, other in ((threshold, interval), (interval, threshold)):
        if _value(global_, name) and not _value(global_, other):
            yield _warning(f"{name} has no effect without {other}", name)
    fixed = sum(pool.pm_max_children for pool in pools if pool.pm is Pm.STATIC)
    if 0 < global_.process_max < fixed:
        text = f"process.max ({global_.process_max}) is less than the {fixed} workers of the static pools"
        yield _warning(text, "process.max")


def conflicts_of_pool(pool: Pool, environ: Mapping[str, str] | None) -> Iterator[Finding]:
    """Look at one pool; `environ` is the master's, or None if that is not known."""
    yield from _of_listening(pool)
    yield from _of_queue(pool)
    yield from _of_process_manager(pool)
    for name, others in _NEEDS:
        if name in _set(pool) and not any(_value(pool, other) for other in others):
            yield _warning(f"{name} has no effect without {' or '.join(others)}", name)
    if pool.ping_path and pool.ping_path == pool.pm_status_path:
        text = f"ping.path and pm.status_path are both '{pool.ping_path}': the status page is never shown"
        yield _warning(text, "pm.status_path", "ping.path")
    if "," in pool.security_limit_extensions:
        text = f"security.limit_extensions = {pool.security_limit_extensions} is separated by spaces"
        yield _warning(f"{text}, not by commas", "security.limit_extensions")
    yield from _of_environment(pool, environ)
    yield from _of_php_values(pool)


def _warning(text: str, *about: str) -> Finding:
    return Finding(text, about, LogLevel.WARNING)


def _set(pool: Pool) -> frozenset[str]:
    return pool.written | ({"access.suppress_path"} if pool.access_suppress_path else set())


def _value(section: Global | Pool, name: str) -> object:
    return getattr(section, name.replace(".", "_"))


def _shown(value: PhpValue) -> str:
    return f"{value.kind}[{value.name}]"


def _idle(pool: Pool, names: tuple[str, ...], reason: str) -> Iterator[Finding]:
    """Name those that are written, in one sentence."""
    found = [name for name in names if name in pool.written and _value(pool, name) is not None]
    if found:
        verb = "has" if len(found) == 1 else "have"
        yield _warning(f"{', '.join(found)} {verb} no effect {reason}", *found)


def _of_listening(pool: Pool) -> Iterator[Finding]:
    if pool.listen and is_tcp(pool.listen):
        yield from _idle(pool, _OF_SOCKET_FILES, f"on listen = {pool.listen}, which is no socket file")
    elif pool.listen_allowed_clients:
        yield from _idle(pool, ("listen.allowed_clients",), "on a Unix socket")


def _of_queue(pool: Pool) -> Iterator[Finding]:
    if 0 < pool.listen_backlog <= pool.queue_max_length:
        text = (
            f"queue.max_length ({pool.queue_max_length}) cannot be reached: "
            f"listen.backlog ({pool.listen_backlog}) is not greater"
        )
        yield _warning(text, "queue.max_length", "listen.backlog")


def _of_process_manager(pool: Pool) -> Iterator[Finding]:
    idle = {
        Pm.STATIC: (*_OF_DYNAMIC, *_OF_ONDEMAND),
        Pm.DYNAMIC: _OF_ONDEMAND,
        Pm.ONDEMAND: _OF_DYNAMIC,
    }
    yield from _idle(pool, idle[pool.pm], f"with pm = {pool.pm.value}")


def _of_environment(pool: Pool, environ: Mapping[str, str] | None) -> Iterator[Finding]:
    seen: set[str] = set()
    for name, value in pool.env:
        shown = f"env[{name}]"
        if name in seen:
            yield _warning(f"{shown} is written more than once: the first one counts", shown)
        elif not pool.clear_env and value == f"${name}":
            yield _warning(f"{shown} = {value} changes nothing with clear_env = no", shown)
        elif environ is not None and value.startswith("$") and value[1:] not in environ:
            yield _warning(f"{shown} is empty: {value} is not in the environment of the master", shown)
        seen.add(name)


def _of_php_values(pool: Pool) -> Iterator[Finding]:
    admin = {value.name for value in pool.php_values if value.kind == "php_admin_value"}
    seen: set[tuple[str, str]] = set()
    for value in pool.php_values:
        if value.name in ADD_UP:
            continue
        if (value.kind, value.name) in seen:
            yield _warning(f"{_shown(value)} is written more than once: the first one counts", _shown(value))
        elif value.kind == "php_value" and value.name in admin:
            text = f"{_shown(value)} cannot take effect: php_admin_value[{value.name}] counts"
            yield _warning(text, _shown(value))
        seen.add((value.kind, value.name))
        if value.name == "max_execution_time" and _leaves_no_time(pool, value.value):
            text = (
                f"{_shown(value)} = {value.value} cannot take effect: "
                f"request_terminate_timeout = {pool.request_terminate_timeout} ends the worker before"
            )
            yield _warning(text, _shown(value))


def _leaves_no_time(pool: Pool, limit: str) -> bool:
    """PHP's limit is of processor time, which is never more than the time on the clock."""
    seconds = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 10 else 0
    return 0 < pool.request_terminate_timeout <= seconds
