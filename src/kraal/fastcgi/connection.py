"""Hold one FastCGI conversation, in either role, without any I/O.

The caller gives received bytes to `receive_data`, takes what they mean from `next_event`, and
sends the bytes that the other methods return.  `ServerConnection` is the application's side,
`ClientConnection` the web server's.  One request at a time: as php-fpm, we do not multiplex.

Events come one by one, not in a list, so that those before a broken record are not lost with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from kraal.errors import LocalProtocolError, RemoteProtocolError
from kraal.fastcgi import records
from kraal.fastcgi.events import (
    Aborted,
    BodyData,
    BodyEnd,
    ClientEvent,
    ConnectionClosed,
    ManagementRequest,
    ParamsComplete,
    RequestBegun,
    RequestEnded,
    RequestRefused,
    ServerEvent,
    StderrData,
    StdoutData,
    TypeUnknown,
    Values,
)
from kraal.fastcgi.records import ProtocolStatus, Record, RecordType, Role
from kraal.fastcgi.states import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, ClientState, ServerState, Step

# A web server sends a few kilobytes; who sends a megabyte of params wants our memory.
MAX_PARAMS_SIZE = 1 << 20

# More names than any web server sends.
MAX_PARAMS_COUNT = 4096

# The three names that there are take 48 bytes.
MAX_VALUES_SIZE = 256

# What GET_VALUES is answered: a worker serves one request at a time.  php-fpm knows the last name only.
LIMITS: Mapping[bytes, bytes] = MappingProxyType(
    {b"FCGI_MAX_CONNS": b"1", b"FCGI_MAX_REQS": b"1", b"FCGI_MPXS_CONNS": b"0"}
)


_State = TypeVar("_State", ServerState, ClientState)
_Event = TypeVar("_Event")


class _RecordBuffer:
    """Cut a stream of bytes into records."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def feed(self, received: bytes) -> None:
        self._bytes += received

    def next_record(self) -> Record | None:
        """The next whole record, or None until more bytes are here."""
        if len(self._bytes) < records.HEADER_SIZE:
            return None
        header = records.decode_header(self._bytes)
        if len(self._bytes) < header.record_length:
            return None
        end = records.HEADER_SIZE + header.content_length
        content = bytes(self._bytes[records.HEADER_SIZE : end])
        del self._bytes[: header.record_length]
        return Record(header.type, header.request_id, content)


class _Connection(Generic[_State, _Event]):
    """What both sides share: the buffer, the state, the order of events."""

    def __init__(
        self, state: _State, transitions: Mapping[tuple[_State, Step], _State], closed: _State
    ) -> None:
        self.state: _State = state
        self._transitions: Mapping[tuple[_State, Step], _State] = transitions
        self._closed: _State = closed
        self._buffer = _RecordBuffer()
        self._peer_closed = False
        self._eof_told = False
        self._request_id = records.NULL_REQUEST_ID
        self._keep_connection = False

    def receive_data(self, received: bytes) -> None:
        """Take bytes from the peer; ask `next_event` what they mean."""
        if self._peer_closed:
            raise LocalProtocolError("bytes were received after the end of the stream")
        self._buffer.feed(received)

    def receive_eof(self) -> None:
        """Note that the peer sends no more; ask `next_event` what that means."""
        self._peer_closed = True

    def next_event(self) -> _Event | None:
        """The next event, or None until more bytes are here."""
        if self.state is self._closed:
            return None
        try:
            return self._next_event()
        except RemoteProtocolError:
            self._move(Step.PEER_FAILED)
            raise

    def events(self) -> Iterator[_Event]:
        """The events that the received bytes hold."""
        while (event := self.next_event()) is not None:
            yield event

    def _next_event(self) -> _Event | None:
        while (record := self._buffer.next_record()) is not None:
            event = self._read(record)
            if event is not None:
                return event
        return self._read_eof() if self._peer_closed else None

    def _read(self, record: Record) -> _Event | None:
        """What a record means now; None when it means nothing to the caller."""
        raise NotImplementedError

    def _read_eof(self) -> _Event | None:
        """What the end of the stream means now."""
        raise NotImplementedError

    def _move(self, step: Step) -> None:
        self.state = self._next_state(step)

    def _next_state(self, step: Step) -> _State:
        try:
            return self._transitions[self.state, step]
        except KeyError:
            raise LocalProtocolError(f"{step.name} is not possible in state {self.state.name}") from None

    def _end(self, *, close: bool = False) -> None:
        keep = self._keep_connection and not self._eof_told and not close
        self._move(Step.END if keep else Step.END_AND_CLOSE)
        self._request_id = records.NULL_REQUEST_ID


