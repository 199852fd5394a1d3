"""Decide how many workers a pool should have.

Arithmetic only: no clock, no fork, no signals.  The manager asks `tick` once a second and `crowd` when
connections may wait while no worker is idle, carries out the plan, and brings its state along next time.

Rules and texts are php-fpm's, but for `crowd`: php-fpm lets those who wait in a dynamic pool wait for the
next second.
"""

from collections.abc import Iterator, Mapping

from kraal.fields import Frozen, field, replace

STATIC, DYNAMIC, ONDEMAND = "static", "dynamic", "ondemand"

# A worker that dies younger than this without having served anything did not start properly.
HEALTHY_AGE = 1.0
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
# A pool that needs so many at a time is called busy.
_BUSY = 8


class Policy(Frozen, kw_only=True):
    """What the configuration says of a pool's size."""

    kind: str  # STATIC, DYNAMIC or ONDEMAND
    max_children: int
    start_servers: int = 0
    min_spare_servers: int = 0
    max_spare_servers: int = 0
    max_spawn_rate: int = 32
    idle_timeout: float = 10.0  # seconds

    @property
    def at_start(self) -> int:
        """How many workers there are at first."""
        return {STATIC: self.max_children, DYNAMIC: self.start_servers}.get(self.kind, 0)

    @property
    def most_at_once(self) -> int:
        """How many workers may start within a second; as in php-fpm the directive is of dynamic pools."""
        return self.max_spawn_rate if self.kind == DYNAMIC else self.max_children


class Seen(Frozen, kw_only=True):
    """A pool at one moment.  Who was asked to leave counts among the leaving only."""

    idle: Mapping[int, float] = field(default_factory=dict)  # pid: seconds without a request
    active: int = 0
    leaving: int = 0
    waiting: int = 0  # connections that nobody has taken

    @property
    def total(self) -> int:
        """Workers that live."""
        return len(self.idle) + self.active + self.leaving

    def longest_idle(self) -> Iterator[int]:
        """The idle ones in the order of leaving."""
        return iter(sorted(self.idle, key=lambda pid: self.idle[pid], reverse=True))


class State(Frozen, kw_only=True):
    """What earlier decisions leave for the next one."""

    rate: int = 1  # most workers of the next step; doubles as long as they do not do
    started: int = 0  # since the last tick
    busy: bool = False  # that was said since the last tick
    full: bool = False  # that was said, and nobody was started since


class Plan(Frozen, kw_only=True):
    """What to do now."""

    state: State
    start: int = 0
    leave: tuple[int, ...] = ()  # pids
    reached: bool = False  # the limit was, for the status page
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # at level debug


def tick(policy: Policy, seen: Seen, state: State) -> Plan:
    """Decide once a second."""
    state = replace(state, started=0, busy=False)
    if policy.kind == DYNAMIC:
        return _keep_spare(policy, seen, state)
    if policy.kind == ONDEMAND:
        return _end_unused(policy, seen, state)
    return Plan(state=state)


def crowd(policy: Policy, seen: Seen, state: State) -> Plan:
    """Decide when connections may wait.  Never more workers than connections that the idle ones leave."""
    wanted = seen.waiting - len(seen.idle)
    if policy.kind == STATIC or wanted <= 0:
        return Plan(state=state)
    return _start(policy, seen, state, wanted)


def may_start(policy: Policy, seen: Seen, state: State) -> bool:
    """Whether `crowd` could have anything to say before the next tick, or before somebody has left."""
    if policy.kind == STATIC:
        return False
    if seen.total >= policy.max_children:
        return not (state.full or seen.leaving)
    return state.started < policy.most_at_once


def is_full(policy: Policy, total: int, *, stuck: bool) -> bool:
    """Whether those who wait get no further worker; `stuck` tells that none can be started."""
    return policy.kind == STATIC or stuck or total >= policy.max_children


