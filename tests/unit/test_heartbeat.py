"""What systemd hears of a master that runs."""

import socket
from pathlib import Path

import pytest

from kraal.master.heartbeat import Heartbeat, Pulse, status
from kraal.unix import notify
from kraal.unix.loop import Loop


@pytest.mark.parametrize(
    ("pulse", "before", "expected"),
    [
        (Pulse(), 0, "Processes active: 0, idle: 0, Requests: 0, slow: 0, Traffic: 0.00req/sec"),
        (Pulse(1, 2, 35, 3), 10, "Processes active: 1, idle: 2, Requests: 35, slow: 3, Traffic: 2.50req/sec"),
        # A reload has begun to count anew.
        (Pulse(1, 2, 3, 0), 10, "Processes active: 1, idle: 2, Requests: 3, slow: 0, Traffic: 0.00req/sec"),
    ],
)
def test_status_is_php_fpm_s_line(pulse: Pulse, before: int, expected: str) -> None:
    assert status(pulse, before, 10.0) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
    ids=["none", "anybody's", "ours", "another one's", "nonsense"],
)
def test_watchdog_is_for_the_process_that_systemd_means(environ: dict[str, str], expected: float) -> None:
    assert notify.watchdog(environ, 7) == expected


def test_status_and_pings_come_while_the_loop_runs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000"}
        loop = Loop()
        Heartbeat(loop, environ, lambda: Pulse(1, 2, 3, 4)).begin(0.01, 7)
        loop.call_later(0.05, loop.stop)
        loop.run()
        loop.close_in_child()
        heard: set[str] = set()
        systemd.setblocking(False)
        while len(heard) < 2:
            heard.add(systemd.recv(1000).decode().partition("=")[0])
    assert heard == {"WATCHDOG", "STATUS"}
