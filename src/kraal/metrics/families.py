"""Which figures there are: of a master and of its pools.  Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from kraal.fields import Frozen
from kraal.memory.ledger import BOUNDS, Ending, Entries, Histogram
from kraal.memory.scoreboard import PoolState, Stage
from kraal.metrics.exposition import Family, Kind, Sample, histogram
from kraal.observe.tables import STAGES
from kraal.reload.report import Report

_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")


class PoolView(Frozen, kw_only=True):
    """What is seen of a pool.  All of it is foreign."""

    name: str
    state: PoolState
    entries: Entries
    pss: int | None = None  # bytes of all workers; None: the system does not tell


class View(Frozen):
    """What is seen of a master."""

    version: str
    report: Report
    pools: Sequence[PoolView]


class Told(Frozen):
    """What a master says of its pools: who is served when he comes, and who is not."""

    up: Sequence[str] = ()
    down: Sequence[str] = ()


class _Figure(Frozen):
    """A family with one sample a pool; None: there is none."""

    name: str
    kind: Kind
    meaning: str
    value: Callable[[PoolView], int | float | None]


_FIGURES = (
    _Figure(
        "kraal_pool_start_time_seconds",
        Kind.GAUGE,
        "When the pool was started or reloaded, in seconds of the epoch.",
        lambda pool: pool.state.started_at,
    ),
    _Figure(
        "kraal_connections_total",
        Kind.COUNTER,
        "Connections taken, since the pool was started or reloaded.",
        lambda pool: pool.state.connections,
    ),
    _Figure(
        "kraal_slow_requests_total",
        Kind.COUNTER,
        "Requests over request_slowlog_timeout, since the pool was started or reloaded.",
        lambda pool: pool.state.slow,
    ),
    _Figure(
        "kraal_turned_away_total",
        Kind.COUNTER,
        "Requests answered with 503 as too many waited, since the pool was started or reloaded.",
        lambda pool: pool.state.turned_away,
    ),
    _Figure(
        "kraal_max_children_reached_total",
        Kind.COUNTER,
        "How often more workers were wanted than there may be, since the pool was started or reloaded.",
        lambda pool: pool.state.max_children_reached,
    ),
    _Figure(
        "kraal_access_log_lost_lines_total",
        Kind.COUNTER,
        "Lines of the access log that were lost, since the pool was started or reloaded.",
        lambda pool: pool.state.log_lost,
    ),
    _Figure(
        "kraal_workers_limit",
        Kind.GAUGE,
        "Most workers that there may be at a time.",
        lambda pool: pool.state.limit,
    ),
    _Figure(
        "kraal_workers_most_active",
        Kind.GAUGE,
        "Most workers that had a request at a time, since the pool was started or reloaded.",
        lambda pool: max(pool.state.max_active, pool.state.active),
    ),
    _Figure(
        "kraal_workers_pss_bytes",
        Kind.GAUGE,
        "Memory of all workers; what several of them share counts once.",
        lambda pool: pool.pss,
    ),
    _Figure(
        "kraal_request_memory_peak_bytes",
        Kind.GAUGE,
        "Most memory that a request needed, since the pool was started or reloaded.",
        lambda pool: pool.state.memory_peak,
    ),
    _Figure(
        "kraal_listen_queue",
        Kind.GAUGE,
        "Connections that waited for a worker when somebody looked last.",
        lambda pool: pool.state.queue,
    ),
    _Figure(
        "kraal_listen_queue_deepest",
        Kind.GAUGE,
        "Most connections that were seen to wait, since the pool was started or reloaded.",
        lambda pool: pool.state.max_queue,
    ),
    _Figure(
        "kraal_listen_queue_limit",
        Kind.GAUGE,
        "Connections that can wait; 0 before somebody has looked.",
        lambda pool: pool.state.queue_limit,
    ),
)


class _OpcacheFigure(Frozen):
    """A family of OPcache's; with a label, a sample for each of its values."""

    name: str
    kind: Kind
    meaning: str
    fields: Mapping[str, str]  # of Opcache, by the value of the label; "": it has none
    label: str = ""


_OPCACHE = (
    _OpcacheFigure(
        "kraal_opcache_memory_bytes",
        Kind.GAUGE,
        "Memory of OPcache.",
        {each: each for each in ("used", "free", "wasted")},
        "kind",
    ),
    _OpcacheFigure(
        "kraal_opcache_strings_bytes",
        Kind.GAUGE,
        "Memory of OPcache for strings.",
        {"used": "strings_used", "free": "strings_free"},
        "kind",
    ),
    _OpcacheFigure("kraal_opcache_scripts", Kind.GAUGE, "Scripts in OPcache.", {"": "scripts"}),
    _OpcacheFigure("kraal_opcache_keys", Kind.GAUGE, "Names of scripts in OPcache.", {"": "keys"}),
    _OpcacheFigure("kraal_opcache_keys_limit", Kind.GAUGE, "Names that it has room for.", {"": "most_keys"}),
    _OpcacheFigure(
        "kraal_opcache_hits_total", Kind.COUNTER, "Scripts that were found in OPcache.", {"": "hits"}
    ),
    _OpcacheFigure(
        "kraal_opcache_misses_total", Kind.COUNTER, "Scripts that were not found there.", {"": "misses"}
    ),
    _OpcacheFigure(
        "kraal_opcache_restarts_total",
        Kind.COUNTER,
        "How often OPcache was emptied.",
        {each: f"{each}_restarts" for each in ("out_of_memory", "hash", "manual")},
        "reason",
    ),
)


