"""What must not bring a server down: full disks, missing resources, stuck workers, scripts that go astray."""

import os
import shlex
import signal
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, Type, begin, packet, pairs, record, stream
from tests.support.servers import READY, FpmServer, configuration, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, ask_again, wait_workers
from tests.support.workspace import ROOT

needs_root = pytest.mark.skipif(not ROOT, reason="only root may change users")


def reset(connection: Connection) -> None:
    """End a connection as a client does that is killed."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def manager_of(server: FpmServer) -> int:
    (manager,) = processes.children(server.pid)
    return manager


# ---------------------------------------------------------------- scripts


def test_scripts_cannot_fork_their_worker_or_take_its_signals(start_server: StartServer) -> None:
    server = start_server()
    uri = server.script(
        "pcntl.php",
        """var_dump(extension_loaded('pcntl'));
        foreach (['fork', 'exec', 'signal', 'wait'] as $name) var_dump(function_exists("pcntl_$name"));""",
    )
    assert set(server.fetch(uri).text.split()) == {"bool(false)"}


def test_body_files_are_closed_after_their_requests(start_server: StartServer) -> None:
    server = start_server()
    body = server.directory / "body"
    body.write_bytes(b"x" * 5000)
    uri = server.script("put.php", "echo count(scandir('/proc/self/fd'));")
    extra = {"REQUEST_BODY_FILE": str(body), "CONTENT_LENGTH": "5000"}
    server.fetch(uri, method="PUT", extra=extra)
    counts = {server.fetch(uri, method="PUT", extra=extra).text for _ in range(5)}
    assert len(counts) == 1


def test_script_goes_on_after_its_answer_although_the_client_breaks_off(start_kind: StartKind) -> None:
    # The script runs before its body is there.
    server = start_kind("kraal", tcp=True, pool={"connection.body_buffer": "0"})
    server.root.chmod(0o777)
    done = server.root / "done"
    uri = server.script(
        "finish.php",
        """echo 'a'; fastcgi_finish_request();
        file_get_contents('php://input'); echo 'b'; flush();
        file_put_contents($_SERVER['DOCUMENT_ROOT'] . '/done', '1');""",
    )
    params = server.params(uri, method="PUT", extra={"CONTENT_LENGTH": "100000"})
    connection = Connection(server.address)
    connection.send(begin() + stream(Type.PARAMS, [pairs(params)]) + record(Type.STDIN, b"x" * 1000))
    connection.response()
    reset(connection)
    wait_until(done.exists, what="the script is done")


def test_preloading_script_may_ask_for_the_state_of_the_pool(start_kind: StartKind, directory: Path) -> None:
    directory.chmod(0o755)
    preload = directory / "preload.php"
    preload.write_text("<?php define('PRELOADED', fpm_get_status() === false && !fastcgi_finish_request());")
    server = start_kind("kraal", pool={"php_admin_value[opcache.preload]": str(preload)})
    assert server.fetch(server.script("alive.php", "echo 'alive';")).text == "alive"


# ---------------------------------------------------------------- workers that are stuck


def test_new_connections_do_not_wait_for_a_worker_that_is_stopped(start_kind: StartKind) -> None:
    """Worker one holds a kept connection and leaves new ones to worker two, which takes none."""
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("who.php", "echo getmypid();")
    workers = wait_workers(server, 2)
    with Connection(server.address) as kept:
        holder = int(ask_again(kept, server, uri))
        (stopped,) = workers - {holder}
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert [server.fetch(uri, timeout=5).text for _ in range(3)] == [str(holder)] * 3
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_poke_is_not_lost_beside_a_status_page(start_kind: StartKind) -> None:
    """The first worker has parked.  While it cannot look, a page is asked of it, and the second is taken."""
    server = start_kind("kraal", pool={"pm.max_children": "2", "pm.status_path": "/status"})
    uri = server.script("who.php", "echo getmypid();")
    page = server.params(uri) | {"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status"}
    wait_workers(server, 2)
    with Connection(server.address) as kept, Connection(server.address) as other:
        first = int(ask_again(kept, server, uri))
        os.kill(first, signal.SIGSTOP)
        try:
            kept.send(packet(page, keep=True))
            assert int(ask_again(other, server, uri)) != first
        finally:
            os.kill(first, signal.SIGCONT)
        assert b"active processes" in kept.response().body
        held = Held(server, connection=other)
        assert server.fetch(uri, timeout=5).text == str(first)
        held.release()


def test_kept_connections_leave_descriptors_for_scripts(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"rlimit_files": "64"})
    uri = server.script("open.php", "echo (int) is_resource(fopen('/etc/passwd', 'r'));")
    with ExitStack() as stack:
        for _ in range(100):
            kept = stack.enter_context(Connection(server.address, timeout=5))
            assert ask_again(kept, server, uri) == "1"
        assert server.fetch(uri, timeout=5).text == "1"


def test_worker_without_descriptors_is_replaced(start_kind: StartKind) -> None:
    """Its scripts have opened connections that stay open from request to request."""
    server = start_kind("kraal", pool={"rlimit_files": "64"})
    with socket.create_server(("127.0.0.1", 0), backlog=100) as target:
        port = target.getsockname()[1]
        leak = f"$all = []; for ($i = 0; $i < 100; $i++) {{ @pfsockopen('127.0.0.1:{port}/' . $i, {port}); }}"
        server.fetch(server.script("leak.php", f"{leak} echo 1;"))
        uri = server.script("alive.php", "echo 'alive';")
        assert server.fetch(uri, timeout=10).text == "alive"


def test_worker_that_writes_without_end_does_not_hold_up_the_stop(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"catch_workers_output": "yes"})
    uri = server.script("flood.php", "$to = fopen('php://stderr', 'w'); while (1) fwrite($to, \"x\\n\");")
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        server.wait_log("said into stderr")
        server.stop()
    assert not server.log_lines("does not leave")


def test_worker_left_behind_by_its_manager_ends_with_the_master(start_kind: StartKind) -> None:
    server = start_kind("kraal", options={"process_control_timeout": "1"})
    held = Held(server)
    (orphan,) = wait_workers(server, 1)
    os.kill(manager_of(server), signal.SIGKILL)
    server.wait_log("starting another")
    wait_workers(server, 1, without={orphan})
    assert processes.alive(orphan), "it may finish what it has"
    server.stop()
    wait_until(lambda: not processes.alive(orphan), what="the orphan is gone")
    held.give_up()


# ---------------------------------------------------------------- what the system refuses


@needs_root
def test_manager_outlives_a_fork_that_fails(start_kind: StartKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user `news` may have five processes: a manager, a nursery, who bears, and two workers."""
    command = shlex.join(["prlimit", "--nproc=5", *executable("kraal")])
    monkeypatch.setenv("KRAAL_EXECUTABLE", command)
    server = start_kind("kraal", pool={"user": "news", "group": "news", "pm.max_children": "5"})
    server.wait_log(r"ERROR: \[pool www\] cannot start a worker: Resource temporarily unavailable \(11\)")
    uri = server.script("alive.php", "echo 'alive';")
    assert server.fetch(uri).text == "alive"
    victim = min(wait_workers(server, 2))
    os.kill(victim, signal.SIGKILL)
    wait_workers(server, 2, without={victim})
    assert server.fetch(uri).text == "alive"


