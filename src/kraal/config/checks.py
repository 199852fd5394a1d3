"""The rules that the directives of one section must keep among each other.

Each check yields what it finds and says which directives it is about, so that whoever reports it
can name the line, and can be silent where one of them could not be read in the first place.
"""

import re
from collections.abc import Iterator

from kraal.config.access_format import complaint
from kraal.config.address import AddressError, parse_address
from kraal.config.model import Global, LogLevel, Pm, Pool
from kraal.fields import Frozen

MIN_LOG_LIMIT = 512
MAX_BODY_BUFFER = 1 << 20
_MECHANISMS = ("epoll", "poll", "select")


class Finding(Frozen):
    """One broken rule; `about` names the directives, the first that is written gives the line."""

    text: str
    about: tuple[str, ...]
    level: LogLevel = LogLevel.ERROR
    exact: bool = False
    bare: bool = False


def check_global(global_: Global) -> Iterator[Finding]:
    """Check the `[global]` section."""
    if global_.log_limit < MIN_LOG_LIMIT:
        yield Finding(f"log_limit must be greater than {MIN_LOG_LIMIT}", ("log_limit",), exact=True)
    if global_.process_max < 0:
        yield Finding("process_max can't be negative", ("process.max",))
    yield from _check_priority(global_.process_priority)
    mechanism = global_.events_mechanism
    if mechanism is not None and mechanism.lower() not in _MECHANISMS:
        text = f"event mechanism '{mechanism}' is not available on this system"
        yield Finding(text, ("events.mechanism",))


def check_pool(pool: Pool, global_: Global) -> Iterator[Finding]:
    """Check what can be checked of a pool without looking at the machine."""
    yield from _check_listen(pool)
    yield from _check_priority(pool.process_priority)
    yield from _check_pm(pool)
    if pool.pm is Pm.DYNAMIC:
        yield from _check_dynamic(pool)
    if pool.pm is Pm.ONDEMAND:
        yield from _check_ondemand(pool, global_)
    yield from _check_status(pool)
    yield from _check_ping(pool)
    yield from _check_slowlog(pool)
    yield from _check_access_format(pool)
    yield from _check_body_files(pool)
    yield from _check_body_buffer(pool)
    yield from _check_residents(pool)


def _check_body_buffer(pool: Pool) -> Iterator[Finding]:
    if pool.connection_body_buffer > MAX_BODY_BUFFER:
        yield Finding("connection.body_buffer must not be greater than 1M", ("connection.body_buffer",))


def _alert(text: str, *about: str) -> Finding:
    return Finding(text, about, LogLevel.ALERT)


def _check_priority(priority: int | None) -> Iterator[Finding]:
    if priority is not None and not -19 <= priority <= 20:
        yield Finding("process.priority must be included into [-19,20]", ("process.priority",))


def _check_listen(pool: Pool) -> Iterator[Finding]:
    if not pool.listen:
        yield _alert("no listen address have been defined!", "listen")
    for name, text in (("listen", pool.listen), ("pm.status_listen", pool.pm_status_listen)):
        if text:
            try:
                parse_address(text)
            except AddressError as error:
                # php-fpm finds a wrong port while it binds, and names no pool with it.
                bare = str(error).startswith("invalid port")
                yield Finding(str(error), (name,), exact=bare, bare=bare)


def _check_pm(pool: Pool) -> Iterator[Finding]:
    if "pm" not in pool.written:
        yield _alert("the process manager is missing (static, dynamic or ondemand)", "pm")
    if pool.pm_max_children < 1:
        yield _alert("pm.max_children must be a positive value", "pm.max_children")
    for name, value in (
        ("pm.max_requests_jitter", pool.pm_max_requests_jitter),
        ("queue.max_length", pool.queue_max_length),
        ("queue.max_wait", pool.queue_max_wait),
    ):
        if value < 0:
            yield Finding(f"{name} can't be negative", (name,))


def _check_dynamic(pool: Pool) -> Iterator[Finding]:
    low, high, most = pool.pm_min_spare_servers, pool.pm_max_spare_servers, pool.pm_max_children
    names = ("pm.min_spare_servers", "pm.max_spare_servers")
    if low <= 0:
        yield _alert(f"pm.min_spare_servers({low}) must be a positive value", names[0])
    if high <= 0:
        yield _alert(f"pm.max_spare_servers({high}) must be a positive value", names[1])
    if pool.pm_max_spawn_rate < 1:
        yield _alert("pm.max_spawn_rate must be a positive value", "pm.max_spawn_rate")
    if min(low, high, most) <= 0:
        return
    if max(low, high) > most:
        yield _alert(
            f"pm.min_spare_servers({low}) and pm.max_spare_servers({high}) "
            f"cannot be greater than pm.max_children({most})",
            *names,
            "pm.max_children",
        )
    elif high < low:
        yield _alert(
            f"pm.max_spare_servers({high}) must not be less than pm.min_spare_servers({low})",
            names[1],
            names[0],
        )
    elif pool.pm_start_servers > 0 and not low <= pool.pm_start_servers <= high:
        yield _alert(
            f"pm.start_servers({pool.pm_start_servers}) must not be less than pm.min_spare_servers({low}) "
            f"and not greater than pm.max_spare_servers({high})",
            "pm.start_servers",
            *names,
        )


