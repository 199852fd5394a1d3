"""Whatever stands in memory or messages that others can write, who reads it goes on."""

import json
import mmap
import time
import xml.etree.ElementTree as tree
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kraal._native import _bridge

from kraal.manager import exit_message, overtime, sizing
from kraal.manager.crew import Crew
from kraal.manager.overtime import Limits
from kraal.manager.sizing import Policy
from kraal.memory import scoreboard
from kraal.memory.scoreboard import Scoreboard, size_for
from kraal.pages import status
from kraal.reload import estate, report
from kraal.unix.process import Pid

HEADER = _bridge.ffi.sizeof("struct kraal_scoreboard")
SLOT = _bridge.ffi.sizeof("struct kraal_slot")
POLICIES = st.builds(
    Policy,
    kind=st.sampled_from([sizing.STATIC, sizing.DYNAMIC, sizing.ONDEMAND]),
    max_children=st.integers(1, 10),
    min_spare_servers=st.integers(1, 3),
    max_spare_servers=st.integers(3, 10),
)


@st.composite
def boards(draw: st.DrawFn) -> Scoreboard:
    """Two slots full of anything; often with a pid and a stage that could be."""
    content = bytearray(draw(st.binary(min_size=size_for(2), max_size=size_for(2))))
    for index in range(2):
        if draw(st.booleans()):
            offset = HEADER + index * SLOT
            slot = _bridge.ffi.from_buffer("struct kraal_slot *", memoryview(content)[offset:])
            slot.pid, slot.stage = 4711 + index, draw(st.integers(0, 7))
    memory = mmap.mmap(-1, len(content))
    memory[:] = bytes(content)
    return Scoreboard(memory)


@given(boards())
@settings(deadline=None, max_examples=200)
def test_every_form_of_the_status_page_is_well_formed(board: Scoreboard) -> None:
    page = status.Page(
        pool="www", policy="static", state=board.read(), now=time.time(), clock_ns=time.monotonic_ns()
    )
    bodies = {}
    for form in ("", "html", "xml", "json", "openmetrics"):
        answer = status.status(page, method="GET", query=f"full&{form}").decode()
        head, _, bodies[form] = answer.partition("\r\n\r\n")
        assert head.isascii()
    tree.fromstring(bodies["xml"])
    assert len(json.loads(bodies["json"])["processes"]) == len(page.state.workers)
    assert bodies["openmetrics"].endswith("# EOF\n")


@given(boards(), POLICIES)
@settings(deadline=None, max_examples=200)
def test_a_manager_decides_on_what_a_scoreboard_says(board: Scoreboard, policy: Policy) -> None:
    crew = Crew(board)
    now = time.monotonic()
    for index in range(2):
        crew.join(Pid(4711 + index), index, now)
    seen = crew.look(now, waiting=1)
    assert set(seen.idle) <= {4711, 4712}
    for plan in (sizing.tick(policy, seen, sizing.State()), sizing.crowd(policy, seen, sizing.State())):
        assert set(plan.leave) <= {4711, 4712}
        assert 0 <= plan.start <= policy.max_children
    crew.count()
    board.count_reached()


@given(boards())
@settings(deadline=None, max_examples=200)
def test_only_the_manager_s_own_workers_are_ended_for_what_a_scoreboard_says(board: Scoreboard) -> None:
    states = {Pid(1 + index): state for index in range(2) if (state := board.worker(index))}
    limits = Limits(timeout=1.0, grace=1.0, track_finished=True)
    decision = overtime.decide(limits, states, {}, time.monotonic())
    for action in decision.actions:
        assert action.pid in (1, 2)
        overtime.explain(action, states[action.pid])
    for pid, state in states.items():
        death = exit_message.Death(
            pid=pid, end="exited", age=1.0, expected=False, state=state, now_ns=time.monotonic_ns(), memory=0
        )
        exit_message.describe(death)


KEYS = ("old", "new", "kept", "estate", "sockets", "tenants", "shared", "identity", "pool")
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["old", "new", "kept", "estate", "sockets", "tenants", "shared", "identity", "pool"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("reader", [estate.task_from, estate.inheritance_from, estate.estate_from])
@given(text=JSON.map(json.dumps) | st.text(max_size=40))
@settings(deadline=None)
def test_what_a_master_of_another_version_may_write_is_refused_in_known_ways(reader: Any, text: str) -> None:
    """See `reloading.Reloading._receive`."""
    try:
        reader(text)
    except (ValueError, KeyError, TypeError, IndexError):
        return


@given(st.binary(max_size=2 * HEADER))
def test_the_header_of_a_killed_manager_s_scoreboard_is_taken_over_at_its_size(before: bytes) -> None:
    assert len(scoreboard.continued_header(before)) == HEADER


def test_numbers_at_their_end_are_counted_on_from() -> None:
    memory = mmap.mmap(-1, size_for(1))
    memory[:] = b"\xff" * len(memory)
    board = Scoreboard(memory)
    for count in (board.count_reached, board.count_slow, board.count_turned_away):
        count()
    state = board.read()
    assert (state.max_children_reached, state.slow, state.turned_away) == (0, 0, 0)


@given(st.binary(max_size=200))
def test_what_is_no_report_is_none(content: bytes) -> None:
    assert report.from_bytes(content) is None


def test_escaped_bytes_of_a_request_are_one_line_of_a_status_page() -> None:
    """The one way in which clients write into a scoreboard."""
    board = Scoreboard(mmap.mmap(-1, size_for(1)))
    board.initialize()
    board.prepare(0)
    board.occupy(0, 4711)
    slot = _bridge.ffi.from_buffer("struct kraal_slot *", memoryview(board.memory)[HEADER:])
    slot.uri = unquote_to_bytes("/%0D%0Ax%3C/request-uri%3E%00hidden%FF")[:200]
    page = status.Page(pool="www", policy="static", state=board.read(), now=0.0, clock_ns=0)
    text = status.status(page, method="GET", query="full").decode()
    assert len([line for line in text.splitlines() if line.startswith("request URI")]) == 1
    tree.fromstring(status.status(page, method="GET", query="full&xml").decode().partition("\r\n\r\n")[2])
