"""Tables for the terminal: whatever requests say, a line is a line."""

from hypothesis import given
from hypothesis import strategies as st

from kraal.fields import replace
from kraal.memory.scoreboard import PoolState
from kraal.observe import tables
from tests.support.states import RUNNING

POOL = PoolState(started_at=0, accepted=9, slow=1, max_active=2, max_children_reached=4, workers=(RUNNING,))


@given(uri=st.text(max_size=300), method=st.text(max_size=20), name=st.text(max_size=20))
def test_no_text_of_a_request_breaks_a_line_or_speaks_to_the_terminal(
    uri: str, method: str, name: str
) -> None:
    state = replace(POOL, workers=(replace(RUNNING, uri=uri, method=method),) * 2)
    rows = tables.workers({name: state}, clock_ns=6_000_000)
    table = tables.render(rows, ("pool", "pid", "method", "url", "ms"))

    assert table.count("\n") == 3
    assert all(each == "\n" or each == tables.harmless(each) for each in table)
    table.encode()


def test_numbers_stand_at_the_right_and_texts_at_the_left() -> None:
    rows: list[tables.Row] = [{"pool": "www", "idle": 3}, {"pool": "a", "idle": 12345}]
    assert tables.render(rows, ("pool", "idle")) == "pool   idle\nwww       3\na     12345\n"


def test_table_without_rows_has_its_head() -> None:
    assert tables.render([], ("pool", "idle")) == "pool  idle\n"


def test_time_of_a_request_that_runs_goes_on() -> None:
    (row,) = tables.workers({"www": POOL}, clock_ns=6_000_000)
    assert (row["state"], row["ms"], row["url"]) == ("running", 1.0, "/status")


def test_what_is_not_known_is_a_line() -> None:
    rows = tables.workers({"www": replace(POOL, workers=(RUNNING, replace(RUNNING, waited_ns=1_500_000)))}, 0)
    assert tables.render(rows, ("pid", "queue ms")) == "pid  queue ms\n 77         -\n 77       1.5\n"
