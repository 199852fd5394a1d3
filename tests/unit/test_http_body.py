"""The length of a web request's body, which CGI wants to know before the body starts."""

import asyncio
from typing import Any

from kraal.http.body import open_body
from kraal.http.params import Header, WebRequest


def opened(headers: list[Header], content: bytes) -> tuple[int | None, bytes]:
    """The length that PHP is told, and the body that it gets."""
    address = ("127.0.0.1", 80)
    request = WebRequest("POST", b"/", b"", "1.1", "http", headers, address, address)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def read() -> tuple[int | None, bytes]:
        length, body = await open_body(request, receive)
        return length, b"".join([piece async for piece in body])

    return asyncio.run(read())


def test_announced_length_is_passed_on() -> None:
    assert opened([(b"content-length", b"4")], b"body") == (4, b"body")


def test_request_without_length_and_encoding_has_no_body() -> None:
    assert opened([], b"") == (None, b"")


def test_length_of_a_chunked_body_is_counted() -> None:
    assert opened([(b"transfer-encoding", b"chunked")], b"body") == (4, b"body")


def test_announced_length_of_a_chunked_body_is_not_believed() -> None:
    both = [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]
    assert opened(both, b"body") == (4, b"body")
