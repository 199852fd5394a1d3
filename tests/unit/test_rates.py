"""Two snapshots as rows: what has happened between them."""

import pytest

from kraal.fields import replace
from kraal.memory.scoreboard import PoolState, Stage, WorkerState
from kraal.observe import census
from kraal.observe.census import Snapshot
from kraal.top import rates
from kraal.unix.vitals import Vitals
from tests.support.states import RUNNING

SECOND = 1_000_000_000
MANAGER = Vitals(parent=1, started=5, cpu=1.0, rss=1000)
WORKER = Vitals(parent=10, started=7, cpu=2.0, rss=300)
FIRST, SECOND_ONE = replace(RUNNING, pid=11), replace(RUNNING, pid=12, stage=Stage.IDLE)


def pool(*workers: WorkerState, accepted: int = 0, slots: int = 5) -> PoolState:
    return PoolState(
        started_at=0,
        accepted=accepted,
        slow=1,
        max_active=2,
        max_children_reached=4,
        queue=3,
        queue_limit=511,
        slots=slots,
        workers=workers,
    )


BEFORE = Snapshot(
    clock_ns=10 * SECOND,
    master=1,
    pools={"www": pool(FIRST, SECOND_ONE, accepted=100)},
    workers={11: WORKER, 12: WORKER},
    managers={10: MANAGER},
)
NOW = replace(
    BEFORE,
    clock_ns=12 * SECOND,
    pools={"www": pool(FIRST, SECOND_ONE, accepted=130)},
    workers={11: replace(WORKER, cpu=3.0), 12: WORKER},
    managers={10: replace(MANAGER, cpu=1.5)},
    shares={11: 70, 12: 30},
)


def test_row_of_a_pool_has_what_is_and_what_has_happened() -> None:
    assert rates.pools(BEFORE, NOW) == [
        {
            "pool": "www",
            "idle": 1,
            "active": 1,
            "most": 2,
            "max": 5,
            "queue": 3,
            "queue limit": 511,
            "rate": 15.0,
            "cpu": 75.0,
            "pss": 100,
            "rss": 600,
            "slow": 1,
        }
    ]


def test_row_of_a_worker_has_the_time_of_its_request_alone() -> None:
    first, second = rates.workers(BEFORE, NOW)

    assert first == {
        "pid": 11,
        "pool": "www",
        "state": "running",
        "time": pytest.approx(11.995),
        "requests": 3,
        "cpu": 50.0,
        "pss": 70,
        "rss": 300,
        "method": "GET",
        "url": "/status",
        "script": "",
    }
    assert (second["state"], second["time"], second["cpu"]) == ("idle", None, 0.0)


AGAIN = replace(NOW, pools={"www": pool(FIRST, SECOND_ONE, accepted=8)})
RECYCLED = replace(
    NOW,
    pools={"www": pool(FIRST, accepted=130)},
    workers={11: replace(WORKER, started=900, cpu=0.5)},
    # It has reaped both: 2 seconds of each, and half a second more of one.
    managers={10: replace(MANAGER, cpu=1.0 + 2.0 + 2.5)},
)
OTHER_MANAGER = replace(
    NOW,
    workers={11: replace(WORKER, parent=20, started=900, cpu=0.25)},
    managers={20: replace(MANAGER, started=800)},
)


@pytest.mark.parametrize(
    ("before", "now", "rate", "cpu"),
    [
        (None, NOW, None, None),
        (NOW, NOW, None, None),
        (replace(BEFORE, pools={}), NOW, None, None),
        (BEFORE, AGAIN, 4.0, 75.0),
        (BEFORE, RECYCLED, 15.0, 50.0),
        (BEFORE, OTHER_MANAGER, 15.0, 12.5),
        (BEFORE, replace(NOW, workers={}, managers={}), 15.0, None),
        (BEFORE, replace(NOW, pools={"www": pool(accepted=2**64 - 1)}), (2**64 - 101) / 2, None),
    ],
    ids=["first", "same", "new", "reload", "recycled", "other-manager", "not-ours", "hostile"],
)
def test_rates_are_of_what_is_known(
    before: Snapshot | None, now: Snapshot, rate: float | None, cpu: float | None
) -> None:
    (row,) = rates.pools(before, now)

    assert (row["rate"], row["cpu"]) == (rate, cpu)


def test_memory_of_a_pool_is_unknown_until_that_of_each_worker_is_known() -> None:
    (row,) = rates.pools(BEFORE, replace(NOW, shares={11: 70}))
    assert row["pss"] is None


def test_limit_of_a_pool_with_residents_leaves_out_their_spare_slot() -> None:
    resident = replace(FIRST, resident=True)
    (row,) = rates.pools(None, replace(NOW, pools={"www": pool(resident)}))
    assert row["max"] == 4


def test_number_that_a_pool_only_claims_is_no_worker_of_it() -> None:
    manager, stranger = replace(MANAGER, parent=1), replace(WORKER, parent=99)
    workers, managers = census.kin(
        1,
        {11: WORKER, 12: stranger, 13: replace(WORKER, parent=1), 10: manager, 1: replace(WORKER, parent=0)},
        {10: manager, 99: replace(manager, parent=50), 1: replace(WORKER, parent=0)},
    )
    assert (set(workers), set(managers)) == ({11, 13}, {10})
