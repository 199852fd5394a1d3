"""What a reader of FastCGI makes of a stream, so that the one in C and the one in Python can be compared.

On purpose the two differ in this, and the tests look past it:
- C closes the connection after a request that was aborted in its body; Python can still answer it.
- C answers GET_VALUES in an order of its own, and each name once.
- C still answers management records among the rest of a body that it skips before it closes.
- Python gives no request for params that are cut by the end of the stream, and neither does C; but a
  body that is cut is a request for C (PHP compares with CONTENT_LENGTH) and an error for Python.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kraal.errors import RemoteProtocolError
from kraal.fastcgi import records
from kraal.fastcgi.connection import ServerConnection
from kraal.fastcgi.events import (
    Aborted,
    BodyData,
    BodyEnd,
    ManagementRequest,
    ParamsComplete,
    RequestBegun,
    RequestRefused,
)
from kraal.fastcgi.records import RecordType
from kraal.fastcgi.states import ServerState

# What the application behind a reader does; see enum mode in decoder.c.
READS_BODY = b"r"
SKIPS_BODY = b"s"
HANDS_OVER = b"h"  # reads the body, and another worker goes on with the connection
MOVES = b"m"  # gathers it first, and another worker goes on whenever a part is there


@dataclass
class Request:
    """A request as an application sees it."""

    id: int
    keep: bool
    params: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    end: str = ""  # complete, aborted, cut; nothing if the body was not asked for


@dataclass
class Seen:
    """What a reader made of a stream."""

    requests: list[Request] = field(default_factory=list)
    replies: list[object] = field(default_factory=list)
    broken: bool = False


def reply(raw: bytes) -> object:
    """An answer outside requests, without what the two may do in their own way."""
    kind, request, size = raw[1], *struct.unpack(">HH", raw[2:6])
    content = raw[8 : 8 + size]
    if kind == RecordType.GET_VALUES_RESULT:
        return kind, request, frozenset(records.decode_pairs(content))
    return kind, request, content


def replies(raw: bytes, requests: list[Request]) -> list[object]:
    """The answers that are not the end of a request that was run."""
    complete = {reply(records.end_request(request.id)) for request in requests}
    return [each] if (each := reply(raw)) not in complete else []


def understand(lines: Sequence[Sequence[str]]) -> Seen:
    seen = Seen()
    for word, *rest in lines:
        match word:
            case "request":
                seen.requests.append(Request(int(rest[0]), rest[1] == "1"))
            case "name":
                seen.requests[-1].params.append((bytes.fromhex(rest[0]), b""))
            case "value":
                name, _ = seen.requests[-1].params[-1]
                seen.requests[-1].params[-1] = (name, bytes.fromhex(rest[0]))
            case "body":
                seen.requests[-1].body = bytes.fromhex(rest[0])
            case "complete" | "aborted" | "cut":
                seen.requests[-1].end = word
            case "sent":
                seen.replies += replies(bytes.fromhex(rest[0]), seen.requests)
            case "end":
                seen.broken = rest != [""]
            case _:
                raise AssertionError(f"not understood: {word} {rest}")
    return seen


class Reader:
    """The Python reader with an application behind it that does as the C harness does."""

    def __init__(self, mode: bytes) -> None:
        self.seen = Seen()
        self._mode = mode
        self._connection = ServerConnection()
        self._begun = Request(0, False)

    def read(self, pieces: list[bytes]) -> Seen:
        try:
            for piece in pieces:
                self._connection.receive_data(piece)
                while (event := self._connection.next_event()) is not None:
                    self._take(event)
        except RemoteProtocolError:
            self.seen.broken = True
        if self._mode != SKIPS_BODY and self.seen.requests:
            self.seen.requests[-1].end = self.seen.requests[-1].end or "cut"
        return self.seen

    def _take(self, event: object) -> None:
        seen, connection = self.seen, self._connection
        match event:
            case RequestBegun(request_id, keep):
                self._begun = Request(request_id, keep)
            case ParamsComplete(_, pairs):
                # A name that comes twice keeps its first place and has its last value.
                self._begun.params = list(dict(pairs).items())
                seen.requests.append(self._begun)
                if self._mode == SKIPS_BODY:
                    connection.end()
            case BodyData(_, content):
                seen.requests[-1].body += content
            case BodyEnd():
                seen.requests[-1].end = "complete"
                connection.end()
            case Aborted():
                self._abort()
            case RequestRefused(_, _, answer) | ManagementRequest(_, answer):
                seen.replies += replies(answer, seen.requests)
            case _:
                raise AssertionError(f"not expected: {event}")

    def _abort(self) -> None:
        in_body = self.seen.requests and self.seen.requests[-1] is self._begun
        if not in_body:
            # Ended before it was run.
            self.seen.replies += replies(records.end_request(self._begun.id), self.seen.requests)
            self._connection.end()
            return
        self.seen.requests[-1].end = "aborted"
        self._connection.end()
        # C closes here.
        self._connection = ServerConnection()
        self._connection.state = ServerState.CLOSED


def whole_records(stream: bytes) -> bytes:
    """The stream up to its last whole record, or up to a header that is broken."""
    at = 0
    while len(stream) - at >= records.HEADER_SIZE:
        try:
            header = records.decode_header(stream[at : at + records.HEADER_SIZE])
        except RemoteProtocolError:
            return stream[: at + records.HEADER_SIZE]
        if at + header.record_length > len(stream):
            break
        at += header.record_length
    return stream[:at]


def comparable(seen: Seen, expected: Seen, mode: bytes) -> Seen:
    """What C has seen, without what it may do beyond Python."""
    closing = mode == SKIPS_BODY and bool(expected.requests) and not expected.requests[-1].keep
    return replace(seen, replies=seen.replies[: len(expected.replies)]) if closing else seen
