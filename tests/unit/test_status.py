"""The status and ping pages, held against those of php-fpm."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.fields import replace
from kraal.memory.scoreboard import PoolState, Stage, WorkerState
from kraal.pages import status
from tests.support.fastcgi import Response
from tests.support.servers import FpmServer
from tests.support.states import RUNNING
from tests.support.workspace import workspace

FORMS = ["", "html", "xml", "json", "openmetrics"]
QUERIES = [
    *FORMS,
    "full",
    "html&full",
    "xml&full",
    "json&full",
    "openmetrics&full",
    "full=1",
    "other",
    "json&xml",
]

IDLE = replace(RUNNING, stage=Stage.IDLE, pid=78, finished_ns=9_000_000, cpu_ns=1_000_000, memory=2 << 20)
STATE = PoolState(
    started_at=1_000_000_000,
    accepted=9,
    slow=1,
    max_active=2,
    max_children_reached=4,
    workers=(RUNNING, IDLE),
)
PAGE = status.Page(pool="www", policy="static", state=STATE, now=1_000_000_100.9, clock_ns=7_500_000)
NASTY = "<script>alert(1)</script>&\"'\n\rpool: forged\x00\x1b\x85\u2028\uffff]]>\\"


def page_with(**changes: str) -> status.Page:
    worker = replace(RUNNING, **changes)
    return replace(PAGE, state=replace(STATE, workers=(worker,)))


def render(page: status.Page, query: str, method: str = "GET") -> tuple[dict[str, str], str]:
    """The header fields by lower-case name, and the body."""
    head, _, body = status.status(page, method=method, query=query).partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n"))
    return {name.lower(): value for name, _, value in lines}, body.decode()


@dataclass(frozen=True)
class Oracle:
    pages: dict[str, Response]
    ping: Response


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """What php-fpm answers with one worker, which is the one that answers."""
    pool = {"pm.status_path": "/status", "ping.path": "/ping"}
    with workspace() as directory:
        server = FpmServer.start("php-fpm", directory, pool=pool)
        try:
            yield Oracle(
                {query: server.fetch(f"/status?{query}") for query in QUERIES}, server.fetch("/ping")
            )
        finally:
            server.stop()


def skeleton(text: str) -> str:
    """The text without times and numbers."""
    text = re.sub(r"\d+/\w{3}/\d{4}:[\d:]+ [+-]\d{4}", "TIME", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)


def comparable(query: str, body: str) -> object:
    if body.startswith("{"):
        # Spaces and escaped slashes differ; the document and the order of its keys do not.
        return json.loads(body, object_pairs_hook=lambda pairs: [(k, _kind(v)) for k, v in pairs])
    if "openmetrics" in query:
        # php-fpm writes HELP before TYPE for all metrics but one.
        return sorted(skeleton(body).splitlines())
    return skeleton(body)


def _kind(value: object) -> object:
    return value if isinstance(value, str | list) else "N"


@pytest.mark.parametrize("query", QUERIES)
def test_page_is_that_of_php_fpm_but_for_the_numbers(oracle: Oracle, query: str) -> None:
    theirs = oracle.pages[query]
    headers, body = render(replace(page_with(query=query), now=STATE.started_at), query)

    assert comparable(query, body) == comparable(query, theirs.text)
    assert headers == {name.lower(): value for name, value in theirs.headers}


def test_ping_answer_is_that_of_php_fpm(oracle: Oracle) -> None:
    head, _, body = status.ping("pong", method="GET").partition(b"\r\n\r\n")

    assert body == oracle.ping.body
    assert {tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")} == set(oracle.ping.headers)


@pytest.mark.parametrize("query", QUERIES)
def test_head_has_the_headers_of_get_and_no_body(query: str) -> None:
    headers, _body = render(PAGE, query)

    assert render(PAGE, query, method="HEAD") == (headers, "")


def test_ping_answers_head_without_a_body() -> None:
    assert status.ping("pong", method="HEAD").endswith(b"\r\n\r\n")


def test_numbers_of_the_pool_are_counted_from_its_slots() -> None:
    _headers, body = render(PAGE, "json")

    assert json.loads(body) == {
        "pool": "www",
        "process manager": "static",
        "start time": 1_000_000_000,
        "start since": 100,
        "accepted conn": 9,
        "listen queue": 0,
        "max listen queue": 0,
        "listen queue len": 0,
        "idle processes": 1,
        "active processes": 1,
        "total processes": 2,
        "max active processes": 2,
        "max children reached": 4,
        "slow requests": 1,
    }


def test_running_request_lasts_until_now_and_an_ended_one_until_its_end() -> None:
    running, idle = json.loads(render(PAGE, "json&full")[1])["processes"]

    assert (running["request duration"], idle["request duration"]) == (2500, 4000)


def test_cost_is_told_of_ended_requests_only() -> None:
    running, idle = json.loads(render(PAGE, "json&full")[1])["processes"]

    assert (running["last request cpu"], running["last request memory"]) == (0.0, 0)
    assert (idle["last request cpu"], idle["last request memory"]) == (25.0, 2 << 20)


def test_most_active_workers_are_never_fewer_than_those_active_now() -> None:
    page = replace(PAGE, state=replace(STATE, max_active=0))

    assert json.loads(render(page, "json")[1])["max active processes"] == 1


WAITED = replace(IDLE, waited_ns=1_500_000)


def test_time_in_the_queue_stands_last_and_only_where_it_is_known() -> None:
    fresh = replace(IDLE, requests=0, waited_ns=0)
    page = replace(PAGE, state=replace(STATE, workers=(RUNNING, fresh, WAITED)))
    *without, told = json.loads(render(page, "json&full")[1])["processes"]

    assert all("request queue time" not in row for row in without)
    assert list(told) == [*without[0], "request queue time"]
    assert told["request queue time"] == 1500
    assert render(page, "full")[1].count("request queue time:   1500\n") == 1
    assert render(page, "xml&full")[1].count("<request-queue-time>1500</request-queue-time></process>") == 1


def test_html_table_has_as_many_columns_in_each_row() -> None:
    page = replace(PAGE, state=replace(STATE, workers=(RUNNING, WAITED)))
    body = render(page, "html&full")[1].partition('border="1"')[2]

    assert [line.count("<th>") + line.count("<td>") for line in body.splitlines()[1:4]] == [14, 14, 14]
    assert body.count("<td>-</td></tr>") == 1


class Tags(HTMLParser):
    """The names of the tags in a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


