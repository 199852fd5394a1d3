"""Status and ping pages, where requests come in and apart: they answer always, and tell the truth."""

import json
import os
import random
import re
import socket
import stat
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kraal.memory.scoreboard import Scoreboard
from kraal.unix import memory
from tests.integration.conftest import StartKind, StartServer
from tests.support import reloads
from tests.support.fastcgi import (
    KEEP,
    Address,
    Connection,
    Response,
    Type,
    begin,
    packet,
    pairs,
    record,
    stream,
)
from tests.support.processes import children, command_line
from tests.support.servers import FpmServer, Kind
from tests.support.wait import wait_until
from tests.support.workers import Held

PAGES = {"pm.status_path": "/status", "ping.path": "/ping"}


def beside(directory: Path) -> dict[str, str]:
    """Settings of a pool whose pages are asked for elsewhere."""
    return PAGES | {"pm.status_listen": f"{directory}/status.sock"}


def pages_of(server: FpmServer) -> str:
    """Where the pages are, by the configuration."""
    found = re.search("^pm.status_listen = (.+)$", (server.directory / "fpm.conf").read_text(), re.MULTILINE)
    assert found
    return found[1]


def ask(server: FpmServer, uri: str, address: Address | None = None) -> Response:
    """Ask for a page where only pages are."""
    with Connection(address or pages_of(server), timeout=10) as connection:
        connection.send(packet(server.params(uri)))
        return connection.response()


def status(server: FpmServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(server, "/status?json&full").body)
    return found


@pytest.fixture
def apart(start_server: StartServer, directory: Path) -> FpmServer:
    """Each server with such a pool."""
    return start_server(pool=beside(directory))


def test_pages_are_answered_apart_and_count_for_nothing(apart: FpmServer) -> None:
    before = status(apart)
    for uri in ("/ping", "/status", "/status?xml"):
        assert ask(apart, uri).status == 200
    assert ask(apart, "/ping").text == "pong"
    found = status(apart)
    assert (found["pool"], found["active processes"], found["idle processes"]) == ("www", 0, 1)
    assert found["accepted conn"] == before["accepted conn"]
    assert found["max active processes"] == before["max active processes"]
    # The path is not the pool's: there it is a page, too.
    assert apart.fetch("/ping").text == "pong"
    assert status(apart)["accepted conn"] == before["accepted conn"] + 1


def test_pages_are_those_of_the_path_to_the_letter(apart: FpmServer) -> None:
    assert ask(apart, "/ping").head.split(b"\r\n") == apart.fetch("/ping").head.split(b"\r\n")
    for query in ("", "?html", "?xml", "?json", "?openmetrics", "?full"):
        assert ask(apart, f"/status{query}").headers == apart.fetch(f"/status{query}").headers


def test_without_a_path_the_page_is_at_the_root(start_server: StartServer, directory: Path) -> None:
    server = start_server(pool={"pm.status_listen": f"{directory}/status.sock"})
    assert ask(server, "/?json").body.startswith(b'{"pool":"www"')


def test_socket_has_the_owner_and_mode_of_the_pools(apart: FpmServer) -> None:
    def seen(path: str) -> tuple[int, int, int]:
        found = os.stat(path)
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    assert isinstance(apart.address, str)
    assert seen(pages_of(apart)) == seen(apart.address)


def test_pages_are_answered_while_every_worker_is_busy(apart: FpmServer) -> None:
    held = Held(apart, "held")
    found = status(apart)
    assert (found["active processes"], found["idle processes"], found["total processes"]) == (1, 0, 1)
    assert found["processes"][0]["state"] == "Running"
    assert found["processes"][0]["request uri"].startswith("/held.php")
    assert ask(apart, "/ping").text == "pong"
    assert held.release().status == 200


def test_other_paths_are_not_found(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    uri = server.script("hello.php", "echo 'hello';")
    assert (ask(server, uri).status, ask(server, uri).text) == (404, "File not found.\n")
    assert server.fetch(uri).text == "hello"


def test_pages_of_a_pool_that_sleeps_start_no_worker(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory) | {"pm": "ondemand", "pm.process_idle_timeout": "1s"})
    assert server.fetch("/ping").text == "pong"
    wait_until(lambda: not children(server.pid), what="the pool sleeps")
    found = status(server)
    assert (found["process manager"], found["total processes"], found["accepted conn"]) == ("ondemand", 0, 1)


