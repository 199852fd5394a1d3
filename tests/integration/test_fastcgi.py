"""FastCGI, friendly and hostile: whatever arrives, the worker lives on."""

import hashlib
import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import fastcgi
from tests.support.fastcgi import KEEP, Connection, Type, begin, chunks, packet, pair, pairs, record, stream
from tests.support.processes import descriptors
from tests.support.servers import FpmServer, Kind
from tests.support.wait import wait_until

SHARED = {"pool": {"pm.max_children": "1"}}

WriteScript = Callable[[str], str]

UNKNOWN_ROLE = 3
CANT_MULTIPLEX = 1


@pytest.fixture(scope="module")
def pid_uri(shared_server: FpmServer) -> str:
    return shared_server.script("pid.php", "echo getmypid();")


@pytest.fixture
def worker(shared_server: FpmServer, pid_uri: str) -> Iterator[int]:
    """The one worker's pid; the test fails if another one answers after it."""
    before = int(shared_server.fetch(pid_uri).text)
    yield before
    assert int(shared_server.fetch(pid_uri).text) == before


@pytest.fixture(scope="module")
def echo_uri(shared_server: FpmServer) -> str:
    """Answers with what it was given: X_ params, and the length and hash of the body."""
    return shared_server.script(
        "echo.php",
        """
        $given = array_filter($_SERVER, fn($name) => str_starts_with($name, 'X_'), ARRAY_FILTER_USE_KEY);
        $body = file_get_contents('php://input');
        ksort($given);
        echo json_encode([
            'values' => $given,
            'hashes' => array_map('md5', $given),
            'size' => strlen($body),
            'md5' => md5($body),
        ]);
        """,
    )


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def one_protocol_error(server: FpmServer) -> Iterator[None]:
    """kraal logs exactly one line for what happens inside; php-fpm says nothing."""
    pattern = "protocol error"
    before = len(server.log_lines(pattern))
    yield
    if server.kind == "kraal":
        server.wait_log(pattern, times=before + 1)
    assert len(server.log_lines(pattern)) == before + (server.kind == "kraal")


def body_of(connection: Connection, request: int = 1) -> dict[str, object]:
    response = connection.response(request)
    assert response.status == 200
    found: dict[str, object] = json.loads(response.body)
    return found


# ---------------------------------------------------------------- params


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 16_383, 16_384, 60_000])
def test_values_of_any_length_that_fit_in_a_record_arrive(
    shared_server: FpmServer, echo_uri: str, worker: int, size: int
) -> None:
    value = "v" * size
    response = shared_server.fetch(echo_uri, extra={"X_VALUE": value})
    assert json.loads(response.body)["values"] == {"X_VALUE": value}


@pytest.mark.parametrize("size", [65_535, 65_536, 200_000])
def test_values_longer_than_a_record_arrive(
    shared_server: FpmServer, echo_uri: str, worker: int, size: int
) -> None:
    value = "".join(chr(97 + number % 23) for number in range(size))
    response = shared_server.fetch(echo_uri, extra={"X_VALUE": value})
    assert json.loads(response.body)["values"] == {"X_VALUE": value}


@pytest.mark.parametrize("size", [126, 127, 128, 129, 5000])
def test_names_of_any_length_arrive(shared_server: FpmServer, echo_uri: str, worker: int, size: int) -> None:
    name = "X_" + "N" * (size - 2)
    response = shared_server.fetch(echo_uri, extra={name: "here"})
    assert json.loads(response.body)["values"] == {name: "here"}


def test_five_hundred_params_arrive(shared_server: FpmServer, echo_uri: str, worker: int) -> None:
    many = {f"X_{number:03}": str(number) for number in range(500)}
    assert json.loads(shared_server.fetch(echo_uri, extra=many).body)["values"] == many


