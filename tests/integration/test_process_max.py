"""process.max: a limit for the workers of all pools together."""

import os
import signal
from contextlib import ExitStack

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, packet
from tests.support.reloads import reload
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, manager, wait_workers

MOST = 2
OPTIONS = {"process.max": str(MOST)}
STATIC = {"pm": "static", "pm.max_children": "2"}
ONDEMAND = {"pm": "ondemand", "pm.max_children": "2", "pm.process_idle_timeout": "1s"}
REACHED = (
    r"WARNING: .*The maximum number of processes has been reached\. Please review your configuration and"
    r" consider raising 'process\.max'$"
)


def other(server: FpmServer) -> Connection:
    """To the second pool."""
    return Connection(str(server.directory / "other.sock"))


def test_static_pools_start_as_far_as_the_limit_goes_and_the_log_says_so_once(
    start_server: StartServer,
) -> None:
    server = start_server(pool=STATIC | {"pm.max_children": "1"}, options=OPTIONS, more={"other": STATIC})
    first = wait_workers(server, MOST)
    server.wait_log(REACHED)
    gone = min(first)
    os.kill(gone, signal.SIGKILL)
    wait_workers(server, MOST, without={gone})
    assert len(server.log_lines(REACHED)) == 1


def test_crowd_in_two_pools_has_no_more_workers_than_the_limit(start_server: StartServer) -> None:
    server = start_server(pool=ONDEMAND, options=OPTIONS, more={"other": ONDEMAND})
    uri = server.script("other.php", "echo 'other';")
    with ExitStack() as stack:
        held = [Held(server, f"held{number}") for number in range(MOST)]
        for each in held:
            stack.callback(each.give_up)
        for _ in range(4):
            stack.enter_context(other(server)).send(packet(server.params(uri)))
        server.wait_log(REACHED)
        assert len(server.workers()) == MOST
    assert len(server.log_lines(REACHED)) == 1


def test_what_one_pool_gives_back_is_for_the_other(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=ONDEMAND, options=OPTIONS, more={"other": ONDEMAND})
    uri = server.script("other.php", "echo 'other';")
    with ExitStack() as stack:
        held = [Held(server, f"held{number}") for number in range(MOST)]
        for each in held:
            stack.callback(each.give_up)
        crowd = [stack.enter_context(other(server)) for _ in range(4)]
        for connection in crowd:
            connection.send(packet(server.params(uri)))
        server.wait_log(REACHED)
        # One becomes idle, and leaves.
        held[0].gate.touch()
        assert [connection.response().text for connection in crowd] == ["other"] * 4
        assert len(server.workers()) <= MOST
    assert len(server.log_lines(REACHED)) == 1


def test_reload_at_the_limit_has_no_more_workers_and_loses_nothing(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=STATIC, options=OPTIONS, more={"other": ONDEMAND})
    wait_workers(server, MOST)
    held = Held(server)
    before = server.workers()
    server.send(signal.SIGUSR2)
    server.wait_log("ready to handle connections", times=2)
    wait_until(lambda: len(server.workers() & before) == 1, what="the idle worker has left")
    uri = server.script("second.php", "echo getmypid();")
    assert int(server.fetch(uri).text) not in before
    assert len(server.workers()) == MOST
    assert held.release().status == 200
    wait_workers(server, MOST, without=before)
    assert not server.log_lines(REACHED)


def test_workers_of_a_killed_manager_count_until_they_have_left(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=STATIC, options=OPTIONS, more={"other": ONDEMAND})
    wait_workers(server, MOST)
    held = Held(server)
    os.kill(manager(server), signal.SIGKILL)
    server.wait_log(r"\[pool www\] manager \d+ exited on signal 9")
    uri = server.script("second.php", "echo 'second';")
    assert server.fetch(uri).text == "second"
    held.release()
    wait_workers(server, MOST)


def test_workers_of_a_killed_manager_count_after_a_reload_as_well(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=STATIC, options=OPTIONS, more={"other": ONDEMAND})
    wait_workers(server, MOST)
    held = Held(server)
    os.kill(manager(server), signal.SIGKILL)
    server.wait_log(r"\[pool www\] manager \d+ exited on signal 9")
    old = int(server.fetch(server.script("who.php", "echo getmypid();")).text)
    reload(server)
    wait_until(lambda: old not in server.workers(), what="the worker before the reload has left")
    # The one that is left of the killed manager is no child of the master, but counts.
    assert server.fetch("/who.php").status == 200
    with other(server) as connection:
        connection.send(packet(server.params("/who.php")))
        server.wait_log(REACHED)
        assert len(server.workers()) == MOST - 1
        held.release()
        wait_workers(server, MOST)


@pytest.mark.parametrize("kind", ["dynamic"])
def test_pool_that_lacks_spare_workers_serves_with_what_it_has(start_server: StartServer, kind: str) -> None:
    spare = {"pm.start_servers": "2", "pm.min_spare_servers": "2", "pm.max_spare_servers": "2"}
    dynamic = {"pm": kind, "pm.max_children": "2"} | spare
    server = start_server(pool=dynamic, options={"process.max": "3"}, more={"other": dynamic})
    wait_workers(server, 3)
    server.wait_log(REACHED)
    uri = server.script("other.php", "echo 'other';")
    with other(server) as connection:
        connection.send(packet(server.params(uri)))
        assert connection.response().text == "other"
    assert server.fetch(uri).text == "other"
    assert len(server.workers()) == 3
