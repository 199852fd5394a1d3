"""A pool with pm = ondemand that nobody uses has no process, and nobody who uses it can tell."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartKind
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.reloads import Installation, command, configure, reload
from tests.support.running import running
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, ask, ask_again, manager, titled, wait_workers
from tests.support.workspace import make_directory

ONDEMAND = {
    "pm": "ondemand",
    "pm.max_children": "3",
    "pm.process_idle_timeout": "1s",
    "pm.status_path": "/status",
}
FOREVER = ONDEMAND | {"pm.process_idle_timeout": "1h"}
PID = "echo getmypid();"
DEBUG = {"log_level": "debug"}


def wait_asleep(server: FpmServer) -> None:
    wait_until(lambda: not processes.descendants(server.pid), what="no process is left but the master")


def status(server: FpmServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.fetch("/status?json").body)
    return found


def test_pool_that_nobody_uses_has_no_process_and_its_counters_go_on(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=ONDEMAND, options=DEBUG)
    wait_asleep(server)
    uri = server.script("pid.php", PID)
    assert server.fetch(uri).status == 200
    before = status(server)
    # Whoever comes while the manager leaves is served by the next one.
    server.wait_log(r"DEBUG: .*\[pool www\] nobody comes: manager \d+ leaves$", times=2)
    after = status(server)
    assert after["accepted conn"] == before["accepted conn"] + 1
    assert after["start time"] == before["start time"]
    assert after["total processes"] == 1
    wait_asleep(server)
    assert not server.log_lines("WARNING")
    server.stop(signal.SIGQUIT)


def test_every_pool_wakes_for_itself(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=ONDEMAND, more=dict.fromkeys(("second", "third"), FOREVER))
    uri = server.script("pid.php", PID)
    assert ask(f"{server.directory}/second.sock", server, uri)
    titles = {processes.command_line(pid) for pid in processes.descendants(server.pid)}
    assert {"kraal: pool second (manager)", "kraal: pool second"} <= titles
    assert not [title for title in titles if "third" in title]


def test_php_is_tried_before_the_first_pool_is_served(directory: Path) -> None:
    pool = ONDEMAND | {"php_admin_value[opcache.preload]": f"{directory}/missing.php"}
    with running("kraal", directory, pool) as server:
        wait_until(lambda: server.process.poll() is not None, at_most=20, what="the server has given up")
        assert server.process.returncode == 70
        assert "[pool www] " in server.log()


def test_pool_that_cannot_start_tries_again_and_serves_who_has_waited(
    start_kind: StartKind, directory: Path
) -> None:
    folder = make_directory(directory / "folder")
    server = start_kind("kraal", more={"second": ONDEMAND | {"chdir": str(folder)}})
    uri = server.script("pid.php", PID)
    shutil.rmtree(folder)
    with Connection(f"{server.directory}/second.sock") as connection:
        connection.send(packet(server.params(uri)))
        server.wait_log(r"ERROR: \[pool second\] .*No such file or directory.*folder", times=3)
        server.wait_log(
            r"WARNING: \[pool second\] manager \d+ exited with code 70 .*; whoever comes next", times=3
        )
        assert server.fetch(uri).status == 200
        make_directory(folder)
        assert connection.response().status == 200


def test_pool_whose_manager_was_killed_sleeps_until_somebody_comes(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=FOREVER)
    held = Held(server)
    dead = manager(server)
    os.kill(dead, signal.SIGKILL)
    server.wait_log(rf"WARNING: \[pool www\] manager {dead} exited on signal 9 .*; whoever comes next starts")
    assert not titled(server, "kraal: pool www (manager)")
    assert held.release().status == 200
    wait_asleep(server)
    assert status(server)["accepted conn"] >= 2


# ---------------------------------------------------------------- reload


def test_kept_connection_wakes_the_pool_after_a_reload(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=FOREVER)
    uri = server.script("pid.php", PID)
    with Connection(server.address) as connection:
        before = ask_again(connection, server, uri)
        reload(server)
        wait_until(lambda: not processes.alive(int(before)), what="the old worker has left")
        after = int(ask_again(connection, server, uri))
    assert processes.alive(after)


def test_counters_of_a_pool_that_sleeps_survive_a_reload_of_what_has_changed(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=ONDEMAND, more={"second": {}})
    assert status(server)["accepted conn"] == 1
    wait_until(lambda: not titled(server, "kraal: pool www (manager)"), what="the pool sleeps")
    configure(server, pool=ONDEMAND, more={"second": {"env[A]": "b"}})
    assert command(server, "--changed") == (0, "")
    assert status(server)["accepted conn"] == 2
    # While it serves, too.
    assert command(server, "--changed") == (0, "")
    wait_until(lambda: not titled(server, "kraal: pool www (manager)"), what="the pool sleeps")
    assert status(server)["accepted conn"] == 3
    reload(server)
    assert status(server)["accepted conn"] == 1


def test_pools_may_begin_and_cease_to_sleep(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=ONDEMAND)
    uri = server.script("pid.php", PID)
    wait_asleep(server)
    configure(server, pool={"pm.max_children": "2"})
    reload(server)
    wait_workers(server, 2)
    configure(server, pool=ONDEMAND)
    reload(server)
    wait_asleep(server)
    assert server.fetch(uri).status == 200


@pytest.mark.parametrize("changed", [(), ("--changed",)], ids=["all", "changed"])
def test_nobody_who_waits_for_a_pool_to_wake_is_lost_in_a_reload(
    start_kind: StartKind, changed: tuple[str, ...]
) -> None:
    names = [f"pool{number}" for number in range(4)]
    server = start_kind("kraal", more=dict.fromkeys(names, FOREVER))
    uri = server.script("pid.php", PID)
    connections = [Connection(f"{server.directory}/{name}.sock") for name in names]
    for connection in connections:
        connection.send(packet(server.params(uri)))
    assert command(server, *changed) == (0, "")
    for connection in connections:
        assert connection.response().status == 200
        connection.close()


# ---------------------------------------------------------------- another version than the master's


def test_pool_wakes_with_other_code_than_its_master_runs_or_says_that_it_does_not(
    start_kind: StartKind, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package was replaced, and nobody has reloaded."""
    installation = Installation(directory / "installation")
    monkeypatch.setenv("KRAAL_EXECUTABLE", installation.command)
    place = "    max_memory: int = 0"
    current = (installation.package / "boot.py").read_text()
    installation.change("boot.py", lambda text: text.replace(place, f"    former: int = 1\n{place}"))
    server = start_kind("kraal", pool=ONDEMAND)
    wait_asleep(server)
    installation.change("boot.py", lambda _: current.replace(place, f"    later: int = 2\n{place}"))
    uri = server.script("pid.php", PID)
    assert server.fetch(uri).status == 200
    wait_asleep(server)

    installation.change("boot.py", lambda _: current.replace("    LEDGER = 8", "    LEDGER = 80"))
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        server.wait_log(r"ERROR: \[pool www\] the master runs another version of kraal than is installed now")
        installation.change("boot.py", lambda _: current)
        assert connection.response().status == 200
