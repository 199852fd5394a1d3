"""`queue.max_length` and `queue.max_wait`: who waits too long, or with too many, gets a 503, and no other."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.integration.test_glance import rows
from tests.support import processes, reloads
from tests.support.apache import apache
from tests.support.caddy import caddy
from tests.support.fastcgi import Address, Connection, Response, begin, packet
from tests.support.http import Browser
from tests.support.nginx import nginx
from tests.support.residents import application
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, manager, wait_workers

LENGTH = 3
BOUNDED = {"queue.max_length": str(LENGTH), "pm.status_path": "/status", "ping.path": "/ping"}
TURNED_AWAY = r"WARNING: \[pool www\] overloaded, all workers are busy: (\d+) requests? w"
HELLO = "echo 'hello';"


def apart(directory: Path) -> dict[str, str]:
    return {"pm.status_listen": f"{directory}/status.sock"}


def status(directory: Path, server: FpmServer) -> dict[str, Any]:
    with Connection(f"{directory}/status.sock") as connection:
        connection.send(packet(server.params("/status?json")))
        found: dict[str, Any] = json.loads(connection.response().body)
    return found


def told(server: FpmServer) -> int:
    """How many the log says were turned away, in all lines."""
    return sum(int(line.partition("busy: ")[2].split()[0]) for line in server.log_lines(TURNED_AWAY))


class Waiting:
    """Connections that have sent a request each, one after the other."""

    def __init__(self, server: FpmServer, uri: str, number: int, *, keep: bool = False) -> None:
        self._keep = keep
        self.connections = [Connection(server.address, timeout=30) for _ in range(number)]
        for index, connection in enumerate(self.connections):
            connection.send(packet(server.params(f"{uri}?{index}"), keep=keep))

    def responses(self, which: slice = slice(None)) -> list[Response]:
        return [self._response(connection) for connection in self.connections[which]]

    def _response(self, connection: Connection) -> Response:
        response = connection.response()
        if not self._keep:
            connection.close()  # php-fpm's worker waits for that
        return response

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


@contextmanager
def waiting(server: FpmServer, uri: str, number: int, *, keep: bool = False) -> Iterator[Waiting]:
    crowd = Waiting(server, uri, number, keep=keep)
    try:
        yield crowd
    finally:
        crowd.close()


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_only_the_excess_is_turned_away(start_kind: StartKind, directory: Path, tcp: bool) -> None:
    server = start_kind("kraal", tcp=tcp, pool=BOUNDED | apart(directory))
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with waiting(server, uri, LENGTH + 5) as crowd:
        refused = crowd.responses(slice(5))
        assert [response.status for response in refused] == [503] * 5
        assert dict(refused[0].headers)["Retry-After"] == "5"
        assert b"503" in refused[0].body
        found = status(directory, server)
        assert (found["listen queue"], found["turned away"], found["accepted conn"]) == (LENGTH, 5, 1)
        assert held.release().status == 200
        assert [response.text for response in crowd.responses(slice(5, None))] == ["hello"] * LENGTH
    # One line of the log for all of them.
    assert len(server.wait_log(TURNED_AWAY)) == 1
    assert told(server) == 5
    assert "503" in server.log()
    assert "queue.max_length = 3" in server.log()


def test_all_wait_as_long_as_it_takes_unless_there_is_a_limit(start_server: StartServer) -> None:
    server = start_server(pool={"pm.status_path": "/status"})
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with waiting(server, uri, 20) as crowd:
        time.sleep(0.2)  # ten looks, if there were any
        assert held.release().status == 200
        assert [response.text for response in crowd.responses()] == ["hello"] * 20
    assert b"turned" not in server.fetch("/status?json").body


def test_who_has_waited_for_too_long_is_turned_away_and_who_has_not_waits(
    start_kind: StartKind, directory: Path
) -> None:
    server = start_kind(
        "kraal", pool={"queue.max_wait": "2s", "pm.status_path": "/status"} | apart(directory)
    )
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    begun = time.monotonic()
    with waiting(server, uri, 4) as early:
        time.sleep(1.2)
        with waiting(server, uri, 4) as late:
            assert [response.status for response in early.responses()] == [503] * 4
            assert time.monotonic() - begun >= 1.9
            found = status(directory, server)
            assert (found["listen queue"], found["turned away"]) == (4, 4)
            assert held.release().status == 200
            assert [response.text for response in late.responses()] == ["hello"] * 4
    server.wait_log(TURNED_AWAY)
    assert told(server) == 4
    assert "queue.max_wait = 2s" in server.log()


def test_kept_connection_is_closed_after_it_was_turned_away(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=BOUNDED)
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with waiting(server, uri, LENGTH + 2, keep=True) as crowd:
        assert [response.status for response in crowd.responses(slice(2))] == [503] * 2
        assert [connection.rest() for connection in crowd.connections[:2]] == [[], []]
        held.release()
        assert [response.status for response in crowd.responses(slice(2, None))] == [200] * LENGTH


def test_pages_are_answered_through_a_full_queue(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=BOUNDED | {"pm.max_children": "1"})
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with Connection(server.address) as first, Connection(server.address) as second, ExitStack() as stack:
        first.send(packet(server.params("/ping")))
        second.send(packet(server.params("/status?json")))
        crowd = stack.enter_context(waiting(server, uri, LENGTH))
        # Those two have waited longest.
        assert first.response().text == "pong"
        assert json.loads(second.response().body)["turned away"] == 0
        held.release()
        assert [response.status for response in crowd.responses()] == [200] * LENGTH
    assert not server.log_lines(TURNED_AWAY)


def test_dynamic_pool_grows_first(start_kind: StartKind) -> None:
    sizes = {"pm.max_children": "6", "pm.min_spare_servers": "1", "pm.max_spare_servers": "6"}
    server = start_kind("kraal", pool=BOUNDED | sizes | {"pm": "dynamic", "pm.start_servers": "1"})
    gate = server.directory / "gate"
    uri = server.script("gate.php", f"while (!file_exists('{gate}')) {{ usleep(2000); }} {HELLO}")
    with waiting(server, uri, 6 + LENGTH) as crowd:
        wait_workers(server, 6)
        with waiting(server, uri, 4) as more:
            refused = crowd.connections + more.connections
            wait_until(lambda: server.log_lines(TURNED_AWAY), what="some were turned away")
            assert told(server) == 4
            gate.touch()
            statuses = Counter(connection.response().status for connection in refused)
    assert statuses == {200: 6 + LENGTH, 503: 4}


def test_queue_of_a_worker_script_has_the_limit_too() -> None:
    with application(pool=BOUNDED) as app:
        gate, begun = app.server.directory / "gate", app.server.directory / "sessions" / "begun"
        uri = app.script(
            f"touch('{begun}'); while (!file_exists('{gate}')) {{ usleep(2000); }} echo 'hello';"
        )
        with waiting(app.server, uri, 1) as first:
            wait_until(begun.exists, what="the resident is busy")
            with waiting(app.server, uri, LENGTH + 2) as crowd:
                assert [response.status for response in crowd.responses(slice(2))] == [503] * 2
                gate.touch()
                answers = first.responses() + crowd.responses(slice(2, None))
        assert [response.text for response in answers] == ["hello"] * (1 + LENGTH)


def woken(server: FpmServer) -> int:
    """How often the manager has gone to sleep."""
    return int(processes.status(manager(server))["voluntary_ctxt_switches"])


@pytest.mark.parametrize("pool", [{}, BOUNDED], ids=["off", "on"])
def test_manager_sleeps_while_requests_are_served(start_kind: StartKind, pool: dict[str, str]) -> None:
    server = start_kind("kraal", pool=pool)
    uri = server.script("hello.php", HELLO)
    before = woken(server)
    with Connection(server.address) as connection:
        for _ in range(1000):
            connection.send(packet(server.params(uri), keep=True))
            connection.response()
    assert woken(server) - before < 100
    if not pool:
        for _ in range(1000):
            server.fetch(uri)
        assert woken(server) - before < 200


# ------------------------------------------------------------ figures


@pytest.mark.parametrize("kept", [0, 4], ids=["new connections", "kept connections"])
def test_every_request_is_answered_and_counted(start_kind: StartKind, directory: Path, kept: int) -> None:
    """Through nginx, more at a time than there is room for: all figures are those of the clients."""
    log = {"access.log": f"{directory}/access.log", "access.format": "%s %r %q"}
    pool = BOUNDED | apart(directory) | log | {"pm.max_children": "2"}
    server = start_kind("kraal", pool=pool)
    uri = server.script("work.php", "usleep(3000); " + HELLO)
    with nginx(server.directory, server.root, server.address, kept=kept) as port:

        def ask(number: int) -> int:
            page = Browser(port).get(f"{uri}?{number}")
            assert page.text == "hello" if page.status == 200 else page.header("Retry-After") == "5"
            return page.status

        with ThreadPoolExecutor(40) as clients:
            answers = Counter(clients.map(ask, range(1500)))
    assert set(answers) == {200, 503}
    found = status(directory, server)
    assert (found["accepted conn"], found["turned away"]) == (answers[200], answers[503])
    shown = rows(server, "status")[0]
    assert (shown["requests"], shown["turned away"]) == (answers[200], answers[503])
    wait_until(lambda: told(server) == answers[503], what="the log tells of all of them")
    assert len(server.log_lines(TURNED_AWAY)) < 10

    def logged() -> bool:
        lines = [line.split() for line in (directory / "access.log").read_text().splitlines()]
        numbers = {line[2] for line in lines}
        return len(numbers) == 1500 and Counter(int(line[0]) for line in lines) == answers

    wait_until(logged, what="each of them has its line in the access log")


WEB_SERVERS: dict[str, Callable[[Path, Path, Address], AbstractContextManager[int]]] = {
    "nginx": nginx,
    "apache": lambda directory, root, address: apache(directory, root, address, "SetHandler"),
    "caddy": caddy,
}


@pytest.mark.parametrize("web_server", WEB_SERVERS)
def test_web_servers_pass_the_answer_on(start_kind: StartKind, web_server: str) -> None:
    server = start_kind("kraal", pool=BOUNDED)
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with (
        WEB_SERVERS[web_server](server.directory, server.root, server.address) as port,
        ThreadPoolExecutor(LENGTH + 4) as clients,
    ):
        futures = [clients.submit(Browser(port).get, uri) for _ in range(LENGTH + 4)]
        wait_until(lambda: sum(future.done() for future in futures) == 4, what="four are answered")
        held.release()
        pages = [future.result() for future in futures]
    assert Counter(page.status for page in pages) == {200: LENGTH, 503: 4}
    assert {(page.header("Retry-After"), page.text) for page in pages if page.status == 503} == {
        ("5", "503 Service Unavailable: too many requests wait already.\n")
    }


def test_body_of_who_is_turned_away_does_no_harm(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=BOUNDED)
    uri = server.script("length.php", "echo strlen(file_get_contents('php://input'));")
    held = Held(server)
    with nginx(server.directory, server.root, server.address) as port, ThreadPoolExecutor(8) as clients:
        body = b"x" * 3_000_000
        futures = [clients.submit(Browser(port).request, "POST", uri, body=body) for _ in range(8)]
        wait_until(lambda: sum(future.done() for future in futures) == 8 - LENGTH, what="five are answered")
        held.release()
        statuses = Counter(future.result().status for future in futures)
    assert statuses == {200: LENGTH, 503: 8 - LENGTH}


def test_scripts_see_how_many_were_turned_away(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=BOUNDED)
    uri = server.script("see.php", "echo fpm_get_status()['turned-away'];")
    held = Held(server)
    with waiting(server, uri, LENGTH + 1) as crowd:
        assert crowd.responses(slice(1))[0].status == 503
        held.release()
        assert [response.text for response in crowd.responses(slice(1, None))] == ["1"] * LENGTH


# ------------------------------------------------------------ adversity


SLOW = [b"", b"\x01", begin(), begin() + b"\x01\x04\x00\x01"]


def test_who_says_nothing_holds_up_nobody(start_kind: StartKind, directory: Path) -> None:
    """More of them than the manager lets in at a time."""
    server = start_kind("kraal", pool=BOUNDED | apart(directory))
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with ExitStack() as stack:
        for number in range(400):
            silent = stack.enter_context(Connection(server.address))
            silent.send(SLOW[number % len(SLOW)])
        crowd = stack.enter_context(waiting(server, uri, LENGTH + 5))
        assert [response.status for response in crowd.responses(slice(5))] == [503] * 5
        found = status(directory, server)
        assert (found["turned away"], found["listen queue"]) == (5, LENGTH)
        pid = manager(server)
        assert len(processes.descriptors(pid)) < 256 + 60
        assert held.release().status == 200
        assert [response.text for response in crowd.responses(slice(5, None))] == ["hello"] * LENGTH
    assert server.fetch(uri).text == "hello"


def test_who_does_not_speak_fastcgi_is_no_request(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=BOUNDED | apart(directory))
    held = Held(server)
    with ExitStack() as stack:
        strangers = [stack.enter_context(Connection(server.address)) for _ in range(10)]
        for stranger in strangers:
            stranger.send_if_possible(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [stranger.rest() for stranger in strangers[:7]] == [[]] * 7
        assert status(directory, server)["turned away"] == 0
        assert held.release().status == 200


def is_closed(connection: socket.socket) -> bool:
    """Whether the peer closes it without an answer."""
    connection.settimeout(20)
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_clients_that_are_not_allowed_get_no_answer(start_kind: StartKind) -> None:
    server = start_kind("kraal", tcp=True, pool=BOUNDED | {"listen.allowed_clients": "127.0.0.1"})
    assert isinstance(server.address, tuple)
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with ExitStack() as stack:
        strangers = []
        for _ in range(4):
            strangers.append(socket.create_connection(server.address, source_address=("127.0.0.9", 0)))
            stack.enter_context(strangers[-1]).sendall(packet(server.params(uri)))
        crowd = stack.enter_context(waiting(server, uri, LENGTH))
        for strange in strangers:
            assert is_closed(strange)
        assert held.release().status == 200
        assert [response.text for response in crowd.responses()] == ["hello"] * LENGTH


def test_those_who_wait_go_over_to_the_next_generation(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=BOUNDED | apart(directory))
    uri = server.script("hello.php", HELLO)
    held = Held(server)
    with waiting(server, uri, LENGTH) as crowd:
        reloads.reload(server)
        assert [response.text for response in crowd.responses()] == ["hello"] * LENGTH
    assert held.release().status == 200
    again = Held(server, "again")
    with waiting(server, uri, LENGTH + 2) as crowd:
        assert [response.status for response in crowd.responses(slice(2))] == [503] * 2
        assert again.release().status == 200
        assert [response.text for response in crowd.responses(slice(2, None))] == ["hello"] * LENGTH
