"""Pass PHP's answer on to the browser as it arrives."""

import re
import sys
from collections.abc import AsyncIterator

from starlette.types import Send

from kraal.errors import RemoteProtocolError
from kraal.fastcgi import cgi
from kraal.fastcgi.events import ClientEvent, RequestEnded, StderrData, StdoutData
from kraal.fastcgi.records import ProtocolStatus

# The connection to the browser is the front's, not PHP's.
_NOT_PASSED = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_WITHOUT_BODY = frozenset({204, 304})


class Answer:
    """One answer on its way; `started` tells whether the browser has seen any of it."""

    def __init__(self, send: Send, method: str) -> None:
        self._send = send
        self._method = method
        self._head = b""
        self._left: int | None = None  # how much of an announced Content-Length is still to come
        self.started = False

    async def pass_on(self, events: AsyncIterator[ClientEvent]) -> None:
        """Send the whole answer.  An answer that breaks off is left incomplete, so that it shows."""
        async for event in events:
            match event:
                case StdoutData():
                    await self._pass_content(event.content)
                case StderrData():
                    _print_message(event.content)
                case RequestEnded():
                    await self._finish(event)
                case _:
                    raise RemoteProtocolError(f"the pool answered with {type(event).__name__}")

    async def _pass_content(self, content: bytes) -> None:
        if self.started:
            await self._send_body(content)
            return
        self._head += content
        split = cgi.split_head(self._head)
        if split is not None:
            head, body = split
            await self._start(head)
            await self._send_body(body)

    async def _start(self, head: cgi.Head) -> None:
        if head.status < 200:
            raise RemoteProtocolError(f"PHP answered with the interim status {head.status}")
        headers = [(name, value) for name, value in head.headers if _may_pass(name, value)]
        without_body = head.status in _WITHOUT_BODY or self._method == "HEAD"
        self._left = 0 if without_body else _content_length(headers)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": head.status, "headers": encoded})
        self.started = True

    async def _send_body(self, content: bytes) -> None:
        if self._left is not None:
            # More than was announced would be taken for the start of the next answer.
            content = content[: self._left]
            self._left -= len(content)
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def _finish(self, event: RequestEnded) -> None:
        if event.protocol_status is not ProtocolStatus.REQUEST_COMPLETE:
            raise RemoteProtocolError(f"the pool refused the request: {event.protocol_status.name}")
        if not self.started:
            raise RemoteProtocolError("PHP's answer has no end of its headers")
        if self._left:
            raise RemoteProtocolError(f"PHP's answer is {self._left} bytes shorter than its Content-Length")
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _may_pass(name: str, value: str) -> bool:
    return name.lower() not in _NOT_PASSED and bool(_NAME.match(name)) and bool(_VALUE.match(value))


def _content_length(headers: list[tuple[str, str]]) -> int | None:
    found = [value for name, value in headers if name.lower() == "content-length"]
    return int(found[-1]) if found and found[-1].isascii() and found[-1].isdigit() else None


def _print_message(content: bytes) -> None:
    """What PHP wants logged goes where all our messages go."""
    for line in content.decode("utf-8", "replace").splitlines():
        print(line, file=sys.stderr, flush=True)