FIELDS = ["method", "user", "uri", "query", "script"]


@pytest.mark.parametrize("field", FIELDS)
def test_html_page_runs_nothing_that_a_request_brought(field: str) -> None:
    _headers, body = render(page_with(**{field: NASTY}), "html&full")

    assert Tags(body).found <= {"html", "head", "title", "body", "table", "tr", "th", "td"}
    assert "<script>alert(1)</script>" in unescape(body)


@pytest.mark.parametrize("field", FIELDS)
def test_xml_page_is_well_formed_whatever_a_request_brought(field: str) -> None:
    _headers, body = render(page_with(**{field: NASTY}), "xml&full")

    process = ElementTree.fromstring(body).find("processes/process")

    assert process is not None
    assert len(process) == 13


@pytest.mark.parametrize("field", FIELDS)
def test_json_page_is_valid_whatever_a_request_brought(field: str) -> None:
    _headers, body = render(page_with(**{field: NASTY}), "json&full")

    assert NASTY in "".join(str(value) for value in json.loads(body)["processes"][0].values())


@pytest.mark.parametrize("field", FIELDS)
def test_text_page_has_no_line_that_a_request_forged(field: str) -> None:
    plain = render(page_with(), "full")[1].splitlines()

    assert len(render(page_with(**{field: NASTY}), "full")[1].splitlines()) == len(plain)


number = st.integers(min_value=-(2**63), max_value=2**64 - 1)
workers = st.builds(
    WorkerState,
    pid=number,
    stage=st.sampled_from(Stage),
    requests=number,
    started_at=number,
    accepted_ns=number,
    finished_ns=number,
    cpu_ns=number,
    memory=number,
    content_length=number,
    method=st.text(),
    user=st.text(),
    uri=st.text(),
    query=st.text(),
    script=st.text(),
)
states = st.builds(
    PoolState,
    started_at=number,
    accepted=number,
    slow=number,
    max_active=number,
    max_children_reached=number,
    workers=st.lists(workers, max_size=3).map(tuple),
)


@given(states, st.sampled_from(QUERIES))
def test_page_is_made_whatever_the_workers_wrote(state: PoolState, query: str) -> None:
    _headers, body = render(replace(PAGE, state=state), query)

    if "xml" in query and "json" not in query:
        ElementTree.fromstring(body)
    if query.startswith("json") and "xml" not in query:
        json.loads(body)
