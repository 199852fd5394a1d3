"""Who of those that wait is turned away, and what is said of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.manager import overload
from kraal.manager.overload import Arrivals, Bounds


@pytest.mark.parametrize(
    ("bounds", "waiting", "overdue", "excess"),
    [
        (Bounds(), 1000, 1000, 0),
        (Bounds(length=10), 10, 10, 0),
        (Bounds(length=10), 13, 0, 3),
        (Bounds(wait=2), 13, 0, 0),
        (Bounds(wait=2), 13, 4, 4),
        (Bounds(wait=2), 3, 4, 3),  # a worker has taken one meanwhile
        (Bounds(length=10, wait=2), -1, -4, 0),  # workers are idle
        (Bounds(length=10, wait=2), 13, 1, 3),
        (Bounds(length=10, wait=2), 13, 7, 7),
    ],
)
def test_only_what_is_too_much_is_turned_away(
    bounds: Bounds, waiting: int, overdue: int, excess: int
) -> None:
    assert overload.excess(bounds, waiting, overdue) == excess


def test_nobody_is_overdue_before_the_time() -> None:
    arrivals = Arrivals(2)
    arrivals.note(10.0, 5)
    assert arrivals.overdue(11.9, 0) == 0
    assert arrivals.overdue(12.0, 0) == 5
    assert arrivals.overdue(12.0, 3) == 2
    assert arrivals.overdue(12.0, 9) == 0


def test_who_came_later_is_overdue_later() -> None:
    arrivals = Arrivals(2)
    for moment in range(6):
        arrivals.note(moment / 2, 10 * moment)
    assert arrivals.overdue(2.5, 0) == 10
    assert arrivals.overdue(3.9, 0) == 30
    assert arrivals.overdue(3.9, 30) == 0
    assert arrivals.overdue(100.0, 30) == 20


def test_an_empty_queue_is_a_new_beginning() -> None:
    arrivals = Arrivals(2)
    arrivals.note(0.0, 5)
    arrivals.forget()
    arrivals.note(3.0, 8)
    assert arrivals.overdue(4.0, 0) == 0


@given(
    st.lists(
        st.tuples(st.floats(0.001, 0.5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=200
    ),
    st.sampled_from([1, 2, 5]),
)
def test_nobody_is_overdue_who_is_not_and_hardly_later_than_due(
    steps: list[tuple[float, int, int]], wait: int
) -> None:
    """Held against a queue of which the time of each arrival is known."""
    arrivals = Arrivals(wait)
    now, taken = 0.0, 0
    came: list[float] = []
    for pause, new, out in steps:
        now += pause
        came += [now] * new
        taken = min(len(came), taken + out)
        arrivals.note(now, len(came))
        found = arrivals.overdue(now, taken)
        left = came[taken:]
        assert found <= sum(each <= now - wait for each in left)
        # It is known from the look after an arrival, and a look comes half a second later at most.
        assert found >= sum(each <= now - wait - wait / 32 - 0.5 for each in left)


def test_head_gets_no_body() -> None:
    whole, head = overload.response(b"GET"), overload.response(b"HEAD")
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")
    assert b"Status: 503 Service Unavailable\r\nRetry-After: 5\r\n" in head


def test_line_names_the_directives() -> None:
    assert overload.line(1, 0.0, 5, Bounds(length=10)) == (
        "overloaded, all workers are busy: 1 request was turned away with status 503 within 1 s"
        " (pm.max_children = 5, queue.max_length = 10)"
    )
    assert overload.line(20, 3.2, 5, Bounds(length=10, wait=2)) == (
        "overloaded, all workers are busy: 20 requests were turned away with status 503 within 4 s"
        " (pm.max_children = 5, queue.max_length = 10, queue.max_wait = 2s)"
    )