def test_params_may_be_split_between_pairs(shared_server: FpmServer, echo_uri: str, worker: int) -> None:
    params = shared_server.params(echo_uri, extra={"X_A": "1", "X_B": "2" * 200})
    pieces = [pairs({name: value}) for name, value in params.items()]
    with Connection(shared_server.address) as connection:
        connection.send(begin() + stream(Type.PARAMS, pieces) + stream(Type.STDIN, []))
        assert body_of(connection)["values"] == {"X_A": "1", "X_B": "2" * 200}


def test_params_may_be_split_between_records_at_every_byte(
    shared_server: FpmServer, echo_uri: str, worker: int
) -> None:
    """In a name, in a value, between both, and within a length of four bytes."""
    params = {
        "X_LONG": "y" * 130,
        "X_EMPTY": "",
        "REQUEST_METHOD": "GET",
        "SCRIPT_FILENAME": f"{shared_server.root}{echo_uri}",
        "X_LAST": "z",
    }
    content = pairs(params)
    with Connection(shared_server.address) as connection:
        for place in range(1, len(content)):
            pieces = [content[:place], content[place:]]
            connection.send(begin(flags=KEEP) + stream(Type.PARAMS, pieces) + stream(Type.STDIN, []))
            expected = {name: value for name, value in params.items() if name.startswith("X_")}
            assert body_of(connection)["values"] == expected, f"split at {place}"


def test_params_may_come_in_records_of_one_byte(shared_server: FpmServer, echo_uri: str, worker: int) -> None:
    content = pairs(shared_server.params(echo_uri, extra={"X_LONG": "y" * 300}))
    with Connection(shared_server.address) as connection:
        connection.send(begin() + stream(Type.PARAMS, chunks(content, 1)) + stream(Type.STDIN, []))
        assert body_of(connection)["values"] == {"X_LONG": "y" * 300}


def test_a_request_may_arrive_byte_by_byte(shared_server: FpmServer, echo_uri: str, worker: int) -> None:
    params = shared_server.params(echo_uri, body=b"body", extra={"X_A": "1"})
    with Connection(shared_server.address) as connection:
        for byte in chunks(packet(params, b"body"), 1):
            connection.send(byte)
        assert body_of(connection)["size"] == 4


# ---------------------------------------------------------------- body and padding


def test_the_body_may_come_in_records_of_one_byte(
    shared_server: FpmServer, echo_uri: str, worker: int
) -> None:
    body = os.urandom(3000)
    params = shared_server.params(echo_uri, body=body)
    with Connection(shared_server.address) as connection:
        connection.send(begin() + stream(Type.PARAMS, [pairs(params)]) + stream(Type.STDIN, chunks(body, 1)))
        found = body_of(connection)
    assert (found["size"], found["md5"]) == (3000, md5(body))


@pytest.mark.parametrize("padding", [1, 7, 8, 255])
def test_padding_is_skipped_in_records_with_content(
    shared_server: FpmServer, echo_uri: str, worker: int, padding: int
) -> None:
    body = os.urandom(5000)
    params = shared_server.params(echo_uri, body=body, extra={"X_A": "1"})
    with Connection(shared_server.address) as connection:
        connection.send(begin(padding=padding))
        connection.send(record(Type.PARAMS, pairs(params), padding=padding) + record(Type.PARAMS))
        connection.send(b"".join(record(Type.STDIN, piece, padding=padding) for piece in chunks(body, 999)))
        connection.send(record(Type.STDIN))
        found = body_of(connection)
    assert (found["values"], found["md5"]) == ({"X_A": "1"}, md5(body))


def test_padding_is_skipped_in_the_empty_records_that_end_a_stream(
    shared_server: FpmServer, echo_uri: str, worker: int
) -> None:
    body = b"with padding"
    params = shared_server.params(echo_uri, body=body)
    with Connection(shared_server.address) as connection:
        for _ in range(2):
            connection.send(
                begin(flags=KEEP)
                + stream(Type.PARAMS, [pairs(params)], padding=8)
                + stream(Type.STDIN, [body], padding=8)
            )
            assert body_of(connection)["md5"] == md5(body)