def families(view: View) -> Iterator[Family]:
    """All of them."""
    yield Family("kraal_info", Kind.GAUGE, "Which kraal looked.", [Sample(1, {"version": view.version})])
    yield from _reloads(view.report)
    yield _requests(view.pools)
    yield _durations(
        "kraal_request_duration_seconds",
        "How long requests took, until their worker was free again.",
        view.pools,
        lambda entries: entries.durations,
    )
    yield _durations(
        "kraal_request_queue_seconds",
        "How long requests had waited before a worker began, as far as the web server says when they came.",
        view.pools,
        lambda entries: entries.waits,
    )
    yield _workers(view.pools)
    yield _endings(view.pools)
    for each in _FIGURES:
        samples = [
            Sample(value, {"pool": pool.name})
            for pool in view.pools
            if (value := each.value(pool)) is not None
        ]
        yield Family(each.name, each.kind, each.meaning, samples)
    yield from _opcache(view.pools)


def _opcache(pools: Sequence[PoolView]) -> Iterator[Family]:
    for each in _OPCACHE:
        samples = [
            Sample(getattr(pool.state.opcache, field), {"pool": pool.name, **_labels(each.label, value)})
            for pool in pools
            if pool.state.opcache
            for value, field in each.fields.items()
        ]
        yield Family(each.name, each.kind, each.meaning, samples)


def _labels(name: str, value: str) -> dict[str, str]:
    return {name: value} if name else {}


def standings(told: Told | None) -> Iterator[Family]:
    """How pools are, as only the master knows; None: it does not answer."""
    yield Family("kraal_up", Kind.GAUGE, "Whether the master answers.", [Sample(int(told is not None), {})])
    pools = {**dict.fromkeys(told.up, 1), **dict.fromkeys(told.down, 0)} if told else {}
    samples = [Sample(value, {"pool": name}) for name, value in sorted(pools.items())]
    meaning = "Whether whoever comes is served; a pool that sleeps is up."
    yield Family("kraal_pool_up", Kind.GAUGE, meaning, samples)


def _reloads(report: Report) -> Iterator[Family]:
    outcomes = {"succeeded": report.number - report.failed, "failed": report.failed}
    samples = [Sample(number, {"outcome": outcome}) for outcome, number in outcomes.items()]
    yield Family("kraal_reloads_total", Kind.COUNTER, "Reloads that have ended.", samples)
    good = Sample(int(report.failure is None), {})
    meaning = "Whether the last reload succeeded; 1 if there was none."
    yield Family("kraal_last_reload_successful", Kind.GAUGE, meaning, [good])


def _requests(pools: Sequence[PoolView]) -> Family:
    samples = [
        Sample(number, {"pool": pool.name, "status": status})
        for pool in pools
        for status, number in zip(_CLASSES, pool.entries.answers, strict=True)
    ]
    return Family("kraal_requests_total", Kind.COUNTER, "Requests that were answered, by status.", samples)


def _durations(
    name: str, meaning: str, pools: Sequence[PoolView], of: Callable[[Entries], Histogram]
) -> Family:
    samples = [
        sample
        for pool in pools
        for sample in histogram(
            BOUNDS, of(pool.entries).buckets, of(pool.entries).sum_ns / 1e9, {"pool": pool.name}
        )
    ]
    return Family(name, Kind.HISTOGRAM, meaning, samples)


def _workers(pools: Sequence[PoolView]) -> Family:
    samples = [
        Sample(_count(pool.state, stage), {"pool": pool.name, "state": name})
        for pool in pools
        for stage, name in STAGES.items()
    ]
    return Family("kraal_workers", Kind.GAUGE, "Workers, by what they are at.", samples)


def _count(state: PoolState, stage: Stage) -> int:
    return sum(worker.stage is stage for worker in state.workers)


def _endings(pools: Sequence[PoolView]) -> Family:
    samples = [
        Sample(number, {"pool": pool.name, "reason": why.name.lower()})
        for pool in pools
        for why, number in zip(Ending, pool.entries.endings, strict=True)
    ]
    return Family("kraal_workers_ended_total", Kind.COUNTER, "Workers that have ended, by reason.", samples)
