"""The status and ping pages: bytes of a CGI response, out of what the scoreboard says.

Texts, keys and forms are php-fpm's; tools parse them.  Values from requests are escaped for each form.
"""

import re
import time
from collections.abc import Callable, Iterable
from json import dumps

from kraal.fields import Frozen
from kraal.memory.scoreboard import PoolState, Stage, WorkerState

_NO_CACHE = (
    "Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Cache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n"
)
_CLF_TIME = "%d/%b/%Y:%H:%M:%S %z"
_LAST_SECOND = 253402214400  # of the year 9999, less a day for the time zone
_TITLE = "PHP-FPM Status Page"

# Not by `html`, whose table of all entities would cost every manager a millisecond.
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")

_STAGE_NAMES = {
    Stage.IDLE: "Idle",
    Stage.READING_HEADERS: "Reading headers",
    Stage.INFO: "Getting request information",
    Stage.RUNNING: "Running",
    Stage.ENDING: "Ending",
    Stage.FINISHING: "Finishing",
}

_METRICS = (
    ("start since", "start_since", "counter", "The number of seconds since FPM has started."),
    ("accepted conn", "accepted_connections", "counter", "The number of requests accepted by the pool."),
    ("listen queue", "listen_queue", "gauge", "The number of requests in the queue of pending connections."),
    (
        "max listen queue",
        "max_listen_queue",
        "counter",
        "The maximum number of requests in the queue of pending connections since FPM has started.",
    ),
    (
        "listen queue len",
        "listen_queue_length",
        "gauge",
        "The size of the socket queue of pending connections.",
    ),
    ("idle processes", "idle_processes", "gauge", "The number of idle processes."),
    ("active processes", "active_processes", "gauge", "The number of active processes."),
    ("total processes", "total_processes", "gauge", "The number of idle + active processes."),
    (
        "max active processes",
        "max_active_processes",
        "counter",
        "The maximum number of active processes since FPM has started.",
    ),
    (
        "max children reached",
        "max_children_reached",
        "counter",
        "The number of times, the process limit has been reached, when pm tries to start more children"
        " (works only for pm 'dynamic' and 'ondemand').",
    ),
    (
        "slow requests",
        "slow_requests",
        "counter",
        "The number of requests that exceeded your 'request_slowlog_timeout' value.",
    ),
    ("memory peak", "memory_peak", "gauge", "The memory usage peak since FPM has started."),
    (
        "turned away",
        "turned_away",
        "counter",
        "The number of requests that were answered with 503 because too many waited.",
    ),
)

Row = dict[str, str | int | float]


class Page(Frozen, kw_only=True):
    """A pool, looked at."""

    pool: str
    policy: str
    state: PoolState
    now: float  # seconds of the epoch
    clock_ns: int  # of the monotonic clock
    listen_queue: int = 0
    listen_queue_length: int = 0
    is_bounded: bool = False  # who waits may be turned away
    has_memory_peak: bool = False  # as the pages of PHP 8.4 and later have it


def ping(text: str, *, method: str) -> bytes:
    """The answer of the ping page."""
    head = f"Content-type: text/plain;charset=UTF-8\r\n{_NO_CACHE}\r\n"
    return (head + ("" if method == "HEAD" else text)).encode("utf-8", "replace")


def status(page: Page, *, method: str, query: str) -> bytes:
    """The answer of the status page, in the form that the query names."""
    wanted = {part.partition("=")[0] for part in query.split("&")}
    full = "full" in wanted
    for name, (content_type, render) in _FORMS.items():
        if name in wanted:
            return _response(content_type, "" if method == "HEAD" else render(page, full))
    return _response("text/plain", "" if method == "HEAD" else _text(page, full))


def _response(content_type: str, body: str) -> bytes:
    head = f"{_NO_CACHE}Content-type: {content_type};charset=UTF-8\r\n\r\n"
    if ";" in content_type or not content_type.startswith("text/"):
        head = f"{_NO_CACHE}Content-Type: {content_type}\r\n\r\n"
    return (head + body).encode("utf-8", "replace")


def _clf(epoch: float) -> str:
    # A hostile worker's number must not be one that the calendar has no day for.
    return time.strftime(_CLF_TIME, time.localtime(min(max(epoch, 0), _LAST_SECOND)))


def _pool_row(page: Page, when: Callable[[float], str | int]) -> Row:
    state = page.state
    row: Row = {
        "pool": page.pool,
        "process manager": page.policy,
        "start time": when(state.started_at),
        "start since": max(0, int(page.now) - state.started_at),
        "accepted conn": state.accepted,
        "listen queue": page.listen_queue,
        "max listen queue": max(state.max_queue, page.listen_queue),
        "listen queue len": page.listen_queue_length,
        "idle processes": state.idle,
        "active processes": state.active,
        "total processes": len(state.workers),
        "max active processes": max(state.max_active, state.active),
        "max children reached": state.max_children_reached,
        "slow requests": state.slow,
    }
    if page.has_memory_peak:
        row["memory peak"] = state.memory_peak
    if page.is_bounded:
        row["turned away"] = state.turned_away  # not php-fpm's
    return row


