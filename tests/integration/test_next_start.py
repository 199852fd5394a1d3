"""A master that was killed leaves nothing in the way of the next start, although old requests still run."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection
from tests.support.reloads import PATIENCE, Clients, configure
from tests.support.residents import program
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, ask_again, manager, wait_workers
from tests.support.workspace import make_directory

SETTINGS: dict[str, Mapping[str, str]] = {
    "static": {"pm.max_children": "3"},
    "dynamic": {
        "pm": "dynamic",
        "pm.max_children": "4",
        "pm.start_servers": "2",
        "pm.min_spare_servers": "1",
        "pm.max_spare_servers": "3",
    },
    "ondemand": {"pm": "ondemand", "pm.max_children": "3"},
}
WHO = "echo getmypid();"


@dataclass(frozen=True, slots=True)
class Old:
    """What a killed master has left."""

    pids: frozenset[int]
    bystanders: frozenset[int]

    def check_gone(self) -> None:
        processes.check_gone(self.pids, before=set(self.bystanders))


@contextmanager
def without_master(server: FpmServer) -> Iterator[Old]:
    """Kill the master alone; in the end nothing is left of its pools, whether they would have gone or not."""
    below = processes.descendants(server.pid)
    server.send(signal.SIGKILL)
    server.process.wait()
    try:
        yield Old(frozenset(below), frozenset(server.bystanders))
    finally:
        left = {pid for pid in below if processes.alive(pid)} | (processes.orphans() - server.bystanders)
        processes.kill(left)
        wait_until(lambda: not any(map(processes.alive, left)), what="the old ones are gone")
        processes.orphans()


def spawn_again(server: FpmServer) -> FpmServer:
    """Start another server of the same configuration in the place of one that was killed."""
    log = server.directory / "next.log"
    file = str(server.directory / "fpm.conf")
    with log.open("wb") as output:
        process = processes.spawn([*executable(server.kind), "-y", file, "-F", "-O"], output=output)
    return replace(server, process=process, log_file=log)


@contextmanager
def next_start(server: FpmServer) -> Iterator[FpmServer]:
    """The same, until it serves; stopped in the end."""
    following = spawn_again(server)
    try:
        following.wait_ready()
        assert following.pid_file.read_text() == str(following.pid)
        yield following
        # What is old has gone by now, or the test has failed already.
        following.stop()
    finally:
        if following.process.poll() is None:
            processes.kill(processes.descendants(following.pid) | {following.pid})
            following.process.wait()


@contextmanager
def holding(server: FpmServer) -> Iterator[Held]:
    """A request that runs, until the end of the test at most."""
    held = Held(server)
    try:
        yield held
    finally:
        held.give_up()


@pytest.mark.slow
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("pm", SETTINGS)
def test_next_start_serves_at_once_while_an_old_request_still_runs(
    start_server: StartServer, pm: str, tcp: bool
) -> None:
    server = start_server(tcp=tcp, pool=SETTINGS[pm])
    uri = server.script("who.php", WHO)
    with (
        holding(server) as held,
        # Their connections may be lost between the two, and they come back at once.
        Clients(server, uri, keep=False).asking(2),
        without_master(server) as old,
        next_start(server) as following,
    ):
        with Clients(following, uri, keep=False).asking(3) as clients:
            clients.wait(100)
        assert clients.lost == []
        assert int(following.fetch(uri).text) not in old.pids
        response = held.release()
        assert response.status == 200
        assert int(response.text) in old.pids
        old.check_gone()


@pytest.mark.slow
def test_next_start_serves_at_once_while_a_resident_still_runs_an_old_request(
    start_kind: StartKind, directory: Path
) -> None:
    pool = {
        "pm.max_children": "2",
        "worker.script": str(program(directory / "worker.php")),
        "worker.num": "1",
        "worker.match": "/*/held.php",
    }
    server = start_kind("kraal", tcp=True, pool=pool)
    with holding(server) as held, without_master(server) as old, next_start(server) as following:
        assert int(following.fetch(server.script("who.php", WHO)).text) not in old.pids
        assert int(held.release().text) in old.pids
        old.check_gone()


def test_next_start_serves_at_once_where_the_manager_was_killed_as_well(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    with holding(server) as held:
        orphans = wait_workers(server, 2)
        dead = manager(server)
        os.kill(dead, signal.SIGKILL)
        server.wait_log(rf"manager {dead} exited")
        manager(server)
        with without_master(server) as old, next_start(server):
            assert int(held.release().text) in orphans
            old.check_gone()


@pytest.mark.slow
def test_next_start_waits_for_a_pool_that_needs_a_moment_to_let_go(start_kind: StartKind) -> None:
    server = start_kind("kraal", tcp=True)
    slow = manager(server)
    os.kill(slow, signal.SIGSTOP)
    with without_master(server) as old:
        following = spawn_again(server)
        title = f"kraal: master process ({server.directory}/fpm.conf)"
        wait_until(lambda: processes.command_line(following.pid) == title, what="it has begun")
        os.kill(slow, signal.SIGCONT)
        following.wait_ready()
        old.check_gone()
        following.stop()


@pytest.mark.slow
def test_next_start_is_not_held_up_by_a_reload_that_was_going_on(
    start_kind: StartKind, directory: Path
) -> None:
    """Its new pool is preloading, and so hears nothing, when the master is killed."""
    preload, begun = directory / "preload.php", make_directory(directory / "place") / "begun"
    preload.write_text(f"<?php touch('{begun}'); while (true) {{ usleep(1000); }}")
    server = start_kind("kraal")
    configure(server, pool={"php_admin_value[opcache.preload]": str(preload)})
    server.send(signal.SIGUSR2)
    wait_until(begun.exists, at_most=PATIENCE, what="the new pool preloads")
    configure(server)
    with without_master(server) as old, next_start(server):
        old.check_gone()


def test_kept_connections_of_a_killed_master_are_closed_while_an_old_request_still_runs(
    start_kind: StartKind,
) -> None:
    """A web server that goes on with them would wait for that request."""
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("who.php", WHO)
    with Connection(server.address) as kept, holding(server) as held:
        ask_again(kept, server, uri)
        with without_master(server) as old:
            wait_until(lambda: sum(map(processes.alive, old.pids)) == 2, what="its worker has left")
            with pytest.raises((ConnectionError, EOFError, AssertionError)):
                ask_again(kept, server, uri)
            assert held.release().status == 200
            old.check_gone()
        server.socket_file.unlink()
