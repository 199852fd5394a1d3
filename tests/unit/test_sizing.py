"""How many workers a pool should have, and when the next may start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal import sizing


@pytest.mark.parametrize(
    ("wanted", "alive", "missing"), [(5, 0, 5), (5, 3, 2), (5, 5, 0), (5, 7, 0), (0, 0, 0)]
)
def test_missing_workers_are_those_wanted_less_those_alive(wanted: int, alive: int, missing: int) -> None:
    assert sizing.missing(wanted, alive) == missing


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