def has_to_tick(policy: Policy, seen: Seen, state: State, max_memory: int) -> bool:
    """Whether `tick`, or the memory of workers, is to be looked at in a second."""
    if policy.kind == DYNAMIC:
        return True
    if not seen.total:
        return state != State()
    return policy.kind == ONDEMAND or max_memory > 0


def _keep_spare(policy: Policy, seen: Seen, state: State) -> Plan:
    idle = len(seen.idle)
    remark = (
        f"currently {seen.active} active children, {idle} spare children, {seen.total} running children."
        f" Spawning rate {state.rate}"
    )
    if idle < policy.min_spare_servers:
        plan = _start(policy, seen, state, policy.min_spare_servers - idle)
    else:
        leave = tuple(seen.longest_idle())[: idle > policy.max_spare_servers]
        plan = Plan(state=replace(state, rate=1), leave=leave)
    return replace(plan, remarks=(remark, *plan.remarks))


def _end_unused(policy: Policy, seen: Seen, state: State) -> Plan:
    return Plan(
        state=_rested(seen, state),
        leave=tuple(pid for pid in seen.longest_idle() if seen.idle[pid] > policy.idle_timeout),
        remarks=(f"currently {seen.active} active children, {len(seen.idle)} spare children",),
    )


def _rested(seen: Seen, state: State) -> State:
    if not seen.total:
        return State()
    return replace(state, rate=1) if seen.idle else state


def _start(policy: Policy, seen: Seen, state: State, wanted: int) -> Plan:
    room = policy.max_children - seen.total
    if room <= 0:
        return _full(policy, seen, state)
    start = min(wanted, room, state.rate, policy.most_at_once - state.started)
    if start <= 0:
        return Plan(state=state)
    remark = f"{start} child(ren) have been created dynamically"
    if policy.kind == ONDEMAND:
        remark = "got accept without idle child available .... I forked"
    busy = policy.kind == DYNAMIC and state.rate >= _BUSY and not state.busy
    warning = (
        "seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), spawning"
        f" {start} children, there are {len(seen.idle)} idle, and {seen.total} total children"
    )
    return Plan(
        state=State(
            rate=min(state.rate * 2, policy.most_at_once),
            started=state.started + start,
            busy=state.busy or busy,
        ),
        start=start,
        warnings=(warning,) if busy else (),
        remarks=(remark,),
    )


def _full(policy: Policy, seen: Seen, state: State) -> Plan:
    if state.full or seen.total - seen.leaving < policy.max_children:
        return Plan(state=replace(state, rate=1))
    directive = "max_children" if policy.kind == ONDEMAND else "pm.max_children"
    text = f"server reached {directive} setting ({policy.max_children}), consider raising it"
    return Plan(state=replace(state, rate=1, full=True), reached=True, warnings=(text,))


def missing(wanted: int, staying: int, leaving: int, most: int) -> int:
    """How many workers to start so that there are as many as wanted; those that leave still take room."""
    return max(0, min(wanted, most - leaving) - staying)


def too_large(sizes: Mapping[int, int], limit: int) -> int | None:
    """The worker to be replaced next for its memory: the largest, if it is above the limit."""
    largest = max(sizes, key=lambda pid: sizes[pid], default=None)
    return largest if largest is not None and 0 < limit < sizes[largest] else None


def spread(requests: int, jitter: int, chance: int) -> int:
    """How many requests a worker serves: up to `jitter` more, by chance, so that not all leave at once."""
    return requests + chance % (jitter + 1) if requests else 0


def is_failed_start(age: float, requests: int) -> bool:
    """Whether a worker that ended looks as if it could not start."""
    return age < HEALTHY_AGE and requests == 0


def respawn_delay(failed_starts: int) -> float:
    """Seconds to wait before the next worker, after so many failed starts in a row.

    The first failure costs nothing: a worker may be killed young.  Then the delay doubles.
    """
    if failed_starts <= 1:
        return 0.0
    return float(min(_FIRST_DELAY * 2 ** min(failed_starts - 2, 10), _LONGEST_DELAY))
