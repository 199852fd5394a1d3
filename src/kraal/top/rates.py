"""Two snapshots as rows for `kraal top`: what has happened between them, and what is now.  Pure.

None is what is not known, or not yet.
"""

from kraal.memory.scoreboard import PoolState, Stage, WorkerState
from kraal.observe.census import Snapshot
from kraal.observe.tables import STAGES, Row


def pools(before: Snapshot | None, now: Snapshot) -> list[Row]:
    """One row a pool: counts, requests a second, `cpu` in percent of one processor, bytes of memory."""
    return [_pool(name, state, before, now) for name, state in now.pools.items()]


def workers(before: Snapshot | None, now: Snapshot) -> list[Row]:
    """One row a worker; `time` is how many seconds its request has run."""
    return [
        _worker(name, worker, before, now) for name, state in now.pools.items() for worker in state.workers
    ]


def _pool(name: str, state: PoolState, before: Snapshot | None, now: Snapshot) -> Row:
    found = [worker.pid for worker in state.workers if worker.pid in now.workers]
    shares = [now.shares.get(pid) for pid in found]
    known = [share for share in shares if share is not None]
    return {
        "pool": name,
        "idle": state.idle,
        "active": state.active,
        "most": max(state.max_active, state.active),
        "max": state.limit,
        "queue": state.queue,
        "queue limit": state.queue_limit,
        "rate": _rate(name, before, now),
        "cpu": _pool_cpu(name, before, now),
        "pss": sum(known) if len(known) == len(shares) else None,
        "rss": sum(now.workers[pid].rss for pid in found),
        "slow": state.slow,
    }


def _worker(pool: str, worker: WorkerState, before: Snapshot | None, now: Snapshot) -> Row:
    vitals = now.workers.get(worker.pid)
    runs = worker.stage is not Stage.IDLE
    return {
        "pid": worker.pid,
        "pool": pool,
        "state": STAGES[worker.stage],
        "time": max(0, now.clock_ns - worker.accepted_ns) / 1e9 if runs else None,
        "requests": worker.requests,
        "cpu": _cpu([worker.pid], before, now),
        "pss": now.shares.get(worker.pid),
        "rss": vitals.rss if vitals else None,
        "method": worker.method,
        "url": worker.url,
        "script": worker.script,
    }


def _seconds(before: Snapshot, now: Snapshot) -> float:
    return (now.clock_ns - before.clock_ns) / 1e9


def _rate(name: str, before: Snapshot | None, now: Snapshot) -> float | None:
    """Requests a second.  After a reload a pool counts from 0 again."""
    if before is None or name not in before.pools or _seconds(before, now) <= 0:
        return None
    then, here = before.pools[name].accepted, now.pools[name].accepted
    return (here - then if here >= then else here) / _seconds(before, now)


def _cpu(pids: list[int], before: Snapshot | None, now: Snapshot) -> float | None:
    """Percent of one processor that these workers took.  Who came in between counts as a whole."""
    if before is None or _seconds(before, now) <= 0 or not any(pid in now.workers for pid in pids):
        return None
    taken = 0.0
    for pid in pids:
        if here := now.workers.get(pid):
            then = before.workers.get(pid)
            known = then is not None and then.started == here.started
            taken += here.cpu - (then.cpu if then and known else 0.0)
    return 100 * max(0.0, taken) / _seconds(before, now)


def _pool_cpu(name: str, before: Snapshot | None, now: Snapshot) -> float | None:
    """With the manager, whose figure has those who ended in between."""
    if before is None or name not in before.pools or _seconds(before, now) <= 0:
        return None
    then, here = _managers(name, before), _managers(name, now)
    if then != here:
        return _cpu([worker.pid for worker in now.pools[name].workers], before, now)
    return 100 * max(0.0, _total(name, now) - _total(name, before)) / _seconds(before, now)


def _managers(name: str, at: Snapshot) -> set[tuple[int, int]]:
    found = [at.workers[worker.pid] for worker in at.pools[name].workers if worker.pid in at.workers]
    parents = {each.parent for each in found if each.parent in at.managers}
    return {(pid, at.managers[pid].started) for pid in parents}


def _total(name: str, at: Snapshot) -> float:
    own = [at.workers[worker.pid].cpu for worker in at.pools[name].workers if worker.pid in at.workers]
    return sum(own) + sum(at.managers[pid].cpu for pid, _ in _managers(name, at))
