"""How many workers a pool should have, and when the next may start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.manager import sizing
from kraal.manager.sizing import DYNAMIC, ONDEMAND, STATIC, Plan, Policy, Seen, State

FIXED = Policy(kind=STATIC, max_children=5)
SPARE = Policy(
    kind=DYNAMIC,
    max_children=20,
    start_servers=3,
    min_spare_servers=2,
    max_spare_servers=4,
    max_spawn_rate=16,
)
CALLED = Policy(kind=ONDEMAND, max_children=3, idle_timeout=10.0)

FULL = "server reached pm.max_children setting (20), consider raising it"
FULL_ONDEMAND = "server reached max_children setting (3), consider raising it"


def seen(idle: int = 0, active: int = 0, *, leaving: int = 0, waiting: int = 0) -> Seen:
    """Idle workers have the pids from 1 on; worker n has been idle for n seconds."""
    times = {pid: float(pid) for pid in range(1, idle + 1)}
    return Seen(idle=times, active=active, leaving=leaving, waiting=waiting)


def busy(start: int, total: int, idle: int = 0) -> str:
    return (
        "seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), spawning"
        f" {start} children, there are {idle} idle, and {total} total children"
    )


@pytest.mark.parametrize(("policy", "number"), [(FIXED, 5), (SPARE, 3), (CALLED, 0)])
def test_pool_starts_with_so_many_workers(policy: Policy, number: int) -> None:
    assert policy.at_start == number


# ---------------------------------------------------------------- once a second

TICKS: dict[str, tuple[Policy, Seen, State, Plan]] = {
    "a static pool stays as it is": (FIXED, seen(2, 3), State(), Plan(state=State())),
    "enough are idle": (SPARE, seen(2, 5), State(rate=8), Plan(state=State())),
    "as many are idle as may be": (SPARE, seen(4, 1), State(), Plan(state=State())),
    "the longest idle of too many leaves": (SPARE, seen(6), State(rate=4), Plan(state=State(), leave=(6,))),
    "too few are idle": (SPARE, seen(0, 3), State(), Plan(state=State(rate=2, started=1), start=1)),
    "still too few": (SPARE, seen(0, 4), State(rate=2), Plan(state=State(rate=4, started=2), start=2)),
    "never more than are missing": (
        *(SPARE, seen(1, 4), State(rate=4)),
        Plan(state=State(rate=8, started=1), start=1),
    ),
    "what was started in the last second is forgotten": (
        *(SPARE, seen(0, 9), State(rate=2, started=16, busy=True)),
        Plan(state=State(rate=4, started=2), start=2),
    ),
    "short for the fourth time": (
        *(SPARE, seen(0, 9), State(rate=8)),
        Plan(state=State(rate=16, started=2, busy=True), start=2, warnings=(busy(2, 9),)),
    ),
    "rate has an end": (
        *(SPARE, seen(1, 9), State(rate=16)),
        Plan(state=State(rate=16, started=1, busy=True), start=1, warnings=(busy(1, 10, 1),)),
    ),
    "only one place is left": (
        *(SPARE, seen(0, 19), State(rate=4)),
        Plan(state=State(rate=8, started=1), start=1),
    ),
    "no place is left": (
        *(SPARE, seen(0, 20), State(rate=4)),
        Plan(state=State(full=True), reached=True, warnings=(FULL,)),
    ),
    "no place is left, though one is idle": (
        *(SPARE, seen(1, 19), State()),
        Plan(state=State(full=True), reached=True, warnings=(FULL,)),
    ),
    "that no place is left was said": (SPARE, seen(0, 20), State(full=True), Plan(state=State(full=True))),
    "it is said again after there was a place": (
        *(SPARE, seen(0, 19), State(full=True)),
        Plan(state=State(rate=2, started=1), start=1),
    ),
    "who leaves makes room soon": (SPARE, seen(0, 19, leaving=1), State(), Plan(state=State())),
    "who leaves is not idle": (
        *(SPARE, seen(1, 0, leaving=3), State()),
        Plan(state=State(rate=2, started=1), start=1),
    ),
    "workers on demand that are used": (CALLED, seen(0, 2), State(rate=2), Plan(state=State(rate=2))),
    "workers on demand that wait": (CALLED, seen(2, 1), State(rate=4), Plan(state=State())),
    "the last worker on demand has left": (CALLED, seen(), State(rate=2, full=True), Plan(state=State())),
    "workers on demand that nobody needs": (
        *(CALLED, Seen(idle={7: 10.5, 8: 10.0, 9: 99.0}), State()),
        Plan(state=State(), leave=(9, 7)),
    ),
}


@pytest.mark.parametrize("case", TICKS)
def test_once_a_second(case: str) -> None:
    policy, found, state, expected = TICKS[case]

    plan = sizing.tick(policy, found, state)

    assert (plan.state, plan.start, plan.leave) == (expected.state, expected.start, expected.leave)
    assert (plan.reached, plan.warnings) == (expected.reached, expected.warnings)


def test_every_second_is_described_at_level_debug() -> None:
    words = "currently 2 active children, 1 spare children"

    dynamic = sizing.tick(SPARE, seen(1, 2), State(rate=4)).remarks
    assert dynamic == (
        f"{words}, 3 running children. Spawning rate 4",
        "1 child(ren) have been created dynamically",
    )
    assert sizing.tick(CALLED, seen(1, 2), State()).remarks == (words,)


def test_php_fpm_s_seconds_are_these() -> None:
    """A pool that is short of workers second after second."""
    state, total, started = State(), 3, []
    for _ in range(7):
        plan = sizing.tick(SPARE, seen(0, total), state)
        state, total = plan.state, total + plan.start
        started.append(plan.start)

    assert started == [1, 2, 2, 2, 2, 2, 2]


# ---------------------------------------------------------------- when connections wait

CROWDS: dict[str, tuple[Policy, Seen, State, Plan]] = {
    "nobody waits": (SPARE, seen(0, 3), State(), Plan(state=State())),
    "a static pool cannot grow": (FIXED, seen(0, 5, waiting=9), State(), Plan(state=State())),
    "the idle ones will do": (SPARE, seen(2, 3, waiting=2), State(), Plan(state=State())),
    "first one": (
        *(SPARE, seen(0, 3, waiting=30), State()),
        Plan(state=State(rate=2, started=1), start=1),
    ),
    "then twice as many": (
        *(SPARE, seen(0, 4, waiting=29), State(rate=2, started=1)),
        Plan(state=State(rate=4, started=3), start=2),
    ),
    "no more than wait": (
        *(SPARE, seen(0, 6, waiting=3), State(rate=4, started=3)),
        Plan(state=State(rate=8, started=6), start=3),
    ),
    "no more than the idle ones leave": (
        *(SPARE, seen(2, 6, waiting=3), State(rate=4, started=3)),
        Plan(state=State(rate=8, started=4), start=1),
    ),
    "no more within a second than the limit": (
        *(SPARE, seen(0, 9, waiting=30), State(rate=16, started=15, busy=True)),
        Plan(state=State(rate=16, started=16, busy=True), start=1),
    ),
    "the limit of this second is reached": (
        *(SPARE, seen(0, 9, waiting=30), State(rate=16, started=16)),
        Plan(state=State(rate=16, started=16)),
    ),
    "busy": (
        *(SPARE, seen(0, 10, waiting=30), State(rate=8, started=7)),
        Plan(state=State(rate=16, started=15, busy=True), start=8, warnings=(busy(8, 10),)),
    ),
    "no place is left": (
        *(SPARE, seen(0, 20, waiting=1), State(rate=16, started=16)),
        Plan(state=State(started=16, full=True), reached=True, warnings=(FULL,)),
    ),
    "the first on demand": (
        *(CALLED, seen(waiting=2), State()),
        Plan(state=State(rate=2, started=1), start=1),
    ),
    "no place is left on demand": (
        *(CALLED, seen(0, 3, waiting=1), State()),
        Plan(state=State(full=True), reached=True, warnings=(FULL_ONDEMAND,)),
    ),
}


@pytest.mark.parametrize("case", CROWDS)
def test_when_connections_wait(case: str) -> None:
    policy, found, state, expected = CROWDS[case]

    plan = sizing.crowd(policy, found, state)

    assert (plan.state, plan.start, plan.leave) == (expected.state, expected.start, expected.leave)
    assert (plan.reached, plan.warnings) == (expected.reached, expected.warnings)


def test_burst_is_answered_in_few_steps() -> None:
    policy = Policy(kind=DYNAMIC, max_children=32, min_spare_servers=1, max_spare_servers=3)
    state, total, started = State(), 2, []
    while total < 32:
        plan = sizing.crowd(policy, seen(0, total, waiting=32 - total), state)
        state, total = plan.state, total + plan.start
        started.append(plan.start)

    assert started == [1, 2, 4, 8, 15]


def test_what_is_started_on_demand_is_described_in_php_fpm_s_words() -> None:
    plan = sizing.crowd(CALLED, seen(waiting=1), State())

    assert plan.remarks == ("got accept without idle child available .... I forked",)


@pytest.mark.parametrize(
    ("policy", "found", "state", "may"),
    [
        (FIXED, seen(0, 1), State(), False),
        (SPARE, seen(0, 3), State(), True),
        (SPARE, seen(0, 3), State(started=16), False),
        (SPARE, seen(0, 20), State(), True),  # to say so
        (SPARE, seen(0, 20), State(full=True), False),
        (SPARE, seen(0, 19, leaving=1), State(), False),
        (CALLED, seen(), State(), True),
    ],
)
def test_nobody_looks_out_for_what_could_not_be_answered(
    policy: Policy, found: Seen, state: State, may: bool
) -> None:
    assert sizing.may_start(policy, found, state) is may


@pytest.mark.parametrize(
    ("policy", "found", "state", "max_memory", "has_to"),
    [
        (FIXED, seen(0, 5), State(), 0, False),
        (FIXED, seen(0, 5), State(), 1, True),
        (SPARE, seen(), State(), 0, True),
        (CALLED, seen(), State(), 1, False),
        (CALLED, seen(), State(started=1), 0, True),
        (CALLED, seen(1), State(), 0, True),
    ],
)
def test_pool_that_has_nothing_to_decide_sleeps(
    policy: Policy, found: Seen, state: State, max_memory: int, has_to: bool
) -> None:
    assert sizing.has_to_tick(policy, found, state, max_memory) is has_to


policies = st.builds(
    Policy,
    kind=st.sampled_from([STATIC, DYNAMIC, ONDEMAND]),
    max_children=st.integers(1, 50),
    min_spare_servers=st.integers(0, 60),
    max_spare_servers=st.integers(0, 60),
    max_spawn_rate=st.integers(-1, 40),
)
states = st.builds(
    State,
    rate=st.integers(1, 64),
    started=st.integers(0, 60),
    busy=st.booleans(),
    full=st.booleans(),
)


@given(policies, states, *[st.integers(0, 20)] * 4)
def test_no_plan_goes_beyond_the_limit(
    policy: Policy, state: State, idle: int, active: int, leaving: int, waiting: int
) -> None:
    found = seen(idle, active, leaving=leaving, waiting=waiting)
    for decide in (sizing.tick, sizing.crowd):
        plan = decide(policy, found, state)
        assert plan.start >= 0
        assert plan.start == 0 or found.total + plan.start <= policy.max_children
        assert set(plan.leave) <= set(found.idle)
        assert not (plan.start and plan.leave)


# ---------------------------------------------------------------- replacing


@pytest.mark.parametrize(
    ("wanted", "staying", "leaving", "missing"),
    [(5, 0, 0, 5), (5, 3, 0, 2), (5, 5, 0, 0), (5, 7, 0, 0), (0, 0, 0, 0), (8, 7, 1, 0), (3, 2, 4, 1)],
)
def test_missing_workers_are_those_wanted_less_those_that_stay(
    wanted: int, staying: int, leaving: int, missing: int
) -> None:
    assert sizing.missing(wanted, staying, leaving, 8) == missing


@pytest.mark.parametrize(
    ("sizes", "limit", "pid"),
    [({}, 10, None), ({1: 10}, 10, None), ({1: 11, 2: 12, 3: 5}, 10, 2), ({1: 10**12}, 0, None)],
)
def test_largest_worker_above_the_limit_is_replaced(
    sizes: dict[int, int], limit: int, pid: int | None
) -> None:
    assert sizing.too_large(sizes, limit) == pid


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 2**32))
def test_jitter_adds_requests_and_never_takes_any(requests: int, jitter: int, chance: int) -> None:
    assert requests <= sizing.spread(requests, jitter, chance) <= requests + jitter
    assert sizing.spread(0, jitter, chance) == 0


@pytest.mark.parametrize(
    ("age", "requests", "failed"),
    [(0.0, 0, True), (0.99, 0, True), (0.0, 1, False), (sizing.HEALTHY_AGE, 0, False), (60.0, 0, False)],
)
def test_worker_that_died_young_without_a_request_did_not_start(
    age: float, requests: int, failed: bool
) -> None:
    assert sizing.is_failed_start(age, requests) is failed


def test_first_failed_start_costs_no_time() -> None:
    assert sizing.respawn_delay(0) == sizing.respawn_delay(1) == 0.0


def test_delay_doubles_from_a_tenth_of_a_second_to_ten_seconds() -> None:
    delays = [sizing.respawn_delay(failures) for failures in range(2, 11)]

    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


@given(st.integers(min_value=0, max_value=10**30))
def test_delay_stays_within_ten_seconds_however_often_starts_fail(failures: int) -> None:
    assert 0.0 <= sizing.respawn_delay(failures) <= 10.0


@pytest.mark.parametrize(
    ("policy", "total", "stuck", "full"),
    [
        (FIXED, 5, False, True),
        (FIXED, 4, False, True),  # one is being replaced: none more will come
        (SPARE, 19, False, False),
        (SPARE, 20, False, True),
        (SPARE, 2, True, True),
        (CALLED, 0, False, False),
        (CALLED, 3, False, True),
    ],
)
def test_pool_is_full_when_no_further_worker_comes(
    policy: Policy, total: int, stuck: bool, full: bool
) -> None:
    assert sizing.is_full(policy, total, stuck=stuck) is full