def _check_ondemand(pool: Pool, global_: Global) -> Iterator[Finding]:
    if (global_.events_mechanism or "epoll").lower() != "epoll":
        yield _alert(
            "ondemand process manager can ONLY be used when events.mechanism is either epoll (Linux) "
            "or kqueue (*BSD).",
            "pm",
        )
    if pool.pm_process_idle_timeout < 1:
        yield _alert(
            f"pm.process_idle_timeout({pool.pm_process_idle_timeout}s) must be greater than 0s",
            "pm.process_idle_timeout",
        )


def _check_status(pool: Pool) -> Iterator[Finding]:
    path = pool.pm_status_path
    if path:
        alone = pool.pm_status_listen is not None
        yield from _check_uri(path, "pm.status_path", "status", at_least=1 if alone else 2)


def _check_ping(pool: Pool) -> Iterator[Finding]:
    if not pool.ping_path:
        return
    yield from _check_uri(pool.ping_path, "ping.path", "ping", at_least=2)
    if pool.ping_response == "":
        yield Finding("the ping response page '' is not long enough", ("ping.response",))


def _check_uri(path: str, name: str, page: str, *, at_least: int) -> Iterator[Finding]:
    if not path.startswith("/"):
        yield Finding(f"the {page} path '{path}' must start with a '/'", (name,))
    elif len(path) < at_least:
        yield Finding(f"the {page} path '{path}' is not long enough", (name,))
    elif not re.fullmatch(r"[A-Za-z0-9/_.~-]*", path):
        allowed = "[alphanum]/_-.~"
        text = f"the {page} path '{path}' must contain only the following characters '{allowed}'"
        yield Finding(text, (name,))


def _check_access_format(pool: Pool) -> Iterator[Finding]:
    # php-fpm looks at the format only where there is a log to be written in it.
    found = complaint(pool.access_format or "") if pool.access_log else None
    if found is not None:
        text = f"wrong format for access.format '{pool.access_format}': {found}"
        yield Finding(text, ("access.format",))


def _check_body_files(pool: Pool) -> Iterator[Finding]:
    name = "security.limit_body_files"
    for path in pool.limit_body_files or ():
        if not path.startswith("/"):
            yield Finding(f"the {name} path '{path}' must start with a '/'", (name,))


def _check_residents(pool: Pool) -> Iterator[Finding]:
    for name, value in (("worker.num", pool.worker_num), ("worker.max_requests", pool.worker_max_requests)):
        if value < 0:
            yield Finding(f"{name} can't be negative", (name,))
    for name, paths in (("worker.match", pool.match), ("worker.watch", pool.watched)):
        for path in paths:
            if not path.startswith("/" if name == "worker.watch" else ("/", "*")):
                yield Finding(f"the {name} path '{path}' must start with a '/'", (name,))
    if not pool.residents or pool.pm_max_children < 1 or pool.worker_num < 0:
        return
    if pool.ordinary < 1:
        text = (
            f"worker.num({pool.residents}) must be less than pm.max_children({pool.pm_max_children}): "
            "requests for other scripts need a worker, too"
        )
        yield Finding(text, ("worker.num", "worker.script"))
    elif pool.pm is Pm.DYNAMIC and pool.pm_max_spare_servers > pool.ordinary:
        text = (
            f"pm.max_spare_servers({pool.pm_max_spare_servers}) cannot be greater than the {pool.ordinary} "
            f"workers that worker.num({pool.residents}) leaves of pm.max_children({pool.pm_max_children})"
        )
        yield Finding(text, ("pm.max_spare_servers", "worker.num", "worker.script"))


def _check_slowlog(pool: Pool) -> Iterator[Finding]:
    slow, kill = pool.request_slowlog_timeout, pool.request_terminate_timeout
    for name, value in (
        ("request_slowlog_timeout", slow),
        ("request_slowlog_trace_depth", "request_slowlog_trace_depth" in pool.written),
    ):
        if value and not pool.slowlog:
            yield Finding(f"'slowlog' must be specified for use with '{name}'", (name, "slowlog"))
    if slow and kill and slow > kill:
        text = (
            f"'request_slowlog_timeout' ({slow}) can't be greater than 'request_terminate_timeout' ({kill})"
        )
        yield Finding(text, ("request_slowlog_timeout", "request_terminate_timeout"))
    depth = pool.request_slowlog_trace_depth
    if depth <= 0:
        text = f"'request_slowlog_trace_depth' ({depth}) must be a positive value"
        yield Finding(text, ("request_slowlog_trace_depth",))
