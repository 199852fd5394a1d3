"""What the master makes of crashes, and what systemd hears of it."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.reloads import finish, start_command
from tests.support.servers import READY, FpmServer
from tests.support.wait import wait_until
from tests.support.workers import wait_workers

CRASHES = {"emergency_restart_threshold": "2", "emergency_restart_interval": "60s"}
REACHED = r"WARNING: failed processes threshold \(2 in 60 sec\) is reached, initiating reload$"


def crash(server: FpmServer, number: signal.Signals) -> None:
    """End a worker as a defect of PHP does."""
    (victim,) = wait_workers(server, 1)
    os.kill(victim, number)
    server.wait_log(rf"child {victim} exited on signal {int(number)} ")
    wait_workers(server, 1, without={victim})


def test_many_crashes_reload_everything(start_server: StartServer) -> None:
    server = start_server(options=CRASHES)
    uri = server.script("shown.php", "echo 'shown';")
    crash(server, signal.SIGSEGV)
    assert not server.log_lines(REACHED)
    (victim,) = wait_workers(server, 1)
    os.kill(victim, signal.SIGBUS)
    server.wait_log(REACHED)
    server.wait_log(READY, times=2, at_most=60)
    assert server.fetch(uri).text == "shown"
    assert len(server.log_lines(REACHED)) == 1


def test_workers_that_are_ended_by_others_are_no_crashes(start_server: StartServer) -> None:
    server = start_server(options=CRASHES)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        crash(server, number)
    assert not server.log_lines("failed processes threshold")


# ---------------------------------------------------------------- systemd


@pytest.fixture
def systemd(directory: Path) -> Iterator[socket.socket]:
    """Who hears what services say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(directory / "notify"))
        (directory / "notify").chmod(0o666)
        listening.setblocking(False)
        yield listening


def hearing(listening: socket.socket) -> Callable[[str], list[str]]:
    """What was said so far, once something that is awaited was said after the last call."""
    heard: list[str] = []

    def hear(awaited: str) -> list[str]:
        start = len(heard)

        def said() -> bool:
            try:
                while True:
                    heard.append(listening.recv(4096).decode())
            except BlockingIOError:
                return any(awaited in each for each in heard[start:])

        wait_until(said, at_most=30, what=f"systemd hears {awaited!r}")
        return heard[start:]

    return hear


def test_systemd_hears_of_start_work_reload_and_stop(
    start_kind: StartKind, directory: Path, systemd: socket.socket
) -> None:
    hear = hearing(systemd)
    server = start_kind(
        "kraal",
        options={"systemd_interval": "1s"},
        environ={"NOTIFY_SOCKET": str(directory / "notify"), "WATCHDOG_USEC": "800000"},
    )
    hear("READY=1")
    server.fetch(server.script("shown.php", "echo 'shown';"))
    hear("STATUS=Processes active: 0, idle: 1, Requests: 1, slow: 0, Traffic: ")
    hear("WATCHDOG=1")
    asked = start_command(server)
    (reloading,) = [each for each in hear("RELOADING=1") if "RELOADING=1" in each]
    assert "MONOTONIC_USEC=" in reloading
    hear("READY=1")
    assert finish(asked) == (0, "")
    # The next master goes on, and counts anew.
    hear("WATCHDOG=1")
    hear("STATUS=Processes active: 0, idle: 1, Requests: 0, slow: 0, Traffic: 0.00req/sec")
    server.send(signal.SIGTERM)
    hear("STOPPING=1")
    server.stop()
