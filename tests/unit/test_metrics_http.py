"""As much of HTTP as a scrape needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.metrics.http import MOST, Page, Question, Request, read, response

END = b"\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "question", "head_only"),
    [
        (b"GET /metrics HTTP/1.1", Question.METRICS, False),
        (b"GET /metrics?name[]=a HTTP/1.0", Question.METRICS, False),
        (b"HEAD /health HTTP/1.1", Question.HEALTH, True),
        (b"GET /ready HTTP/1.1", Question.READY, False),
    ],
)
def test_request_is_understood_byte_by_byte_and_with_a_tail(
    line: bytes, question: Question, head_only: bool
) -> None:
    whole = line + END

    assert [read(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert read(whole) == read(whole + b"GET /ready") == Request(question, head_only)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/ HTTP/1.1", 404),
        (b"GET /../metrics HTTP/1.1", 404),
        (b"GET http://x/metrics HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"get /metrics HTTP/1.1", 405),
        (b"GET /metrics HTTP/2.0", 505),
        (b"GET /metrics", 400),
        (b"GET  /metrics HTTP/1.1", 400),
        (b"GET /metrics HTTP/1.1 ", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"", 400),
    ],
)
def test_what_is_none_is_refused(line: bytes, status: int) -> None:
    page = read(line + END)

    assert isinstance(page, Page)
    assert page.status == status


def test_head_has_an_end_or_is_too_long() -> None:
    assert read(b"G" * (MOST - 1)) is None
    refused = read(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * MOST + b"\r\n\r\n")
    assert isinstance(refused, Page)
    assert refused.status == 431


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_request_or_refused_or_not_all(content: bytes) -> None:
    found = read(content + END)

    assert isinstance(found, Request) or found.status in (400, 404, 405, 505)  # type: ignore[union-attr]


def test_answer_says_how_long_it_is() -> None:
    whole = response(Page(405, b"no\n"))
    head, _, body = whole.partition(b"\r\n\r\n")

    assert body == b"no\n"
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert {b"Content-Length: 3", b"Connection: close", b"Allow: GET, HEAD"} < set(head.split(b"\r\n"))
    assert response(Page(405, b"no\n"), head_only=True) == head + b"\r\n\r\n"