def test_a_full_record_may_have_padding(shared_server: FpmServer, echo_uri: str, worker: int) -> None:
    body = os.urandom(3 * 65_535)
    params = shared_server.params(echo_uri, body=body)
    with Connection(shared_server.address) as connection:
        connection.send(begin() + stream(Type.PARAMS, [pairs(params)]))
        connection.send(stream(Type.STDIN, chunks(body), padding=255))
        assert body_of(connection)["md5"] == md5(body)


# ---------------------------------------------------------------- connections


def test_the_server_closes_a_connection_that_is_not_to_be_kept(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(pid_uri)))
        connection.response()
        assert connection.closed()


def test_a_kept_connection_serves_one_request_after_the_other(
    shared_server: FpmServer, echo_uri: str, worker: int
) -> None:
    with Connection(shared_server.address) as connection:
        for number in range(1, 21):
            body = bytes(number)
            params = shared_server.params(echo_uri, body=body, extra={"X_NUMBER": str(number)})
            connection.send(packet(params, body, keep=True, request=number))
            found = body_of(connection, request=number)
            assert (found["values"], found["size"]) == ({"X_NUMBER": str(number)}, number)


def test_a_body_that_the_script_ignores_does_not_spoil_the_next_request(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    body = os.urandom(300_000)
    with Connection(shared_server.address) as connection:
        for _ in range(3):
            connection.send(packet(shared_server.params(pid_uri, method="PUT", body=body), body, keep=True))
            assert int(connection.response().text) == worker


def test_an_idle_kept_connection_does_not_pin_the_worker(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    with Connection(shared_server.address) as kept:
        kept.send(packet(shared_server.params(pid_uri), keep=True))
        kept.response()
        assert int(shared_server.fetch(pid_uri, timeout=2).text) == worker
        kept.send(packet(shared_server.params(pid_uri)))
        assert int(kept.response().text) == worker


def test_half_a_request_does_not_pin_the_worker(shared_server: FpmServer, pid_uri: str, worker: int) -> None:
    whole = packet(shared_server.params(pid_uri))
    with Connection(shared_server.address) as slow:
        slow.send(whole[:100])
        assert int(shared_server.fetch(pid_uri, timeout=2).text) == worker
        slow.send(whole[100:])
        assert int(slow.response().text) == worker


def test_a_half_closed_connection_gets_the_whole_answer(
    shared_server: FpmServer, script: WriteScript, worker: int
) -> None:
    uri = script("for ($i = 0; $i < 160; $i++) { echo str_repeat(chr(97 + $i % 26), 65536); }")
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(uri)))
        connection.finish_sending()
        assert len(connection.response().body) == 160 * 65_536


# ---------------------------------------------------------------- management records and roles


def test_get_values_tells_that_requests_are_not_multiplexed(shared_server: FpmServer, worker: int) -> None:
    asked = pair(b"FCGI_MPXS_CONNS", b"")
    with Connection(shared_server.address) as connection:
        connection.send(record(Type.GET_VALUES, asked, request=0))
        answer = connection.read()
    assert answer == fastcgi.Record(Type.GET_VALUES_RESULT, 0, pair(b"FCGI_MPXS_CONNS", b"0"))


