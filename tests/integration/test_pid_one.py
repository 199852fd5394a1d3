"""The first process of a container: children of strangers, signals, logs and reloads."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.servers import READY, FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workspace import workspace

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")
LOGS = {"error_log": "/dev/stderr"}
POOL = {"access.log": "/proc/self/fd/2", "pm.max_children": "2"}

Start = Callable[..., "Contained"]


class Contained(FpmServer):
    """A server below an `unshare` that gave it its own process ids."""

    @property
    def pid(self) -> int:
        """As seen from outside."""
        (pid,) = processes.children(self.process.pid)
        return pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, at_most: float = 15.0) -> None:
        if self.process.returncode is not None:
            return
        below = processes.descendants(self.process.pid)
        self.send(number)
        try:
            code = self.process.wait(at_most)
        finally:
            processes.kill(filter(processes.alive, below))
            self.process.wait()
        self.check_gone(below)
        assert code == 0, self.log()


def permitted() -> bool:
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    if not permitted():
        pytest.skip("a process may not have a namespace of process ids here: unshare is not permitted")
    monkeypatch.setenv("KRAAL_EXECUTABLE", " ".join([*UNSHARE, *executable("kraal")]))
    with ExitStack() as stack:

        def start(**settings: Any) -> Contained:
            directory = stack.enter_context(workspace())
            settings = {"pool": POOL, "options": LOGS} | settings
            server = Contained.start("kraal", directory, log_file=directory / "log", **settings)
            stack.callback(server.stop)
            assert server.pid_file.read_text() == "1"
            return server

        yield start


def stranger(server: Contained) -> int:
    """A process that a script has left behind."""
    before = processes.children(server.pid)
    server.fetch(server.script("leave.php", "exec('sleep 300 > /dev/null 2>&1 &');"))

    def found() -> set[int]:
        new = processes.children(server.pid) - before
        return {pid for pid in new if processes.command_line(pid) == "sleep 300"}

    (pid,) = wait_until(found, what="it has become a child of the first process")
    return pid


def is_reaped(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="it was reaped")


def test_processes_that_scripts_leave_behind_are_reaped(start: Start) -> None:
    server = start()
    is_reaped(stranger(server))
    assert server.fetch(server.script("on.php", "echo 'on';")).text == "on"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_signals_stop_it_and_whatever_scripts_have_left_behind(start: Start, number: signal.Signals) -> None:
    server = start()
    stranger(server)
    server.stop(number)
    assert server.log().endswith("NOTICE: exiting, bye-bye!\n")


def test_logs_go_to_standard_error_also_when_they_are_reopened(start: Start) -> None:
    server = start()
    server.send(signal.SIGUSR1)
    server.wait_log("access log file re-opened")
    server.fetch(server.script("on.php", "error_log('said'); echo 'on';"))
    server.wait_log(r'"GET /on\.php" 200$')
    assert len(server.log_lines(r"NOTICE: fpm is running, pid 1$")) == 1


def test_reload_keeps_the_process_and_reaps_who_was_there_before(start: Start) -> None:
    server = start()
    before, left = server.pid, stranger(server)
    server.send(signal.SIGUSR2)
    server.wait_log(READY, times=2)
    assert server.pid == before
    assert server.fetch(server.script("on.php", "echo 'on';")).text == "on"
    server.wait_log(r'"GET /on\.php" 200$')
    is_reaped(left)


def test_reload_that_fails_leaves_nobody_behind(start: Start) -> None:
    server = start()
    file = server.directory / "fpm.conf"
    # Manager, nursery, two workers and, a moment later, who writes the access log.
    wait_until(lambda: len(processes.descendants(server.pid)) == 5, what="all are there")
    before = processes.descendants(server.pid)
    file.write_text(file.read_text() + f"[second]\nlisten = {server.directory}/none/second.sock\n")
    server.send(signal.SIGUSR2)
    server.wait_log("reload failed")
    wait_until(
        lambda: processes.descendants(server.pid) == before and not processes.zombies(server.pid),
        what="everything is as before",
    )


def test_first_process_stays_in_the_foreground(start: Start) -> None:
    """Its container would end with it."""
    server = start(arguments=["-D"])
    assert server.fetch(server.script("on.php", "echo 'on';")).text == "on"


def test_health_of_a_container_is_asked_from_inside(start: Start) -> None:
    server = start(pool=POOL | {"ping.path": "/ping"}, more={"rare": {"pm": "ondemand"}})
    inside = ("nsenter", "--target", str(server.pid), "--pid", "--mount")
    kraal = executable("kraal")[len(UNSHARE) :]
    argv = [*inside, *kraal, "ping", "-y", f"{server.directory}/fpm.conf", "--pid", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["www", "answers"],
        ["rare", "asleep"],
    ]
