"""`kraal status` and `kraal workers`: what a running master does, seen from outside."""

import json
import subprocess
from typing import Any

from tests.integration.conftest import StartKind
from tests.support import reloads
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held


def command(server: FpmServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [*executable("kraal"), *arguments, "--pid", str(server.pid_file)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def rows(server: FpmServer, which: str) -> list[dict[str, Any]]:
    done = command(server, which, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_pools_and_workers_are_shown_while_all_are_busy(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"shop": {"pm.max_children": "2"}})
    assert [row["queue ms"] for row in rows(server, "workers")] == [None] * 3
    held = Held(server, "held")

    shop, www = rows(server, "status")
    assert (shop["pool"], shop["idle"], shop["active"]) == ("shop", 2, 0)
    assert (www["pool"], www["idle"], www["active"], www["requests"]) == ("www", 0, 1, 1)
    (worker,) = [row for row in rows(server, "workers") if row["pool"] == "www"]
    assert worker["pid"] in server.workers()
    assert (worker["state"], worker["method"]) == ("running", "GET")
    assert worker["url"] == held.uri
    assert held.release().status == 200
    wait_until(lambda: rows(server, "status")[1]["idle"] == 1, what="the worker is idle")


def test_tables_speak_to_people_and_not_to_terminals(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    server.fetch("/none.php", extra={"SCRIPT_NAME": "/\x1b]0;owned\x07", "QUERY_STRING": "a\nb"})

    table = command(server, "workers").stdout
    assert "pid" in table.splitlines()[0]
    assert len(table.splitlines()) == 2
    assert "\x1b" not in table
    assert "owned" in table


def test_pools_are_shown_after_a_reload(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    reloads.reload(server)
    assert [row["pool"] for row in rows(server, "status")] == ["www"]
    assert {row["pid"] for row in rows(server, "workers")} <= server.workers()


def test_pools_that_sleep_are_shown(start_kind: StartKind) -> None:
    sleeper = {"pm": "ondemand", "pm.max_children": "2", "pm.process_idle_timeout": "1s"}
    server = start_kind("kraal", more={"shop": sleeper, "never": sleeper})
    with Connection(f"{server.directory}/shop.sock") as connection:
        connection.send(packet(server.params(server.script("hello.php", "echo 'hello';"))))
        assert connection.response().text == "hello"
    answered = 'kraal_requests_total{pool="shop",status="2xx"} 1'

    for _ in range(2):
        wait_until(
            lambda: not [row for row in rows(server, "workers") if row["pool"] == "shop"], what="it sleeps"
        )
        assert [row["pool"] for row in rows(server, "status")] == ["never", "shop", "www"]
        figures = command(server, "metrics").stdout.splitlines()
        assert answered in figures
        assert 'kraal_workers_limit{pool="never"} 2' in figures
        reloads.reload(server)


def test_pool_may_be_called_as_the_report_of_reloads_is(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"reloads": {}})
    for _ in range(2):
        reloads.reload(server)
        assert [row["pool"] for row in rows(server, "status")] == ["reloads", "www"]


def test_who_is_no_master_is_told(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    (worker,) = server.workers()
    server.pid_file.write_text(f"{worker}\n")
    done = command(server, "status")
    server.pid_file.write_text(f"{server.pid}\n")
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr == f"kraal status: process {worker} is no master of kraal\n"