def test_no_process_more_than_without(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    ask(server, "/status")
    (manager,) = children(server.pid)
    titles = {command_line(pid) for pid in children(manager)}
    assert titles == {"kraal: pool www (nursery)", "kraal: pool www"}


def test_kept_connection_is_answered_again_and_again(apart: FpmServer) -> None:
    with Connection(pages_of(apart)) as connection:
        for _ in range(3):
            connection.send(packet(apart.params("/ping"), keep=True))
            assert connection.response().text == "pong"


def test_body_is_read_over(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    for keep in (False, True):
        with Connection(pages_of(server)) as connection:
            body = b"x" * 300_000
            connection.send_if_possible(
                packet(server.params("/ping", method="POST", body=body), body, keep=keep)
            )
            assert connection.response().text == "pong"
            if keep:
                connection.send(packet(server.params("/ping")))
                assert connection.response().text == "pong"


def test_pages_apart_go_on_through_a_reload(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    before = status(server)["processes"][0]["pid"]
    reloads.reload(server)
    assert status(server)["processes"][0]["pid"] != before
    # Moved, then gone: nothing of it is left.
    reloads.configure(server, pool=PAGES | {"pm.status_listen": f"{directory}/other.sock"})
    reloads.reload(server)
    assert ask(server, "/ping", f"{directory}/other.sock").text == "pong"
    wait_until(lambda: not (directory / "status.sock").exists(), what="the old socket is gone")
    reloads.configure(server, pool=PAGES)
    assert reloads.command(server, "--changed") == (0, "")
    wait_until(lambda: not (directory / "other.sock").exists(), what="the other socket is gone")
    assert server.fetch("/ping").text == "pong"


def test_clients_that_are_not_allowed_are_not_answered(start_server: StartServer, directory: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pool = PAGES | {"pm.status_listen": f"127.0.0.1:{port}", "listen.allowed_clients": "127.0.0.9"}
    server = start_server(pool=pool)
    with Connection(("127.0.0.1", port)) as connection:
        connection.send_if_possible(packet(server.params("/ping")))
        assert connection.rest() == []


# ------------------------------------------------------------ hostile clients


HOSTILE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 4096,
    begin() + b"\x01\x04\x00\x01\xff\xff\x00\x00" + b"\xff" * 65535,
    begin() + begin(),
    begin() + record(Type.STDIN, b"x"),
    begin() + stream(Type.PARAMS, [b"x" * 60_000] * 20),
    begin(flags=KEEP) + record(Type.ABORT_REQUEST),
    record(Type.GET_VALUES, pairs({"FCGI_MAX_CONNS": ""}), request=0) * 2000,
    b"",
]


def test_hostile_bytes_do_no_harm(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    chance = random.Random(19191)
    good = packet(server.params("/status?json&full"))
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(Connection(pages_of(server)))
            broken = bytearray(good[: chance.randrange(len(good))])
            for _ in range(chance.randrange(4)):
                if broken:
                    broken[chance.randrange(len(broken))] = chance.randrange(256)
            connection.send_if_possible(HOSTILE[number % len(HOSTILE)] if number % 2 else bytes(broken))
        # All of them are still there, and more than are let in.
        assert ask(server, "/ping").text == "pong"
    assert ask(server, "/ping").text == "pong"
    assert len(server.workers()) == 1
    assert "manager" not in server.log()


NASTY = ["<script>alert(1)</script>", "\"'&]]>", "a\r\nforged: 1", "\x1b[2J\x00\x07", "\xe9", "x" * 5000]


@pytest.mark.parametrize("form", ["", "html", "xml", "json"])
def test_pages_quote_what_requests_say(start_kind: StartKind, directory: Path, form: str) -> None:
    server = start_kind("kraal", pool=beside(directory) | {"pm.max_children": "1"})
    for text in NASTY:
        extra = {"REQUEST_METHOD": text, "HTTP_AUTHORIZATION": "Basic " + text, "REMOTE_USER": text}
        extra |= {"SCRIPT_NAME": "/" + text, "QUERY_STRING": text}
        server.fetch("/none.php", extra=extra)
        page = ask(server, f"/status?{form}&full").body.decode("utf-8")
        assert "<script>alert" not in page or form in ("", "json")
        assert "\x1b" not in page
        assert "\nforged" not in page or form == "html"
        if form == "json":
            assert json.loads(page)["processes"][0]["pid"] in server.workers()
        if form == "xml":
            assert ElementTree.fromstring(page).find("processes/process/pid") is not None


# ------------------------------------------------------------ the queue


def test_time_in_the_queue_is_shown_where_the_web_server_tells(
    start_kind: StartKind, directory: Path
) -> None:
    server = start_kind("kraal", pool=beside(directory))
    uri = server.script("see.php", "echo json_encode(fpm_get_status()['procs'][0]);")
    field = "request queue time"
    assert field not in json.loads(server.fetch("/status?json&full").body)["processes"][0]
    server.fetch(uri)
    assert field not in status(server)["processes"][0]
    seen = json.loads(server.fetch(uri, extra={"REQUEST_START": f"{time.time() - 3:.3f}"}).body)
    found = status(server)["processes"][0][field]
    assert 2_000_000 <= found < 60_000_000
    assert seen["request-queue-time"] == found
    server.fetch(uri)
    assert field not in status(server)["processes"][0]


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
def over_tcp(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_queue_is_as_deep_as_connections_wait(
    start_kind: StartKind, server_kind: Kind, directory: Path, over_tcp: bool
) -> None:
    server = start_kind(server_kind, tcp=over_tcp, pool=beside(directory) | {"listen.backlog": "50"})
    wait_until(lambda: status(server)["listen queue"] == 0, what="nobody waits")
    held = Held(server, "held")
    with ExitStack() as stack:
        for _ in range(7):
            stack.enter_context(Connection(server.address))

        def deep() -> bool:
            # php-fpm looks once a second.
            found = status(server)
            return (found["listen queue"], found["max listen queue"], found["listen queue len"]) == (7, 7, 50)

        try:
            wait_until(deep, what="seven wait")
        finally:
            assert held.release().status == 200
    wait_until(lambda: status(server)["listen queue"] == 0, what="nobody waits")
    assert status(server)["max listen queue"] == 7


def test_deepest_queue_is_noticed_without_anybody_looking(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory))
    held = Held(server, "held")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Connection(server.address))
        # Once a second; the page itself would look, so the memory of the pool is asked.
        wait_until(lambda: noted(server) == 3, what="the manager has looked")
    assert held.release().status == 200
    assert status(server)["max listen queue"] == 3


def noted(server: FpmServer) -> int:
    """The deepest queue that stands in the scoreboard."""
    (manager,) = children(server.pid)
    fd = os.open(f"/proc/{manager}/fd/5", os.O_RDWR)
    try:
        return Scoreboard(memory.map_shared(fd)).read().max_queue
    finally:
        os.close(fd)


def test_scripts_see_what_the_page_shows(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory) | {"pm.max_children": "1", "listen.backlog": "33"})
    uri = server.script(
        "see.php",
        """
        while (fpm_get_status()['listen-queue'] < 2) { usleep(1000); }
        echo json_encode(fpm_get_status());
        """,
    )
    with Connection(server.address) as asking, ExitStack() as stack:
        asking.send(packet(server.params(uri)))
        for _ in range(2):
            stack.enter_context(Connection(server.address))
        seen = json.loads(asking.response().body)
    assert (seen["listen-queue"], seen["max-listen-queue"], seen["listen-queue-len"]) == (2, 2, 33)
    page = status(server)
    shared = ("pool", "accepted-conn", "max-listen-queue", "max-active-processes", "slow-requests")
    assert {key: page[key.replace("-", " ")] for key in shared} == {key: seen[key] for key in shared}
