"""Bring the body of a web request into the form that CGI wants: its length known before it starts."""

import tempfile
from collections.abc import AsyncIterator
from typing import IO

from starlette.types import Receive

from kraal.http.params import WebRequest

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 18


class Disconnected(Exception):
    """The browser left before it had sent its request."""


async def open_body(request: WebRequest, receive: Receive) -> tuple[int | None, AsyncIterator[bytes]]:
    """The body's length and content; a chunked one is written to a file first to learn its length.

    The length is None when the request has no body.
    """
    # A request with both is chunked, whatever length it announces (RFC 9112, 6.3).
    if not request.header(b"transfer-encoding"):
        announced = request.header(b"content-length")
        return int(announced) if announced else None, _received(receive)
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by _spooled)
    async for content in _received(receive):
        spool.write(content)
    length = spool.tell()
    spool.seek(0)
    return length, _spooled(spool)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the browser has gone; the body must have been read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _received(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if content := message.get("body", b""):
            yield content
        more = message.get("more_body", False)


async def _spooled(spool: IO[bytes]) -> AsyncIterator[bytes]:
    with spool:
        while content := spool.read(_CHUNK):
            yield content
