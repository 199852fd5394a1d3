"""FastCGI as a hostile or a friendly web server speaks it, byte by byte.

Written apart from `kraal.fastcgi` on purpose: a misreading of the protocol there must not be
able to hide behind the same misreading here.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType
from typing import Self
from urllib.parse import unquote

Address = str | tuple[str, int]

RESPONDER = 1
KEEP = 1
LARGEST = 0xFFFF


class Type(IntEnum):
    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


def header(kind: int, request: int, length: int, padding: int = 0, version: int = 1) -> bytes:
    return struct.pack(">BBHHBx", version, kind, request, length, padding)


def record(kind: int, content: bytes = b"", *, request: int = 1, padding: int = 0) -> bytes:
    return header(kind, request, len(content), padding) + content + b"\xee" * padding


def begin(*, role: int = RESPONDER, flags: int = 0, request: int = 1, padding: int = 0) -> bytes:
    content = struct.pack(">HB5x", role, flags)
    return record(Type.BEGIN_REQUEST, content, request=request, padding=padding)


def length(size: int) -> bytes:
    return bytes([size]) if size < 128 else struct.pack(">I", size | 0x80000000)


def pair(name: bytes, value: bytes) -> bytes:
    return length(len(name)) + length(len(value)) + name + value


def pairs(params: Mapping[str, str]) -> bytes:
    return b"".join(
        pair(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in params.items()
    )


def stream(kind: int, pieces: Iterable[bytes], *, request: int = 1, padding: int = 0) -> bytes:
    """The pieces as a record each, and the empty record that ends the stream."""
    records = [record(kind, piece, request=request, padding=padding) for piece in pieces if piece]
    return b"".join(records) + record(kind, request=request, padding=padding)


def chunks(content: bytes, size: int = LARGEST) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def packet(params: Mapping[str, str], body: bytes = b"", *, keep: bool = False, request: int = 1) -> bytes:
    """A whole request in the simplest form."""
    return (
        begin(flags=KEEP if keep else 0, request=request)
        + stream(Type.PARAMS, chunks(pairs(params)), request=request)
        + stream(Type.STDIN, chunks(body), request=request)
    )


@dataclass(frozen=True, slots=True)
class Record:
    type: int
    request: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Response:
    head: bytes
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    stderr: bytes
    app_status: int
    protocol_status: int
    records: list[Record] = field(repr=False)

    def header(self, name: str) -> str | None:
        """The value of the first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode()


def parse(records: list[Record]) -> Response:
    """Put a response together from the records of one request."""
    output = b"".join(each.content for each in records if each.type == Type.STDOUT)
    head, _, body = output.partition(b"\r\n\r\n")
    headers = [
        (name, value.strip())
        for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n") if line)
    ]
    status = next((value for name, value in headers if name.lower() == "status"), "200 OK")
    number, _, reason = status.partition(" ")
    app_status, protocol_status = struct.unpack(">IB3x", records[-1].content)
    stderr = b"".join(each.content for each in records if each.type == Type.STDERR)
    code = int(number) if number.isdigit() else 0
    return Response(head, code, reason, headers, body, stderr, app_status, protocol_status, records)


class Connection:
    """A connection to a FastCGI server."""

    def __init__(self, address: Address, *, timeout: float = 30.0) -> None:
        tcp = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        family = socket.AF_UNIX if isinstance(address, str) else tcp
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def send_if_possible(self, content: bytes) -> None:
        """Send to a peer that may have closed already, as it should on bad input."""
        try:
            self.socket.sendall(content)
        except (BrokenPipeError, ConnectionResetError):
            return

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def read(self) -> Record | None:
        """The next record, or None at the end of the connection."""
        try:
            head = self._stream.read(8)
            if len(head) < 8:
                assert not head, f"the connection ended inside a header: {head!r}"
                return None
            version, kind, request, size, padding = struct.unpack(">BBHHBx", head)
            assert version == 1
            content = self._stream.read(size + padding)
        except ConnectionResetError:
            return None
        assert len(content) == size + padding, "the connection ended inside a record"
        return Record(kind, request, content[:size])

    def records(self, request: int = 1) -> Iterator[Record]:
        """The records of a request up to and with its END_REQUEST."""
        while (each := self.read()) is not None:
            assert each.request == request
            yield each
            if each.type == Type.END_REQUEST:
                return
        raise AssertionError("the connection ended before the request did")

    def response(self, request: int = 1) -> Response:
        return parse(list(self.records(request)))

    def rest(self) -> list[Record]:
        """Everything up to the end of the connection."""
        found = []
        while (each := self.read()) is not None:
            found.append(each)
        return found

    def closed(self) -> bool:
        """Whether the peer ends the connection without another byte."""
        return self.read() is None


def cgi_params(
    root: str,
    uri: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What a web server would send for a request of a script below the document root."""
    path, _, query = uri.partition("?")
    path = unquote(path)
    params = {
        "SCRIPT_FILENAME": root + path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "SCRIPT_NAME": path,
        "REQUEST_URI": uri,
        "DOCUMENT_URI": path,
        "DOCUMENT_ROOT": root,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "test/1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "7777",
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_NAME": "kraal.test",
        "REDIRECT_STATUS": "200",
        "HTTP_HOST": "kraal.test",
    }
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        params[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return params | dict(extra or {})
