"""Ask a FastCGI application for a page: a blocking client for the command line and the tests.

It reads the answer while it sends the body, so that an application that echoes a large body and
a client that sends it do not wait for each other.
"""

import math
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from kraal.errors import LocalProtocolError, RemoteProtocolError
from kraal.fastcgi import cgi
from kraal.fastcgi.connection import ClientConnection
from kraal.fastcgi.events import ClientEvent, RequestEnded, StderrData, StdoutData, Values
from kraal.fastcgi.records import Pair, ProtocolStatus
from kraal.fastcgi.states import ClientState
from kraal.fields import Frozen

Address = str | tuple[str, int]  # the path of a Unix socket, or host and port
Params = Mapping[str, str | bytes]
Body = bytes | Iterable[bytes]

READ_SIZE = 1 << 18
_BODY_CHUNK = 1 << 18


class Response(Frozen):
    """A whole answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    stderr: bytes
    app_status: int

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for found, value in self.headers if found.lower() == name.lower()), None)


def request(address: Address, params: Params, body: Body = b"", *, timeout: float = 30.0) -> Response:
    """Ask once, on a connection of its own.  `timeout` limits each wait, not the whole exchange."""
    with Client(address, timeout=timeout, keep_connection=False) as client:
        return client.request(params, body)


class Client:
    """One connection, for one request after the other."""

    def __init__(self, address: Address, *, timeout: float = 30.0, keep_connection: bool = True) -> None:
        self.timeout = timeout
        self.deadline = math.inf  # of the monotonic clock; `timeout` limits each wait, this one all of them
        self.keep_connection = keep_connection
        self.protocol = ClientConnection()
        self.socket = _connect(address, timeout)
        self.socket.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.socket, selectors.EVENT_READ)
        self._outgoing: Iterator[bytes] = iter(())
        self._unsent = memoryview(b"")
        self._sending = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._selector.close()
        self.socket.close()

    def request(self, params: Params, body: Body = b"") -> Response:
        """Ask, and wait for the whole answer."""
        stdout: list[bytes] = []
        stderr: list[bytes] = []
        app_status = 0
        for event in self.events(params, body):
            match event:
                case StdoutData():
                    stdout.append(event.content)
                case StderrData():
                    stderr.append(event.content)
                case RequestEnded():
                    app_status = event.app_status
                    _check_served(event)
        return _response(b"".join(stdout), b"".join(stderr), app_status)

    def events(self, params: Params, body: Body = b"") -> Iterator[ClientEvent]:
        """Ask, and give the events of the answer as they arrive; the last is `RequestEnded`."""
        if self._sending:
            raise LocalProtocolError("the last request's body was not sent completely; connect anew")
        begin = self.protocol.request(_pairs(params), keep_connection=self.keep_connection)
        self._start_sending(self._stream(begin, body))
        while True:
            event = self._wait_for_event()
            yield event
            if isinstance(event, RequestEnded):
                return

    def get_values(self, *names: str) -> dict[str, str]:
        """Ask for the application's limits, such as FCGI_MAX_CONNS."""
        self._start_sending(iter([self.protocol.get_values(name.encode() for name in names)]))
        event = self._wait_for_event()
        if not isinstance(event, Values):
            raise RemoteProtocolError(f"GET_VALUES was answered with {event}")
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in event.pairs}

    # -- sending and receiving --

    def _stream(self, begin: bytes, body: Body) -> Iterator[bytes]:
        """All bytes of a request, made as they are needed."""
        if body == b"":
            # In one piece: an answer may come as soon as the params are there.
            yield begin + self.protocol.end_body()
            return
        yield begin
        for chunk in _chunks(body):
            if self.protocol.state is not ClientState.SENDING:
                return
            yield self.protocol.body(chunk)
        if self.protocol.state is ClientState.SENDING:
            yield self.protocol.end_body()

    def _start_sending(self, outgoing: Iterator[bytes]) -> None:
        self._outgoing = outgoing
        self._set_sending(True)
        self._take_piece()

    def _set_sending(self, sending: bool) -> None:
        self._sending = sending
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if sending else 0)
        self._selector.modify(self.socket, mask)

    def _wait_for_event(self) -> ClientEvent:
        while (event := self.protocol.next_event()) is None:
            self._exchange()
        return event

    def _exchange(self) -> None:
        """Wait for the socket, then read or send once."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the application has not answered in time")
        ready = self._selector.select(min(self.timeout, left))
        if not ready:
            raise TimeoutError(f"the application was silent for {self.timeout:g} seconds")
        [(_, mask)] = ready
        if mask & selectors.EVENT_READ:
            self._receive()
        elif mask & selectors.EVENT_WRITE:
            self._send()

    def _receive(self) -> None:
        try:
            received = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise RemoteProtocolError(f"the application broke the connection: {error.strerror}") from error
        if received:
            self.protocol.receive_data(received)
        else:
            self.protocol.receive_eof()

    def _take_piece(self) -> None:
        """Have the next piece ready, or know at once that all was sent: the answer may be here soon."""
        while not self._unsent:
            piece = next(self._outgoing, None)
            if piece is None:
                self._set_sending(False)
                return
            self._unsent = memoryview(piece)

    def _send(self) -> None:
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        except ConnectionError:
            # The application has left, perhaps after an answer that we have not read yet: read on.
            self._unsent = memoryview(b"")
            self._set_sending(False)
            return
        self._unsent = self._unsent[sent:]
        self._take_piece()


def _connect(address: Address, timeout: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _pairs(params: Params) -> list[Pair]:
    return [(_encode(name), _encode(value)) for name, value in params.items()]


def _encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _chunks(body: Body) -> Iterator[bytes]:
    if not isinstance(body, bytes):
        yield from body
        return
    for at in range(0, len(body), _BODY_CHUNK):
        yield body[at : at + _BODY_CHUNK]


def _check_served(event: RequestEnded) -> None:
    if event.protocol_status is not ProtocolStatus.REQUEST_COMPLETE:
        raise RemoteProtocolError(f"the application refused the request: {event.protocol_status.name}")


def _response(stdout: bytes, stderr: bytes, app_status: int) -> Response:
    split = cgi.split_head(stdout)
    if split is None:
        raise RemoteProtocolError("the response has no end of its headers")
    head, body = split
    return Response(head.status, list(head.headers), body, stderr, app_status)