def test_get_values_does_not_end_a_kept_connection(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    asked = record(Type.GET_VALUES, pair(b"FCGI_MPXS_CONNS", b""), request=0)
    with Connection(shared_server.address) as connection:
        for _ in range(2):
            connection.send(packet(shared_server.params(pid_uri), keep=True))
            assert int(connection.response().text) == worker
            connection.send(asked)
            answer = connection.read()
            assert answer is not None
            assert answer.type == Type.GET_VALUES_RESULT


def test_an_unknown_management_type_is_named_in_the_answer(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    with Connection(shared_server.address) as connection:
        connection.send(record(99, b"what?", request=0))
        assert connection.read() == fastcgi.Record(Type.UNKNOWN_TYPE, 0, bytes([99]) + bytes(7))
        connection.send(packet(shared_server.params(pid_uri)))
        assert int(connection.response().text) == worker


def test_an_unknown_role_is_refused(shared_server: FpmServer, pid_uri: str, worker: int) -> None:
    params = pairs(shared_server.params(pid_uri))
    with Connection(shared_server.address) as connection:
        connection.send(begin(role=9) + stream(Type.PARAMS, [params]) + stream(Type.STDIN, []))
        assert connection.response().protocol_status == UNKNOWN_ROLE
        assert connection.closed()


def test_a_second_request_at_the_same_time_is_refused(
    shared_server: FpmServer, pid_uri: str, worker: int
) -> None:
    params = pairs(shared_server.params(pid_uri))
    with Connection(shared_server.address) as connection:
        connection.send(begin(request=1) + begin(request=2))
        answer = connection.read()
        assert answer == fastcgi.Record(Type.END_REQUEST, 2, struct.pack(">IB3x", 0, CANT_MULTIPLEX))
        connection.send(stream(Type.PARAMS, [params]) + stream(Type.STDIN, []))
        assert int(connection.response().text) == worker


# ---------------------------------------------------------------- requests that are given up


def ends(connection: Connection) -> bool:
    """Whether the request or the connection comes to an end."""
    while (each := connection.read()) is not None:
        if each.type == Type.END_REQUEST:
            return True
    return True


@pytest.mark.parametrize("stage", ["before the params", "in the params", "in the body", "after the body"])
def test_an_aborted_request_ends(shared_server: FpmServer, echo_uri: str, worker: int, stage: str) -> None:
    params = pairs(shared_server.params(echo_uri, body=b"1234567890"))
    sent = {
        "before the params": b"",
        "in the params": record(Type.PARAMS, params),
        "in the body": stream(Type.PARAMS, [params]) + record(Type.STDIN, b"12345"),
        "after the body": stream(Type.PARAMS, [params]) + stream(Type.STDIN, [b"1234567890"]),
    }[stage]
    with Connection(shared_server.address, timeout=3) as connection:
        connection.send(begin() + sent)
        connection.send_if_possible(record(Type.ABORT_REQUEST))
        assert ends(connection)


PARTS = {
    "before anything": 0,
    "in the first header": 5,
    "after the begin record": 16,
    "in the header of the params": 20,
    "in the params": 60,
}


@pytest.mark.parametrize("place", PARTS.values(), ids=PARTS.keys())
def test_a_client_may_leave_before_its_request_is_complete(
    shared_server: FpmServer, pid_uri: str, worker: int, place: int
) -> None:
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(pid_uri))[:place])


@pytest.mark.parametrize("left", [8 + 1000 + 8, 8 + 1000 + 4, 8 + 1000, 900, 8, 4])
def test_a_client_may_leave_in_its_body(
    shared_server: FpmServer, echo_uri: str, worker: int, left: int
) -> None:
    whole = packet(shared_server.params(echo_uri, body=bytes(1000)), bytes(1000))
    with Connection(shared_server.address) as connection:
        connection.send(whole[:-left])


@pytest.mark.parametrize("taken", [0, 1, 100_000])
def test_a_client_may_leave_during_the_answer(
    shared_server: FpmServer, script: WriteScript, worker: int, taken: int
) -> None:
    uri = script("for ($i = 0; $i < 400; $i++) { echo str_repeat('x', 65536); }")
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(uri)))
        received = 0
        while received < taken:
            received += len(connection.socket.recv(taken))


# ---------------------------------------------------------------- malformed input


def noise(seed: int) -> bytes:
    """Random bytes that are no FastCGI header from the first byte on."""
    return b"\0" + random.Random(seed).randbytes(4000)


