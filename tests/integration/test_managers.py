"""Managers: what happens when one dies, or the master above it, and how a pool shares its connections."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import READY, FpmServer, configuration, executable
from tests.support.wait import wait_until
from tests.support.workers import GATE, Held, ask, ask_again, manager, titled, wait_workers
from tests.support.workspace import make_directory

PID = "echo getmypid();"
# Of `sizing`: the pauses before the third, fourth and fifth manager that is to follow failed ones.
PAUSES = (0.1, 0.2, 0.4)

# ---------------------------------------------------------------- when a manager dies


def test_manager_that_is_killed_is_replaced_and_loses_no_request(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    old, workers = manager(server), wait_workers(server, 2)
    held = Held(server)
    os.kill(old, signal.SIGKILL)
    server.wait_log(
        rf"WARNING: \[pool www\] manager {old} exited on signal 9 \(SIGKILL\)"
        r" after \d+\.\d+ seconds from start; starting another$"
    )
    # Also while the old worker still runs, and on the same address.
    fresh = int(server.fetch(server.script("pid.php", PID)).text)
    assert fresh in titled(server, "kraal: pool www")
    assert fresh not in workers
    assert manager(server) != old
    response = held.release()
    assert response.status == 200
    assert int(response.text) in workers
    wait_until(lambda: not any(map(processes.alive, workers)), what="the old workers left")
    wait_workers(server, 2, without=workers)


def test_output_for_a_manager_that_is_gone_hurts_no_request(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"catch_workers_output": "yes"})
    place = make_directory(server.directory / "place")
    write = "@fwrite(fopen('php://stderr', 'w'), 'lost'); error_log('shown'); echo 'answered';"
    uri = server.script("write.php", f"{GATE} {write}")
    with Connection(server.address) as connection:
        connection.send(packet(server.params(f"{uri}?started={place}/started&gate={place}/gate")))
        wait_until((place / "started").exists, what="the script runs")
        dead = manager(server)
        os.kill(dead, signal.SIGKILL)
        server.wait_log(rf"manager {dead} exited")
        (place / "gate").touch()
        response = connection.response()
    assert (response.text, response.stderr) == ("answered", b"PHP message: shown")


def test_pool_does_not_notice_that_the_manager_of_another_dies(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"second": {}})
    uri = server.script("pid.php", PID)
    address = f"{server.directory}/second.sock"
    with Connection(address) as connection:
        before = ask_again(connection, server, uri)
        other, dead = manager(server, "second"), manager(server)
        os.kill(dead, signal.SIGKILL)
        server.wait_log(rf"manager {dead} exited")
        assert ask_again(connection, server, uri) == before
        server.fetch(uri)
        assert ask_again(connection, server, uri) == before
    assert ask(address, server, uri) == before
    assert manager(server, "second") == other
    assert not server.log_lines(r"pool second\] (manager|child) \d+ (exited|started)")


@pytest.mark.slow
def test_manager_that_dies_again_and_again_is_restarted_with_growing_pauses(
    start_kind: StartKind, directory: Path
) -> None:
    """Here because its working folder is gone; it recovers when the folder is back."""
    folder = make_directory(directory / "folder")
    server = start_kind("kraal", pool={"chdir": str(folder)})
    uri = server.script("pid.php", PID)
    shutil.rmtree(folder)
    begin = time.monotonic()
    os.kill(manager(server), signal.SIGKILL)
    # One that had served, and two failed ones, are followed at once.
    earliest = 0.0
    for failures, pause in enumerate((0.0, 0.0, *PAUSES), start=1):
        earliest += pause
        server.wait_log(r"manager \d+ exited with code 70 .*; starting another$", times=failures)
        assert time.monotonic() - begin >= earliest
    assert server.log_lines(r"ERROR: \[pool www\] .*No such file or directory.*folder")
    make_directory(folder)
    assert server.fetch(uri).status == 200


@pytest.mark.slow
def test_manager_that_is_stuck_is_killed_with_its_workers_at_the_stop(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"}, more={"second": {}})
    stuck = manager(server)
    below = processes.descendants(server.pid)
    os.kill(stuck, signal.SIGSTOP)
    server.send(signal.SIGTERM)
    assert server.process.wait(15) == 0
    assert server.log_lines(
        rf"WARNING: \[pool www\] manager {stuck} does not leave: killing its process group"
    )
    server.check_gone(below)


# ---------------------------------------------------------------- when the master dies


def test_running_request_is_finished_when_the_master_is_killed(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"}, more={"second": {}})
    below = processes.descendants(server.pid)
    held = Held(server)
    server.send(signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: sum(map(processes.alive, below)) == 2, what="only one worker and its manager are left")
    response = held.release()
    assert response.status == 200
    assert int(response.text) in below
    processes.check_gone(below, before=server.bystanders)


# ---------------------------------------------------------------- what ps and /proc show


def test_titles_tell_who_is_who(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"}, more={"second": {}})
    expected = [
        f"kraal: master process ({server.directory}/fpm.conf)",
        "kraal: pool second",
        "kraal: pool second (manager)",
        "kraal: pool second (nursery)",
        "kraal: pool www",
        "kraal: pool www",
        "kraal: pool www (manager)",
        "kraal: pool www (nursery)",
    ]

    def titles() -> list[str]:
        everything = processes.descendants(server.pid) | {server.pid}
        return sorted(processes.command_line(pid) for pid in everything)

    wait_until(lambda: titles() == expected, what="the titles are these")


def standard_streams(pid: int) -> set[str]:
    return {target for fd, target in processes.descriptors(pid).items() if fd <= 2}


@pytest.fixture
def daemon(directory: Path) -> Iterator[int]:
    """The pid of a master in the background that was started on a terminal."""
    before = processes.orphans()
    file = directory / "fpm.conf"
    file.write_text(configuration(directory, f"{directory}/fpm.sock", pool={"pm.max_children": "2"}))
    ours, terminal = os.openpty()
    process = processes.spawn([*executable("kraal"), "-D", "-y", file], output=terminal)
    os.close(terminal)
    code = process.wait(20)
    pid = int((directory / "fpm.pid").read_text())
    assert code == 0
    assert READY in (directory / "error.log").read_text()
    yield pid
    everything = processes.descendants(pid) | {pid}
    os.kill(pid, signal.SIGTERM)
    processes.check_gone(everything, before=before - {pid})
    os.close(ours)


def test_nobody_holds_the_terminal_of_a_daemon(daemon: int) -> None:
    everything = processes.descendants(daemon) | {daemon}
    assert len(everything) == 5
    for pid in everything:
        assert standard_streams(pid) == {"/dev/null"}
        assert not [target for target in processes.descriptors(pid).values() if target.startswith("/dev/pts")]


def test_managers_and_workers_in_the_foreground_write_nowhere(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    wait_workers(server, 2)
    for pid in processes.descendants(server.pid):
        assert standard_streams(pid) == {"/dev/null"}


# ---------------------------------------------------------------- kept connections


def kept(stack: ExitStack, server: FpmServer, number: int) -> list[Connection]:
    return [stack.enter_context(Connection(server.address)) for _ in range(number)]


def test_kept_connections_are_spread_over_the_workers(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "4"})
    workers = wait_workers(server, 4)
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        answered = []
        for _ in range(4):
            (connection,) = kept(stack, server, 1)
            answered.append(int(ask_again(connection, server, uri)))
    assert set(answered) == workers


def test_kept_connections_do_not_wait_for_a_slow_request(start_kind: StartKind) -> None:
    """Those that belong to the worker with the slow request go to others."""
    server = start_kind("kraal", pool={"pm.max_children": "4"})
    workers = {str(pid) for pid in wait_workers(server, 4)}
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        connections = kept(stack, server, 16)
        owners = {connection: ask_again(connection, server, uri) for connection in connections}
        # There are more connections than workers: some worker has several.
        busy = next(each for each in connections if list(owners.values()).count(owners[each]) > 1)
        others = [each for each in connections if each is not busy]
        held = Held(server, connection=busy)
        for _ in range(20):
            answered = {ask_again(each, server, uri) for each in others}
            assert answered <= workers - {owners[busy]}
        assert held.release().text == owners[busy]
        for each in connections:
            assert ask_again(each, server, uri) in workers