def _duration_ns(worker: WorkerState, clock_ns: int) -> int:
    end = worker.finished_ns if worker.stage is Stage.IDLE else clock_ns
    return max(0, end - worker.accepted_ns)


def _cpu_percent(worker: WorkerState) -> float:
    duration = worker.finished_ns - worker.accepted_ns
    return 100.0 * worker.cpu_ns / duration if duration > 0 else 0.0


def _worker_row(worker: WorkerState, page: Page, when: Callable[[float], str | int]) -> Row:
    idle = worker.stage is Stage.IDLE
    row: Row = {
        "pid": worker.pid,
        "state": _STAGE_NAMES[worker.stage],
        "start time": when(worker.started_at),
        "start since": max(0, int(page.now) - worker.started_at),
        "requests": worker.requests,
        "request duration": _duration_ns(worker, page.clock_ns) // 1000,
        "request method": worker.method or "-",
        "request uri": worker.url or "-",
        "content length": worker.content_length,
        "user": worker.user or "-",
        "script": worker.script or "-",
        "last request cpu": round(_cpu_percent(worker), 2) if idle else 0.0,
        "last request memory": worker.memory if idle else 0,
    }
    # Not php-fpm's: at the end, and only where the web server tells.
    if worker.waited is not None:
        row["request queue time"] = worker.waited // 1000
    return row


def _worker_rows(page: Page, when: Callable[[float], str | int]) -> list[Row]:
    return [_worker_row(worker, page, when) for worker in page.state.workers]


def _shown(value: str | int | float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _text_lines(row: Row) -> Iterable[str]:
    for name, value in row.items():
        label = "request URI" if name == "request uri" else name
        yield f"{label + ':':<22}{_without_control(_shown(value))}\n"


def _text(page: Page, full: bool) -> str:
    text = "".join(_text_lines(_pool_row(page, _clf)))
    for row in _worker_rows(page, _clf) if full else ():
        text += "\n" + "*" * 24 + "\n" + "".join(_text_lines(row))
    return text


def _html(page: Page, full: bool) -> str:
    rows = "".join(
        f"<tr><th>{n}</th><td>{_escape(_without_control(_shown(v)))}</td></tr>\n"
        for n, v in _pool_row(page, _clf).items()
    )
    text = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f"<head><title>{_TITLE}</title></head>\n<body>\n<table>\n{rows}</table>\n"
    )
    if not full:
        return text + "</body></html>"
    workers = _worker_rows(page, _clf)
    no_names: list[str] = []
    names = max((list(row) for row in workers), key=len, default=no_names)
    heads = "".join(f"<th>{name}</th>" for name in names)
    text += f'<table border="1">\n<tr>{heads}</tr>\n'
    for row in workers:
        text += (
            "<tr>"
            + "".join(f"<td>{_escape(_without_control(_shown(row.get(name, '-'))))}</td>" for name in names)
            + "</tr>\n"
        )
    return text + "</table></body></html>"


def _xml_elements(row: Row, end: str) -> str:
    return "".join(
        f"<{tag}>{_escape(_without_control(value))}</{tag}>{end}"
        for tag, value in ((name.replace(" ", "-"), _shown(value)) for name, value in row.items())
    )


def _escape(text: str) -> str:
    # For HTML and XML.
    return text.translate(_ESCAPED)


def _without_control(text: str) -> str:
    # They would forge lines of the text form, and XML has no way to write them, not even escaped.
    return _CONTROL.sub("\ufffd", text)


def _xml(page: Page, full: bool) -> str:
    text = '<?xml version="1.0" ?>\n<status>\n' + _xml_elements(_pool_row(page, int), "\n")
    if full:
        rows = (f"<process>{_xml_elements(row, '')}</process>\n" for row in _worker_rows(page, int))
        text += "<processes>\n" + "".join(rows) + "</processes>\n"
    return text + "</status>"


def _json(page: Page, full: bool) -> str:
    document: dict[str, object] = dict(_pool_row(page, int))
    if full:
        document["processes"] = _worker_rows(page, int)
    return dumps(document, separators=(",", ":"))


def _openmetrics(page: Page, full: bool) -> str:
    del full  # php-fpm's form has no rows
    row = _pool_row(page, int)
    text = (
        f"# HELP phpfpm_up Could pool {page.pool} using a {page.policy} PM on PHP-FPM be reached?\n"
        "# TYPE phpfpm_up gauge\nphpfpm_up 1\n"
    )
    for key, name, kind, meaning in _METRICS:
        if key not in row:
            continue
        comments = [f"# HELP phpfpm_{name} {meaning}\n", f"# TYPE phpfpm_{name} {kind}\n"]
        if key == "listen queue len":
            comments.reverse()  # so in php-fpm, and what compares pages line by line goes on working
        text += "".join(comments) + f"phpfpm_{name} {row[key]}\n"
    return text + "# EOF\n"


_FORMS: dict[str, tuple[str, Callable[[Page, bool], str]]] = {
    "html": ("text/html", _html),
    "xml": ("text/xml", _xml),
    "json": ("application/json", _json),
    "openmetrics": ("application/openmetrics-text; version=1.0.0; charset=utf-8", _openmetrics),
}