class ServerConnection(_Connection[ServerState, ServerEvent]):
    """The application's side of a connection."""

    def __init__(
        self, *, max_params_size: int = MAX_PARAMS_SIZE, limits: Mapping[bytes, bytes] = LIMITS
    ) -> None:
        super().__init__(ServerState.IDLE, SERVER_TRANSITIONS, ServerState.CLOSED)
        self._max_params_size = max_params_size
        self._limits = limits
        self._params = bytearray()

    def stdout(self, content: bytes) -> bytes:
        """The bytes to send for a piece of the response."""
        self._check_answerable()
        return records.stdout(self._request_id, content)

    def stderr(self, content: bytes) -> bytes:
        """The bytes to send for a message that the web server is to log."""
        self._check_answerable()
        return records.stderr(self._request_id, content)

    def end(
        self,
        app_status: int = 0,
        protocol_status: ProtocolStatus = ProtocolStatus.REQUEST_COMPLETE,
        *,
        close: bool = False,
    ) -> bytes:
        """The bytes to send at the end of the response.  In state CLOSED, close the connection then.

        `close` has that state also where the web server wants to keep the connection.
        """
        request_id = self._request_id
        if self.state is ServerState.IDLE:
            raise LocalProtocolError("there is no request to end")
        self._end(close=close)
        complete = protocol_status is ProtocolStatus.REQUEST_COMPLETE
        streams_end = records.stdout_end(request_id) if complete else b""
        return streams_end + records.end_request(request_id, app_status, protocol_status)

    def _check_answerable(self) -> None:
        if self.state not in (ServerState.BODY, ServerState.ANSWERING):
            raise LocalProtocolError(f"nothing can be answered in state {self.state.name}")

    # -- reading --

    def _read(self, record: Record) -> ServerEvent | None:
        if record.request_id == records.NULL_REQUEST_ID:
            return self._read_management(record)
        if record.type == RecordType.BEGIN_REQUEST:
            return self._read_begin(record)
        if record.request_id != self._request_id:
            return None  # the rest of a request that was refused, or answered before it was complete
        match record.type:
            case RecordType.PARAMS:
                return self._read_params(record.content)
            case RecordType.STDIN:
                return self._read_stdin(record.content)
            case RecordType.ABORT_REQUEST:
                self._move(Step.ABORT)
                return Aborted(record.request_id)
            case _:
                raise RemoteProtocolError(f"a web server does not send records of type {record.type}")

    def _read_management(self, record: Record) -> ServerEvent:
        if record.type == RecordType.GET_VALUES:
            if len(record.content) > MAX_VALUES_SIZE:
                raise RemoteProtocolError(f"GET_VALUES is longer than {MAX_VALUES_SIZE} bytes")
            asked = [name for name, _ in records.decode_pairs(record.content)]
            known = [(name, self._limits[name]) for name in asked if name in self._limits]
            return ManagementRequest(record.type, records.get_values_result(known))
        if RecordType.BEGIN_REQUEST <= record.type <= RecordType.DATA:
            raise RemoteProtocolError(f"a record of type {record.type} needs a request id, not 0")
        return ManagementRequest(record.type, records.unknown_type(record.type))

    def _read_begin(self, record: Record) -> ServerEvent:
        if record.request_id == self._request_id:
            raise RemoteProtocolError(f"request {record.request_id} was begun twice")
        body = records.decode_begin(record.content)
        if self.state is not ServerState.IDLE:
            return self._refuse(record.request_id, ProtocolStatus.CANT_MPX_CONN)
        if body.role != Role.RESPONDER:
            if not body.keep_connection:
                self._move(Step.END_AND_CLOSE)
            return self._refuse(record.request_id, ProtocolStatus.UNKNOWN_ROLE)
        self._move(Step.BEGIN)
        self._request_id = record.request_id
        self._keep_connection = body.keep_connection
        self._params.clear()
        return RequestBegun(record.request_id, body.keep_connection)

    def _refuse(self, request_id: int, status: ProtocolStatus) -> RequestRefused:
        reply = records.end_request(request_id, protocol_status=status)
        return RequestRefused(request_id, status, reply)

    def _read_params(self, content: bytes) -> ServerEvent | None:
        if self.state is ServerState.ANSWERING:
            return None  # aborted while its params were under way
        if self.state is not ServerState.PARAMS:
            raise RemoteProtocolError("params were sent after their end")
        if len(self._params) + len(content) > self._max_params_size:
            raise RemoteProtocolError(f"the params are longer than {self._max_params_size} bytes")
        self._params += content
        if content:
            return None
        pairs = tuple(records.decode_pairs(bytes(self._params)))
        if len(dict(pairs)) > MAX_PARAMS_COUNT:
            raise RemoteProtocolError(f"there are more than {MAX_PARAMS_COUNT} params")
        self._params.clear()
        self._move(Step.PARAMS_END)
        return ParamsComplete(self._request_id, pairs)

    def _read_stdin(self, content: bytes) -> ServerEvent | None:
        if self.state is ServerState.PARAMS:
            raise RemoteProtocolError("the body was sent before the end of the params")
        if self.state is ServerState.ANSWERING:
            return None  # aborted, or more than the end: nobody waits for it
        if content:
            return BodyData(self._request_id, content)
        self._move(Step.BODY_END)
        return BodyEnd(self._request_id)

    def _read_eof(self) -> ServerEvent | None:
        if self._buffer:
            raise RemoteProtocolError("the connection was closed in the middle of a record")
        if self.state in (ServerState.PARAMS, ServerState.BODY):
            raise RemoteProtocolError("the connection was closed in the middle of a request")
        if self._eof_told:
            return None
        self._eof_told = True
        self._move(Step.PEER_CLOSED)
        return ConnectionClosed()


