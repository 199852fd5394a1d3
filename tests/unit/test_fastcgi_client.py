"""The blocking FastCGI client, against an application made of our own other half."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kraal.errors import RemoteProtocolError
from kraal.fastcgi import client
from kraal.fastcgi.connection import ServerConnection
from kraal.fastcgi.events import (
    BodyData,
    BodyEnd,
    ManagementRequest,
    ParamsComplete,
    RequestEnded,
    StdoutData,
)
from kraal.fastcgi.records import ProtocolStatus
from kraal.fastcgi.states import ServerState

PARAMS: client.Params = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/é", "RAW": b"\xff"}
HEAD = b"Content-type: text/plain\r\n\r\n"

Application = Callable[[socket.socket, ServerConnection], None]


@contextmanager
def application(path: Path, answer: Application) -> Iterator[str]:
    """Serve one connection at `path` with `answer`, called until the connection ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, suppress(ConnectionError):
            answer(peer, ServerConnection())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(path)
    finally:
        thread.join(timeout=10)
        listener.close()


def echo(peer: socket.socket, connection: ServerConnection) -> None:
    """Send the body back while it arrives."""
    while connection.state is not ServerState.CLOSED and (received := peer.recv(65536)):
        connection.receive_data(received)
        for event in connection.events():
            match event:
                case ParamsComplete():
                    peer.sendall(connection.stdout(HEAD) + connection.stderr(b"noted"))
                case BodyData():
                    peer.sendall(connection.stdout(event.content))
                case BodyEnd():
                    peer.sendall(connection.end(3))
                case ManagementRequest():
                    peer.sendall(event.reply)
                case _:
                    pass


def sends_back(raw: bytes) -> Application:
    def answer(peer: socket.socket, connection: ServerConnection) -> None:
        peer.recv(65536)
        peer.sendall(raw)

    return answer


def test_answer_holds_status_headers_body_stderr_and_app_status(tmp_path: Path) -> None:
    with application(tmp_path / "s", echo) as address:
        response = client.request(address, PARAMS, b"hello")

    assert (response.status, response.body, response.stderr, response.app_status) == (
        200,
        b"hello",
        b"noted",
        3,
    )
    assert response.header("content-TYPE") == "text/plain"
    assert response.header("X-None") is None


def test_params_arrive_as_given(tmp_path: Path) -> None:
    seen: list[dict[bytes, bytes]] = []

    def remember(peer: socket.socket, connection: ServerConnection) -> None:
        connection.receive_data(peer.recv(65536))
        seen.extend(event.params for event in connection.events() if isinstance(event, ParamsComplete))
        peer.sendall(connection.stdout(HEAD) + connection.end())

    with application(tmp_path / "s", remember) as address:
        client.request(address, PARAMS)

    assert seen == [{b"REQUEST_METHOD": b"POST", b"SCRIPT_NAME": "/é".encode(), b"RAW": b"\xff"}]


def test_twenty_megabytes_are_echoed_without_a_deadlock(tmp_path: Path) -> None:
    body = bytes(range(256)) * (20 * 4096)

    with application(tmp_path / "s", echo) as address:
        assert client.request(address, PARAMS, body).body == body


def test_body_may_come_in_pieces(tmp_path: Path) -> None:
    with application(tmp_path / "s", echo) as address:
        assert (
            client.request(address, PARAMS, (b"a" * size for size in (1, 0, 100_000))).body == b"a" * 100_001
        )


def test_kept_connection_serves_one_request_after_the_other(tmp_path: Path) -> None:
    with application(tmp_path / "s", echo) as address, client.Client(address) as kept:
        assert kept.get_values("FCGI_MPXS_CONNS", "UNKNOWN") == {"FCGI_MPXS_CONNS": "0"}
        assert [kept.request(PARAMS, body).body for body in (b"one", b"", b"three")] == [
            b"one",
            b"",
            b"three",
        ]


def test_events_arrive_before_the_answer_is_complete(tmp_path: Path) -> None:
    """The application waits for the client to have seen the first piece."""
    seen = threading.Event()

    def slow(peer: socket.socket, connection: ServerConnection) -> None:
        connection.receive_data(peer.recv(65536))
        list(connection.events())
        peer.sendall(connection.stdout(b"first"))
        seen.wait(10)
        peer.sendall(connection.stdout(b"second") + connection.end())

    with application(tmp_path / "s", slow) as address, client.Client(address) as asking:
        events = asking.events(PARAMS)
        assert next(events) == StdoutData(1, b"first")
        seen.set()
        assert list(events) == [StdoutData(1, b"second"), RequestEnded(1, 0, ProtocolStatus.REQUEST_COMPLETE)]


def test_refusal_is_an_error_that_names_it(tmp_path: Path) -> None:
    def refuse(peer: socket.socket, connection: ServerConnection) -> None:
        connection.receive_data(peer.recv(65536))
        list(connection.events())
        peer.sendall(connection.end(protocol_status=ProtocolStatus.OVERLOADED))

    with (
        application(tmp_path / "s", refuse) as address,
        pytest.raises(RemoteProtocolError, match="OVERLOADED"),
    ):
        client.request(address, PARAMS)


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "HTTP"])
def test_application_that_does_not_answer_is_an_error(tmp_path: Path, raw: bytes) -> None:
    with application(tmp_path / "s", sends_back(raw)) as address, pytest.raises(RemoteProtocolError):
        client.request(address, PARAMS)


def test_silent_application_times_out(tmp_path: Path) -> None:
    def wait(peer: socket.socket, connection: ServerConnection) -> None:
        while peer.recv(65536):
            pass

    with application(tmp_path / "s", wait) as address, pytest.raises(TimeoutError, match=r"0\.05 seconds"):
        client.request(address, PARAMS, timeout=0.05)


def test_missing_application_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.request(str(tmp_path / "none"), PARAMS)