@pytest.fixture
def config(directory: Path) -> Iterator[Path]:
    """A configuration for servers that a test starts itself, and has to stop."""
    file = directory / "fpm.conf"
    for name in ("sessions", "uploads"):
        (directory / name).mkdir()
    text = configuration(directory, f"{directory}/fpm.sock", pool={"ping.path": "/ping"})
    file.write_text(text)
    yield file
    stop(directory)


def stop(directory: Path) -> None:
    """End what the pid file names, if there is one."""
    file = directory / "fpm.pid"
    if file.exists():
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not processes.alive(pid), what="the server is gone")
    processes.orphans()


def ping(directory: Path) -> str:
    address = f"{directory}/fpm.sock"
    params = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/ping", "SCRIPT_FILENAME": "/ping"}
    connection = wait_until(lambda: _connected(address), what="it listens")
    assert connection
    with connection:
        connection.send(packet(params))
        return connection.response().text


def _connected(address: str) -> Connection | None:
    """The file is there a moment before one can connect to it."""
    try:
        return Connection(address, timeout=10)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def test_full_disk_under_the_log_does_not_end_the_server(config: Path) -> None:
    config.write_text(config.read_text().replace(f"{config.parent}/error.log", "/dev/full"))
    process = processes.spawn([*executable("kraal"), "-F", "-y", config], output=subprocess.DEVNULL)
    assert ping(config.parent) == "pong"
    assert processes.end(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("mode", ["-F", "-D"])
def test_server_may_be_started_without_standard_streams(config: Path, mode: str, closed: str) -> None:
    command = f"exec {shlex.join([*executable('kraal'), mode, '-y', str(config)])} {closed}"
    process = processes.spawn(["sh", "-c", command], output=subprocess.DEVNULL)
    log = config.parent / "error.log"
    wait_until(lambda: log.exists() and READY in log.read_text(), what="it serves")
    assert ping(config.parent) == "pong"
    stop(config.parent)
    process.wait(10)
    assert "Traceback" not in log.read_text()


def test_daemon_whose_parent_is_killed_serves_all_the_same(config: Path) -> None:
    process = processes.spawn([*executable("kraal"), "-D", "-y", config], output=subprocess.DEVNULL)
    wait_until((config.parent / "fpm.pid").exists, what="the master has started")
    processes.kill([process.pid])
    process.wait()
    assert ping(config.parent) == "pong"


def test_pid_file_follows_no_link_and_can_be_written_by_the_owner_alone(
    start_kind: StartKind, directory: Path
) -> None:
    target, link = directory / "target", directory / "link"
    target.write_text("as it was")
    link.symlink_to(target)
    before = os.umask(0)
    try:
        start_kind("kraal", options={"pid": str(link)})
    finally:
        os.umask(before)
    assert target.read_text() == "as it was"
    assert stat.S_IMODE(link.lstat().st_mode) == 0o644


def test_version_is_shown_in_a_large_environment() -> None:
    environ = {**os.environ, "LARGE": "x" * 100_000}
    shown = subprocess.run(
        [*executable("kraal"), "-v"], env=environ, capture_output=True, text=True, timeout=20, check=True
    )
    assert shown.stdout.startswith("PHP 8")


# ---------------------------------------------------------------- many of everything at once


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_no_connection_is_forgotten_while_workers_come_and_go(start_kind: StartKind, workers: int) -> None:
    """A connection that nobody was woken for would wait until the next one comes: here there is no next."""
    server = start_kind("kraal", pool={"pm.max_children": str(workers), "pm.max_requests": "3"})
    uri = server.script("who.php", "echo getmypid();")
    kept: list[Connection] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert server.fetch(uri, timeout=8).status == 200
        if len(kept) < 3:
            kept.append(Connection(server.address, timeout=8))
        for connection in list(kept):
            try:
                ask_again(connection, server, uri)
            except (AssertionError, ConnectionError, BrokenPipeError):
                # Its worker has served enough.
                connection.close()
                kept.remove(connection)
    for connection in kept:
        connection.close()