class ClientConnection(_Connection[ClientState, ClientEvent]):
    """The web server's side of a connection."""

    def __init__(self) -> None:
        super().__init__(ClientState.IDLE, CLIENT_TRANSITIONS, ClientState.CLOSED)

    def request(self, params: Iterable[records.Pair], *, keep_connection: bool = False) -> bytes:
        """The bytes that begin a request and carry its params; `body` and `end_body` go on."""
        encoded = records.encode_pairs(params)
        self._move(Step.BEGIN)
        self._keep_connection = keep_connection
        # Always 1: a connection carries one request at a time, and nginx does the same.
        self._request_id = 1
        return (
            records.begin_request(self._request_id, Role.RESPONDER, keep_connection=keep_connection)
            + records.encode_stream(RecordType.PARAMS, self._request_id, encoded)
            + records.params_end(self._request_id)
        )

    def body(self, content: bytes) -> bytes:
        """The bytes to send for a piece of the body."""
        if self.state is not ClientState.SENDING:
            raise LocalProtocolError(f"no body can be sent in state {self.state.name}")
        return records.stdin(self._request_id, content)

    def end_body(self) -> bytes:
        """The bytes to send at the end of the body."""
        self._move(Step.BODY_END)
        return records.stdin_end(self._request_id)

    def abort(self) -> bytes:
        """The bytes that ask the application to stop; it ends the request all the same."""
        self._move(Step.ABORT)
        return records.abort_request(self._request_id)

    def get_values(self, names: Iterable[bytes]) -> bytes:
        """The bytes that ask the application for its limits."""
        return records.get_values(names)

    # -- reading --

    def _read(self, record: Record) -> ClientEvent | None:
        if record.request_id == records.NULL_REQUEST_ID:
            return self._read_management(record)
        if record.request_id != self._request_id:
            raise RemoteProtocolError(f"request {record.request_id} was answered, but not asked")
        match record.type:
            case RecordType.STDOUT:
                return StdoutData(record.request_id, record.content) if record.content else None
            case RecordType.STDERR:
                return StderrData(record.request_id, record.content) if record.content else None
            case RecordType.END_REQUEST:
                body = records.decode_end(record.content)
                self._end()
                return RequestEnded(record.request_id, body.app_status, body.protocol_status)
            case _:
                raise RemoteProtocolError(f"an application does not send records of type {record.type}")

    def _read_management(self, record: Record) -> ClientEvent:
        match record.type:
            case RecordType.GET_VALUES_RESULT:
                return Values(tuple(records.decode_pairs(record.content)))
            case RecordType.UNKNOWN_TYPE:
                return TypeUnknown(records.decode_unknown_type(record.content))
            case _:
                raise RemoteProtocolError(f"an application does not send management type {record.type}")

    def _read_eof(self) -> ClientEvent:
        if self._buffer or self.state is not ClientState.IDLE:
            raise RemoteProtocolError("the application closed the connection before its answer was complete")
        self._move(Step.PEER_CLOSED)
        return ConnectionClosed()
