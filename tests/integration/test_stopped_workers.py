"""Workers that no signal but SIGKILL reaches: others end them, and nobody else notices."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import READY, FpmServer
from tests.support.wait import wait_until
from tests.support.workers import wait_workers

POOL = {"pm.max_children": "2"}
FREEZE = "file_put_contents($_GET['pid'], getmypid()); posix_kill(getmypid(), 19);"  # SIGSTOP
REQUEST = r"script '.*/freeze\.php' \(request: \"GET /freeze\.php\?pid=.*\"\)"
LEAVES = rf"WARNING: .*\[pool www\] child {{}}, {REQUEST} .*, killing$"


@contextmanager
def frozen(server: FpmServer) -> Iterator[int]:
    """A worker that was stopped in the middle of a request."""
    file = server.directory / "sessions" / "pid"
    uri = f"{server.script('freeze.php', FREEZE)}?pid={file}"
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        wait_until(lambda: file.exists() and file.read_text(), what="the script runs")
        pid = int(file.read_text())
        wait_until(lambda: processes.status(pid)["State"].startswith("T"), what="it is stopped")
        yield pid


def lives(server: FpmServer) -> None:
    uri = "/alive.php"
    if not (server.root / "alive.php").exists():
        server.script("alive.php", "echo 'alive';")
    for _ in range(4):
        assert server.fetch(uri).text == "alive"


def test_request_terminate_timeout_ends_a_stopped_worker(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=POOL | {"request_terminate_timeout": "1s"})
    with frozen(server) as pid:
        lives(server)
        server.wait_log(LEAVES.format(pid))
        server.wait_log(rf"child {pid} exited on signal 9 \(SIGKILL\)")
        wait_workers(server, 2, without={pid})
        lives(server)


def test_stop_ends_a_stopped_worker(start_server: StartServer) -> None:
    server = start_server(pool=POOL, options={"process_control_timeout": "1s"})
    with frozen(server) as pid:
        server.stop(signal.SIGQUIT)
        assert not processes.alive(pid)
    if server.kind == "kraal":
        assert len(server.log_lines(LEAVES.format(pid))) == 1


def test_stop_ends_a_stopped_idle_worker(start_server: StartServer) -> None:
    server = start_server(pool=POOL, options={"process_control_timeout": "1s"})
    pid = min(wait_workers(server, 2))
    os.kill(pid, signal.SIGSTOP)
    server.stop(signal.SIGTERM)
    assert not processes.alive(pid)
    if server.kind == "kraal":
        text = rf"WARNING: .*child {pid}, which is idle, was told to leave and is still there, killing$"
        assert len(server.log_lines(text)) == 1


def test_reload_ends_a_stopped_worker_and_nobody_waits(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=POOL, options={"process_control_timeout": "1s"})
    with frozen(server) as pid:
        server.send(signal.SIGUSR2)
        server.wait_log(READY, times=2)
        lives(server)
        server.wait_log(LEAVES.format(pid))
        wait_until(lambda: not processes.alive(pid), what="it is gone")
        wait_workers(server, 2)
        lives(server)
