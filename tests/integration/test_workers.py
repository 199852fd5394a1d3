"""Workers: how many there are, who they run as, how they are replaced, and how all of it ends."""

import grp
import json
import os
import pwd
import re
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, Response, packet
from tests.support.servers import KINDS, FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, ask, wait_workers
from tests.support.workspace import POOL_USER, ROOT, workspace

SHARED = {
    "pool": {
        "pm.max_children": "3",
        "pm.status_path": "/status",
        "ping.path": "/ping",
        "ping.response": "here I am",
    }
}

needs_root = pytest.mark.skipif(not ROOT, reason="only root may change users")

# ---------------------------------------------------------------- who they are


def test_a_static_pool_has_as_many_workers_as_configured(shared_server: FpmServer) -> None:
    workers = wait_workers(shared_server, 3)
    uri = shared_server.script("who.php", "echo getmypid();")
    with ThreadPoolExecutor(6) as clients:
        answered = {int(each.text) for each in clients.map(lambda _: shared_server.fetch(uri), range(60))}
    assert answered <= workers


@needs_root
def test_workers_run_as_the_user_of_the_pool_with_all_groups(start_server: StartServer) -> None:
    server = start_server(pool={"group": "games"})
    user, group = pwd.getpwnam(POOL_USER), grp.getgrnam("games")
    for worker in wait_workers(server, 1):
        status = processes.status(worker)
        assert set(status["Uid"].split()) == {str(user.pw_uid)}
        assert set(status["Gid"].split()) == {str(group.gr_gid)}
        groups = {int(each) for each in status["Groups"].split()}
        assert groups == set(os.getgrouplist(POOL_USER, group.gr_gid))
        assert int(status["CapEff"], 16) == 0


@needs_root
def test_every_pool_has_its_own_user(start_server: StartServer) -> None:
    server = start_server(more={"second": {"user": "nobody", "group": "nogroup"}})
    uri = server.script("user.php", "echo posix_getpwuid(posix_geteuid())['name'];")
    assert server.fetch(uri).text == POOL_USER
    assert ask(f"{server.directory}/second.sock", server, uri) == "nobody"
    server.stop()
    assert not (server.directory / "second.sock").exists()


def test_every_pool_has_its_own_settings(start_server: StartServer) -> None:
    server = start_server(
        pool={"php_admin_value[precision]": "7"}, more={"second": {"php_admin_value[precision]": "9"}}
    )
    uri = server.script("precision.php", "echo ini_get('precision');")
    assert server.fetch(uri).text == "7"
    assert ask(f"{server.directory}/second.sock", server, uri) == "9"


@needs_root
def test_the_socket_has_the_owner_and_mode_of_the_configuration(start_server: StartServer) -> None:
    server = start_server(pool={"listen.owner": "nobody", "listen.group": "games", "listen.mode": "0640"})
    assert server.socket_file.owner() == "nobody"
    assert server.socket_file.group() == "games"
    assert server.socket_file.stat().st_mode & 0o777 == 0o640


def test_the_master_never_loads_php(shared_server: FpmServer) -> None:
    def loads_php(pid: int) -> bool:
        return "libphp" in Path(f"/proc/{pid}/maps").read_text()

    workers = wait_workers(shared_server, 3)
    assert all(loads_php(worker) for worker in workers)
    assert not loads_php(shared_server.pid)


# ---------------------------------------------------------------- how they are replaced


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_is_replaced_and_logged(shared_server: FpmServer, number: signal.Signals) -> None:
    before = wait_workers(shared_server, 3)
    victim = min(before)
    os.kill(victim, number)
    shared_server.wait_log(
        rf"WARNING: \[pool www\] child {victim} exited on signal {number} \({number.name}( - core dumped)?\)"
        r" after \d+\.\d+ seconds from start"
    )
    wait_until(
        lambda: len(shared_server.workers()) == 3 and victim not in shared_server.workers(),
        what="the worker is replaced",
    )
    (new,) = shared_server.workers() - before
    shared_server.wait_log(rf"NOTICE: \[pool www\] child {new} started")
    everything = processes.descendants(shared_server.pid) | {shared_server.pid}
    assert not any(processes.zombies(pid) for pid in everything)


