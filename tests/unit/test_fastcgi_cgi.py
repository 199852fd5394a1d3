"""The head of a CGI response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.errors import RemoteProtocolError
from kraal.fastcgi import cgi
from kraal.fastcgi.cgi import Head


def test_head_ends_at_the_empty_line_and_the_rest_is_body() -> None:
    split = cgi.split_head(b"Status: 404 Not Found\r\nContent-type: text/html\r\n\r\n<p>\r\n\r\n")

    assert split == (Head(404, (("Content-type", "text/html"),)), b"<p>\r\n\r\n")


def test_head_in_pieces_waits_for_its_end() -> None:
    raw = b"Content-type: text/html\r\n\r\n"

    assert [cgi.split_head(raw[:length]) for length in range(1, len(raw))] == [None] * len(raw[:-1])
    assert cgi.split_head(raw) == (Head(200, (("Content-type", "text/html"),)), b"")


def test_status_is_200_when_not_given() -> None:
    assert cgi.parse_head(b"X: y").status == 200


def test_location_without_status_redirects() -> None:
    assert cgi.parse_head(b"Location: /there") == Head(302, (("Location", "/there"),))


def test_status_counts_before_location() -> None:
    assert cgi.parse_head(b"Location: /there\r\nStatus: 201 Created").status == 201


def test_bare_newlines_are_accepted() -> None:
    assert cgi.split_head(b"A: 1\nB: 2\n\nbody") == (Head(200, (("A", "1"), ("B", "2"))), b"body")


def test_equal_headers_are_kept_in_their_order() -> None:
    head = cgi.parse_head(b"Set-Cookie: a=1\r\nSet-Cookie: b=2")

    assert head.headers == (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))


def test_response_without_headers_is_all_body() -> None:
    assert cgi.split_head(b"\r\nbody") == (Head(200, ()), b"body")


def test_utf8_in_a_header_does_not_break_its_line() -> None:
    name = "Ã…\u0085 Å".encode()

    head = cgi.parse_head(b"X-Name: " + name + b"!")

    assert head.headers[0][1].encode("latin-1") == name + b"!"


@pytest.mark.parametrize("raw", [b"no colon", b": no name", b"Status: none", b"Status: 7", b"Na me : x"])
def test_head_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        cgi.parse_head(raw)


def test_endless_head_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="headers are longer"):
        cgi.split_head(b"X: " + b"y" * cgi.MAX_HEAD_SIZE)


@given(st.binary(max_size=300))
def test_random_head_is_parsed_or_refused(raw: bytes) -> None:
    try:
        head = cgi.parse_head(raw)
    except RemoteProtocolError:
        return
    assert 100 <= head.status <= 999
