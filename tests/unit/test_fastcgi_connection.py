"""A FastCGI conversation, in either role.

Every stream that is read is read three times: whole, byte by byte, and with a tail that follows.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraal.errors import LocalProtocolError, RemoteProtocolError
from kraal.fastcgi import records
from kraal.fastcgi.connection import ClientConnection, ServerConnection
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
from kraal.fastcgi.records import ProtocolStatus, RecordType
from kraal.fastcgi.states import ClientState, ServerState

PAIRS = ((b"REQUEST_METHOD", b"POST"), (b"LONG", b"x" * 200), (b"EMPTY", b""))
BEGIN = records.begin_request(1, keep_connection=True)
PARAMS = records.params(1, PAIRS)
BODY = records.stdin(1, b"hello")
BODY_END = records.stdin_end(1)
REQUEST = BEGIN + PARAMS + BODY + BODY_END
REQUEST_EVENTS = [RequestBegun(1, True), ParamsComplete(1, PAIRS), BodyData(1, b"hello"), BodyEnd(1)]

# A record that means nothing to either side, and part of one.
STRAY = records.stdin(99, b"nobody asked")
TAIL = records.begin_request(1)[:5]

Cut = Callable[[bytes], Iterator[bytes]]


def whole(stream: bytes) -> Iterator[bytes]:
    yield stream


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    for at in range(len(stream)):
        yield stream[at : at + 1]


def with_tail(stream: bytes) -> Iterator[bytes]:
    yield stream + TAIL


@pytest.fixture(params=[whole, byte_by_byte, with_tail])
def cut(request: pytest.FixtureRequest) -> Cut:
    found: Cut = request.param
    return found


def serve(stream: bytes, cut: Cut = whole, connection: ServerConnection | None = None) -> list[ServerEvent]:
    connection = connection or ServerConnection()
    found: list[ServerEvent] = []
    for piece in cut(stream):
        connection.receive_data(piece)
        found.extend(connection.events())
    return found


def read_answer(connection: ClientConnection, stream: bytes, cut: Cut = whole) -> list[ClientEvent]:
    found: list[ClientEvent] = []
    for piece in cut(stream):
        connection.receive_data(piece)
        found.extend(connection.events())
    return found


def asked(*, keep_connection: bool = True) -> ClientConnection:
    connection = ClientConnection()
    connection.request(PAIRS, keep_connection=keep_connection)
    connection.end_body()
    return connection


# -- the application's side --


def test_request_gives_its_four_events(cut: Cut) -> None:
    assert serve(REQUEST, cut) == REQUEST_EVENTS


def test_params_split_anywhere_over_records_are_put_together(cut: Cut) -> None:
    encoded = records.encode_pairs(PAIRS)
    for at in range(1, len(encoded), 17):
        split = records.encode_record(RecordType.PARAMS, 1, encoded[:at])
        split += records.encode_record(RecordType.PARAMS, 1, encoded[at:])

        events = serve(BEGIN + split + records.params_end(1), cut)

        assert events == REQUEST_EVENTS[:2]


def test_padding_is_skipped_whatever_it_holds(cut: Cut) -> None:
    padded = bytes([1, RecordType.STDIN, 0, 1, 0, 2, 255, 0]) + b"ok" + b"\x01" * 255

    assert serve(BEGIN + PARAMS + padded, cut)[2:] == [BodyData(1, b"ok")]


def test_record_without_padding_is_read(cut: Cut) -> None:
    bare = bytes([1, RecordType.STDIN, 0, 1, 0, 3, 0, 0]) + b"odd"

    assert serve(BEGIN + PARAMS + bare + BODY_END, cut)[2:] == [BodyData(1, b"odd"), BodyEnd(1)]


def test_last_of_equal_params_counts() -> None:
    event = ParamsComplete(1, ((b"N", b"first"), (b"N", b"last")))

    assert event.params == {b"N": b"last"}


def test_kept_connection_serves_a_second_request(cut: Cut) -> None:
    connection = ServerConnection()
    assert serve(REQUEST, connection=connection) == REQUEST_EVENTS
    connection.end()
    assert connection.state is ServerState.IDLE

    assert serve(REQUEST, cut, connection) == REQUEST_EVENTS


def test_connection_that_is_not_kept_closes_with_its_request() -> None:
    connection = ServerConnection()
    serve(records.begin_request(1) + PARAMS + BODY_END, connection=connection)

    connection.end()

    assert connection.state is ServerState.CLOSED
    assert serve(REQUEST, connection=connection) == []


def test_second_request_at_the_same_time_is_refused_and_the_first_goes_on(cut: Cut) -> None:
    second = records.begin_request(2) + records.params(2, PAIRS) + records.stdin_end(2)
    reply = records.end_request(2, protocol_status=ProtocolStatus.CANT_MPX_CONN)

    events = serve(BEGIN + PARAMS + second + BODY + BODY_END, cut)

    refused = RequestRefused(2, ProtocolStatus.CANT_MPX_CONN, reply)
    assert events == [*REQUEST_EVENTS[:2], refused, *REQUEST_EVENTS[2:]]


@pytest.mark.parametrize("role", [0, 2, 3, 65535])
def test_other_roles_are_refused_and_the_connection_is_kept(cut: Cut, role: int) -> None:
    reply = records.end_request(5, protocol_status=ProtocolStatus.UNKNOWN_ROLE)
    stream = records.begin_request(5, role, keep_connection=True) + records.params(5, PAIRS)

    events = serve(stream + REQUEST, cut)

    assert events == [RequestRefused(5, ProtocolStatus.UNKNOWN_ROLE, reply), *REQUEST_EVENTS]


def test_other_role_without_keep_closes() -> None:
    connection = ServerConnection()

    serve(records.begin_request(5, 2), connection=connection)

    assert connection.state is ServerState.CLOSED


def test_records_of_no_request_are_ignored(cut: Cut) -> None:
    assert serve(STRAY + BEGIN + STRAY + PARAMS + STRAY + BODY + BODY_END + STRAY, cut) == REQUEST_EVENTS


def test_body_that_nobody_waited_for_is_skipped(cut: Cut) -> None:
    connection = ServerConnection()
    serve(BEGIN + PARAMS, connection=connection)
    connection.end()

    assert serve(BODY + BODY_END + REQUEST, cut, connection) == REQUEST_EVENTS


def test_abort_is_told_and_the_request_still_ends(cut: Cut) -> None:
    connection = ServerConnection()

    events = serve(BEGIN + PARAMS + BODY + records.abort_request(1) + BODY + BODY_END, cut, connection)

    assert events == [*REQUEST_EVENTS[:3], Aborted(1)]
    assert connection.end()


NAMES = [b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS", b"UNHEARD_OF"]


def test_limits_say_that_a_worker_serves_one_request_at_a_time(cut: Cut) -> None:
    reply = records.get_values_result(
        [(b"FCGI_MAX_CONNS", b"1"), (b"FCGI_MAX_REQS", b"1"), (b"FCGI_MPXS_CONNS", b"0")]
    )

    assert serve(records.get_values(NAMES), cut) == [ManagementRequest(RecordType.GET_VALUES, reply)]


def test_limits_of_the_caller_are_answered_in_the_order_of_the_question(cut: Cut) -> None:
    limits = {b"FCGI_MAX_REQS": b"4", b"FCGI_MAX_CONNS": b"8"}
    reply = records.get_values_result([(b"FCGI_MAX_CONNS", b"8"), (b"FCGI_MAX_REQS", b"4")])

    events = serve(records.get_values(NAMES), cut, ServerConnection(limits=limits))

    assert events == [ManagementRequest(RecordType.GET_VALUES, reply)]


def test_management_is_answered_in_the_middle_of_a_request(cut: Cut) -> None:
    events = serve(BEGIN + records.get_values([]) + PARAMS, cut)

    assert events[1] == ManagementRequest(RecordType.GET_VALUES, records.get_values_result([]))
    assert [events[0], events[2]] == REQUEST_EVENTS[:2]


@pytest.mark.parametrize("kind", [12, 100, 255])
def test_unknown_management_type_is_answered(cut: Cut, kind: int) -> None:
    stream = records.encode_record(kind, 0, b"what is it")

    assert serve(stream, cut) == [ManagementRequest(kind, records.unknown_type(kind))]


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "version must be 1, not 71", id="not FastCGI"),
        pytest.param(BEGIN + BEGIN, "begun twice", id="begun twice"),
        pytest.param(BEGIN + BODY, "before the end of the params", id="body before params"),
        pytest.param(BEGIN + PARAMS + PARAMS, "after their end", id="params after their end"),
        pytest.param(
            BEGIN + records.encode_record(RecordType.PARAMS, 1, b"\x05\x05N") + records.params_end(1),
            "after its stream",
            id="pair cut off",
        ),
        pytest.param(
            BEGIN + PARAMS + records.stdout(1, b"x"), "records of type 6", id="stdout from the peer"
        ),
        pytest.param(BEGIN + records.encode_record(77, 1), "records of type 77", id="unknown type"),
        pytest.param(records.begin_request(0), "needs a request id", id="request id 0"),
        pytest.param(
            records.encode_record(RecordType.BEGIN_REQUEST, 1, b"\0\1\0"),
            "must hold 8 bytes",
            id="short begin",
        ),
    ],
)
def test_broken_protocol_is_refused_and_ends_the_conversation(cut: Cut, stream: bytes, message: str) -> None:
    connection = ServerConnection()

    with pytest.raises(RemoteProtocolError, match=message):
        serve(stream, cut, connection)

    assert connection.state is ServerState.CLOSED
    assert connection.next_event() is None


def test_events_before_a_broken_record_are_not_lost() -> None:
    connection = ServerConnection()
    connection.receive_data(BEGIN + PARAMS + b"garbage!")

    assert [connection.next_event(), connection.next_event()] == REQUEST_EVENTS[:2]
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


def test_params_up_to_the_limit_are_taken() -> None:
    size = len(records.encode_pairs(PAIRS))

    assert serve(REQUEST, connection=ServerConnection(max_params_size=size)) == REQUEST_EVENTS


def test_params_beyond_the_limit_are_refused_before_they_are_complete(cut: Cut) -> None:
    size = len(records.encode_pairs(PAIRS))
    endless = records.encode_record(RecordType.PARAMS, 1, records.encode_pairs(PAIRS))

    with pytest.raises(RemoteProtocolError, match=f"longer than {size - 1} bytes"):
        serve(BEGIN + endless, cut, ServerConnection(max_params_size=size - 1))


@pytest.mark.parametrize("stream", [b"", REQUEST], ids=["between requests", "half-closed"])
def test_end_of_the_stream_is_told_once(stream: bytes) -> None:
    connection = ServerConnection()
    serve(stream, connection=connection)

    connection.receive_eof()

    assert list(connection.events()) == [ConnectionClosed()]
    assert connection.next_event() is None


def test_half_closed_connection_is_still_answered_and_then_closes() -> None:
    connection = ServerConnection()
    serve(REQUEST, connection=connection)
    connection.receive_eof()
    list(connection.events())

    assert connection.stdout(b"late") == records.stdout(1, b"late")
    connection.end()

    assert connection.state is ServerState.CLOSED


@pytest.mark.parametrize("length", [1, 8, len(BEGIN), len(BEGIN) + 3, len(REQUEST) - 1])
def test_end_of_the_stream_in_the_middle_is_refused(length: int) -> None:
    connection = ServerConnection()
    serve(REQUEST[:length], connection=connection)
    connection.receive_eof()

    with pytest.raises(RemoteProtocolError, match="in the middle"):
        list(connection.events())


def test_answer_ends_its_stream_and_its_request() -> None:
    connection = ServerConnection()
    serve(REQUEST, connection=connection)

    assert connection.stdout(b"page") == records.stdout(1, b"page")
    assert connection.stderr(b"note") == records.stderr(1, b"note")
    assert connection.end(3) == records.stdout_end(1) + records.end_request(1, 3)


def test_overloaded_is_answered_without_a_stream() -> None:
    connection = ServerConnection()
    serve(BEGIN, connection=connection)

    reply = connection.end(protocol_status=ProtocolStatus.OVERLOADED)

    assert reply == records.end_request(1, protocol_status=ProtocolStatus.OVERLOADED)


def test_answer_without_a_request_is_our_mistake() -> None:
    connection = ServerConnection()

    with pytest.raises(LocalProtocolError):
        connection.stdout(b"unasked")
    with pytest.raises(LocalProtocolError):
        connection.end()


def test_bytes_after_the_end_of_the_stream_are_our_mistake() -> None:
    connection = ServerConnection()
    connection.receive_eof()

    with pytest.raises(LocalProtocolError):
        connection.receive_data(b"x")


# -- the web server's side --

ANSWER = records.stdout(1, b"page") + records.stderr(1, b"note") + records.stdout_end(1)
ANSWER_EVENTS = [StdoutData(1, b"page"), StderrData(1, b"note")]
END = records.end_request(1, 7)
END_EVENT = RequestEnded(1, 7, ProtocolStatus.REQUEST_COMPLETE)


def test_answer_gives_its_events(cut: Cut) -> None:
    connection = asked()

    assert read_answer(connection, ANSWER + END, cut) == [*ANSWER_EVENTS, END_EVENT]
    assert connection.state is ClientState.IDLE


def test_kept_connection_is_asked_again(cut: Cut) -> None:
    connection = asked()
    read_answer(connection, ANSWER + END)
    connection.request(PAIRS)
    connection.end_body()

    assert read_answer(connection, ANSWER + END, cut) == [*ANSWER_EVENTS, END_EVENT]
    assert connection.state is ClientState.CLOSED


def test_answer_may_end_before_the_body_is_sent() -> None:
    connection = ClientConnection()
    connection.request(PAIRS, keep_connection=True)

    read_answer(connection, END)

    with pytest.raises(LocalProtocolError, match="no body can be sent in state IDLE"):
        connection.body(b"too late")


def test_refusal_tells_its_reason(cut: Cut) -> None:
    stream = records.end_request(1, protocol_status=ProtocolStatus.OVERLOADED)

    assert read_answer(asked(), stream, cut) == [RequestEnded(1, 0, ProtocolStatus.OVERLOADED)]


def test_values_and_unknown_types_are_read(cut: Cut) -> None:
    stream = records.get_values_result([(b"FCGI_MPXS_CONNS", b"0")]) + records.unknown_type(99)

    assert read_answer(ClientConnection(), stream, cut) == [
        Values(((b"FCGI_MPXS_CONNS", b"0"),)),
        TypeUnknown(99),
    ]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"HTTP/1.1 400", id="not FastCGI"),
        pytest.param(records.stdout(2, b"x"), id="another request"),
        pytest.param(records.stdin(1, b"x"), id="a record of ours"),
        pytest.param(records.encode_record(RecordType.GET_VALUES, 0), id="management of ours"),
        pytest.param(records.encode_record(RecordType.END_REQUEST, 1, b"short"), id="short end"),
    ],
)
def test_broken_answer_is_refused(cut: Cut, stream: bytes) -> None:
    connection = asked()

    with pytest.raises(RemoteProtocolError):
        read_answer(connection, stream, cut)

    assert connection.state is ClientState.CLOSED


@pytest.mark.parametrize("length", [0, 3, 8, len(ANSWER)])
def test_connection_closed_before_the_answer_is_complete_is_refused(length: int) -> None:
    connection = asked()
    read_answer(connection, ANSWER[:length])
    connection.receive_eof()

    with pytest.raises(RemoteProtocolError, match="before its answer was complete"):
        connection.next_event()


def test_idle_connection_closes_in_peace() -> None:
    connection = asked()
    read_answer(connection, ANSWER + END)
    connection.receive_eof()

    assert connection.next_event() == ConnectionClosed()
    assert connection.state is ClientState.CLOSED


def test_two_requests_at_once_are_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        asked().request(PAIRS)


# -- both sides --


@given(
    pairs=st.lists(st.tuples(st.binary(max_size=150), st.binary(max_size=150)), max_size=8),
    body=st.lists(st.binary(min_size=1, max_size=100), max_size=5),
    answer=st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=100)), max_size=5),
    size=st.integers(1, 200),
)
def test_conversation_comes_through_whatever_the_pieces(
    pairs: list[records.Pair], body: list[bytes], answer: list[tuple[bool, bytes]], size: int
) -> None:
    def pieces(stream: bytes) -> Iterator[bytes]:
        return (stream[at : at + size] for at in range(0, len(stream), size))

    client, server = ClientConnection(), ServerConnection()
    sent = client.request(pairs) + b"".join(client.body(piece) for piece in body) + client.end_body()
    heard = serve(sent, pieces, server)
    reply = b"".join(server.stdout(piece) if out else server.stderr(piece) for out, piece in answer)
    events = read_answer(client, reply + server.end(), pieces)

    assert heard[:2] == [RequestBegun(1, False), ParamsComplete(1, tuple(pairs))]
    assert heard[2:] == [*(BodyData(1, piece) for piece in body), BodyEnd(1)]
    said = [StdoutData(1, piece) if out else StderrData(1, piece) for out, piece in answer]
    assert events == [*said, RequestEnded(1, 0, ProtocolStatus.REQUEST_COMPLETE)]


RECORDS = st.builds(
    records.encode_record,
    st.integers(0, 13),
    st.integers(0, 2),
    st.one_of(st.just(b""), st.binary(max_size=12), st.just(b"\0\1\1\0\0\0\0\0")),
)


@settings(max_examples=300)
@given(st.lists(RECORDS, max_size=12))
def test_random_records_mean_the_same_however_they_arrive(stream: list[bytes]) -> None:
    def outcome(cut: Cut) -> tuple[list[ServerEvent], str]:
        connection = ServerConnection()
        found: list[ServerEvent] = []
        try:
            for piece in cut(b"".join(stream)):
                connection.receive_data(piece)
                found.extend(connection.events())
        except RemoteProtocolError as error:
            return [], str(error)
        return found, connection.state.name

    assert outcome(byte_by_byte) == outcome(whole)