def test_all_workers_may_die_at_once(shared_server: FpmServer) -> None:
    before = wait_workers(shared_server, 3)
    processes.kill(before)
    wait_workers(shared_server, 3, without=before)
    assert shared_server.fetch("/ping").text == "here I am"


def test_a_request_whose_worker_dies_ends_and_the_others_go_on(shared_server: FpmServer) -> None:
    wait_workers(shared_server, 3)
    uri = shared_server.script("suicide.php", "posix_kill(getmypid(), 9);")
    held = Held(shared_server, "beside")
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(uri)))
        assert connection.closed()
    assert held.release().status == 200
    wait_workers(shared_server, 3)


def test_no_request_is_lost_when_workers_are_replaced_after_max_requests(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "2", "pm.max_requests": "10"})
    uri = server.script("number.php", "echo getmypid(), ' ', $_GET['number'];")

    def number(number: int) -> str:
        return server.fetch(f"{uri}?number={number}").text

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(number, range(500)))
    assert [int(answer.split()[1]) for answer in answers] == list(range(500))
    served = Counter(answer.split()[0] for answer in answers)
    assert max(served.values()) == 10
    assert len(served) >= 50
    server.wait_log(r"NOTICE: \[pool www\] child \d+ exited with code 0 after \d+\.\d+ seconds", times=48)
    wait_workers(server, 2)


def test_no_request_is_lost_on_kept_connections_when_workers_are_replaced(start_server: StartServer) -> None:
    """As nginx does it: a kept connection that was closed while idle is replaced by a new one."""
    server = start_server(pool={"pm.max_children": "2", "pm.max_requests": "7"})
    uri = server.script("number.php", "echo $_GET['number'];")

    def ask_many(first: int) -> list[str]:
        answers: list[str] = []
        while len(answers) < 50:
            with Connection(server.address) as connection:
                while len(answers) < 50:
                    params = server.params(f"{uri}?number={first + len(answers)}")
                    connection.send_if_possible(packet(params, keep=True))
                    head = connection.read()
                    if head is None:
                        break
                    answers.append(head.content.partition(b"\r\n\r\n")[2].decode())
                    list(connection.records())
        return answers

    with ThreadPoolExecutor(2) as clients:
        found = list(clients.map(ask_many, (0, 1000)))
    assert found == [[str(number) for number in range(first, first + 50)] for first in (0, 1000)]


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (signal.SIGTERM, r"Terminating \.\.\."),
        (signal.SIGINT, r"Terminating \.\.\."),
        (signal.SIGQUIT, r"Finishing \.\.\."),
    ],
)
def test_signals_stop_the_server_and_leave_nothing(
    start_server: StartServer, number: signal.Signals, word: str
) -> None:
    server = start_server(pool={"pm.max_children": "4"})
    assert server.pid_file.read_text().strip() == str(server.pid)
    wait_workers(server, 4)
    server.stop(number)
    assert len(server.log_lines(f"NOTICE: {word}$")) == 1
    assert server.log().rstrip().endswith("NOTICE: exiting, bye-bye!")
    assert not list(server.directory.glob("*.sock"))


def test_sigquit_lets_a_running_request_finish(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "2"}, options={"process_control_timeout": "10s"})
    held = Held(server)
    server.send(signal.SIGQUIT)
    server.wait_log(r"Finishing \.\.\.")
    wait_until(lambda: len(server.workers()) == 1, what="the idle worker left")
    assert held.release().status == 200
    server.stop(signal.SIGQUIT)


def test_sigterm_does_not_wait_for_a_running_request(start_server: StartServer) -> None:
    server = start_server(options={"process_control_timeout": "10s"})
    held = Held(server)
    server.stop(signal.SIGTERM, at_most=5)
    held.give_up()


def test_a_request_that_outlasts_the_control_timeout_is_ended(start_server: StartServer) -> None:
    server = start_server(options={"process_control_timeout": "1s"})
    held = Held(server)
    server.stop(signal.SIGQUIT, at_most=8)
    held.give_up()


def test_sigterm_overrides_a_sigquit_that_waits(start_server: StartServer) -> None:
    server = start_server(options={"process_control_timeout": "60s"})
    held = Held(server)
    server.send(signal.SIGQUIT)
    server.wait_log(r"Finishing \.\.\.")
    server.stop(signal.SIGTERM, at_most=5)
    held.give_up()