MALFORMED = {
    "random bytes": noise(1),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: kraal.test\r\n\r\n",
    "version 0": fastcgi.header(Type.BEGIN_REQUEST, 1, 8, version=0) + bytes(8),
    "a begin record that is too short": record(Type.BEGIN_REQUEST, b"\0\1"),
    "a name beyond the end": begin() + stream(Type.PARAMS, [b"\x05\x00abc"]),
    "a value beyond the end": begin() + stream(Type.PARAMS, [b"\x01\x05Nabc"]),
    "a length cut short": begin() + stream(Type.PARAMS, [b"\x80\x00"]),
    "a second length missing": begin() + stream(Type.PARAMS, [b"\x05"]),
    "a name of 2 GB": begin() + stream(Type.PARAMS, [b"\xff\xff\xff\xff\x00abc"]),
    "name and value of 2 GB each": begin() + stream(Type.PARAMS, [b"\xff\xff\xff\xff\xff\xff\xff\xffabc"]),
}

MALFORMED_FOR_KRAAL = {
    "version 2": fastcgi.header(Type.BEGIN_REQUEST, 1, 8, version=2) + bytes(8),
    "a request without an id": begin(request=0),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_input_closes_the_connection_with_one_line_in_the_log(
    shared_server: FpmServer, worker: int, content: bytes
) -> None:
    with one_protocol_error(shared_server), Connection(shared_server.address, timeout=5) as connection:
        connection.send(content)
        assert connection.closed()


@pytest.mark.parametrize("content", MALFORMED_FOR_KRAAL.values(), ids=MALFORMED_FOR_KRAAL.keys())
def test_what_only_kraal_takes_for_malformed_closes_the_connection(
    shared_server: FpmServer, worker: int, content: bytes
) -> None:
    with one_protocol_error(shared_server), Connection(shared_server.address, timeout=5) as connection:
        connection.send(content)
        assert connection.closed()


def test_params_without_end_are_refused(shared_server: FpmServer, worker: int) -> None:
    some = record(Type.PARAMS, pair(b"X_FILL", bytes(60_000)))
    with one_protocol_error(shared_server), Connection(shared_server.address) as connection:
        connection.send(begin())
        for _ in range(1000):
            try:
                connection.send(some)
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("60 MB of params were taken")
        assert connection.closed()


CUT_SHORT = {
    "in a header": b"\x01\x01\x00",
    "in the begin record": begin()[:12],
    "in a record of params": begin() + fastcgi.header(Type.PARAMS, 1, 100) + bytes(10),
    "in the padding": begin() + fastcgi.header(Type.PARAMS, 1, 4, 200) + pair(b"A", b"1"),
    "without the end of the params": begin() + record(Type.PARAMS, pair(b"A", b"1")),
}


@pytest.mark.parametrize("content", CUT_SHORT.values(), ids=CUT_SHORT.keys())
def test_input_that_ends_too_early_closes_the_connection(
    shared_server: FpmServer, worker: int, content: bytes
) -> None:
    before = len(shared_server.log_lines("protocol error"))
    with Connection(shared_server.address, timeout=5) as connection:
        connection.send(content)
        connection.finish_sending()
        assert ends(connection)
    assert len(shared_server.log_lines("protocol error")) - before <= 1


def test_fifty_bad_connections_leave_no_descriptor_open(
    shared_server: FpmServer, server_kind: Kind, pid_uri: str, worker: int
) -> None:
    before = descriptors(worker)
    bad = [*MALFORMED.values(), *CUT_SHORT.values(), b"", packet(shared_server.params(pid_uri))[:-9]]
    for number in range(50):
        with Connection(shared_server.address, timeout=5) as connection:
            connection.send(bad[number % len(bad)])
            connection.finish_sending()
            assert ends(connection)
    assert int(shared_server.fetch(pid_uri).text) == worker
    wait_until(lambda: len(descriptors(worker)) <= len(before), what=f"as few descriptors as in {before}")