def test_workers_leave_when_their_master_is_killed(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "3"})
    below = processes.descendants(server.pid)
    server.send(signal.SIGKILL)
    server.process.wait()
    processes.check_gone(below, before=server.bystanders)


# ---------------------------------------------------------------- local pages


def test_ping_answers_with_the_configured_text(shared_server: FpmServer) -> None:
    response = shared_server.fetch("/ping")
    assert (response.status, response.text) == (200, "here I am")
    assert (response.header("Content-Type") or "").startswith("text/plain")
    assert response.header("Expires") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.header("Cache-Control") == "no-cache, no-store, must-revalidate, max-age=0"
    assert shared_server.fetch("/ping", method="HEAD").body == b""


def status(server: FpmServer, query: str = "json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.fetch(f"/status?{query}").body)
    return found


def wait_processes(server: FpmServer, *, idle: int, active: int) -> None:
    """Wait until the status page, whose own worker is active, has these numbers."""

    def reached() -> bool:
        found = status(server)
        assert found["total processes"] == found["idle processes"] + found["active processes"]
        return (found["idle processes"], found["active processes"]) == (idle, active)

    wait_until(reached, what=f"{idle} idle and {active} active processes")


def test_status_counts_workers_and_requests(shared_server: FpmServer) -> None:
    wait_workers(shared_server, 3)
    wait_processes(shared_server, idle=2, active=1)
    held = Held(shared_server, "counted")
    wait_processes(shared_server, idle=1, active=2)
    assert held.release().status == 200
    before = status(shared_server)
    assert (before["pool"], before["process manager"]) == ("www", "static")
    for _ in range(5):
        shared_server.fetch("/ping")
    assert status(shared_server)["accepted conn"] == before["accepted conn"] + 6


def test_full_status_tells_what_every_worker_does(shared_server: FpmServer) -> None:
    workers = wait_workers(shared_server, 3)
    held = Held(shared_server, "shown")
    wait_processes(shared_server, idle=1, active=2)
    rows = {row["pid"]: row for row in status(shared_server, "json&full")["processes"]}
    assert set(rows) == workers
    running = rows[int(held.release().text)]
    assert running["state"] == "Running"
    assert running["request method"] == "GET"
    assert running["request uri"] == held.uri
    assert running["script"] == f"{shared_server.root}/shown.php"
    assert running["user"] == "-"
    assert running["content length"] == 0


FORMATS = ("", "json", "html", "xml", "openmetrics", "full", "json&full", "html&full", "xml&full")


def shape(response: Response) -> tuple[int, list[tuple[str, str]], list[str]]:
    """Everything but what changes from one moment to the next."""
    text = re.sub(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "DATE", response.text)
    if text.startswith("{"):
        text = json.dumps(json.loads(text))  # spaces and escapes that mean the same may differ
    return response.status, response.headers, re.sub(r"\d+(\.\d+)?", "N", text).splitlines()


def test_status_and_ping_pages_are_those_of_php_fpm_but_for_the_numbers(start_kind: StartKind) -> None:
    with workspace() as root:
        servers = {
            kind: start_kind(
                kind,
                tcp=True,
                root=root,
                pool={"pm.max_children": "1", "pm.status_path": "/status", "ping.path": "/ping"},
            )
            for kind in KINDS
        }
        uri = servers["kraal"].script("page.php", "echo 'x';")
        for server in servers.values():
            headers = {"Authorization": "Basic a2VlcGVyOnBhc3M="}
            server.fetch(f"{uri}?a=1&b=<x>", body=b"12345", headers=headers)
        for query in FORMATS:
            found = {kind: shape(server.fetch(f"/status?{query}")) for kind, server in servers.items()}
            assert found["kraal"] == found["php-fpm"], query
            for server in servers.values():
                assert server.fetch(f"/status?{query}", method="HEAD").body == b""
        found = {kind: shape(server.fetch("/ping")) for kind, server in servers.items()}
        assert found["kraal"] == found["php-fpm"]


def test_local_pages_are_only_there_if_configured(start_server: StartServer) -> None:
    server = start_server()
    for uri in ("/status", "/ping"):
        assert server.fetch(uri).status in (403, 404)
