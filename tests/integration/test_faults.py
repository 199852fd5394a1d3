"""Faults of the machine: what happens, that it is told once, that it passes, and that no other pool notices.

Workers that are stopped are in test_adversity.py, clients that are slow in test_attacks.py, and the clock in
tests/unit/test_clocks.py.
"""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.bystander import POOL, bystander
from tests.support.fastcgi import Connection, cgi_params, packet
from tests.support.faults import OWN_TREE, Disk, control_group, limited, small_disk
from tests.support.running import Running, ping, running
from tests.support.servers import READY, FpmServer, Kind, configuration, executable
from tests.support.wait import wait_until
from tests.support.workers import ask_again, manager, titled
from tests.support.workspace import ROOT

needs_root = pytest.mark.skipif(not ROOT, reason="only root may do that to processes of others")

CAUGHT = {"catch_workers_output": "yes"}
ALIVE = "echo 'alive';"
SAY = "file_put_contents('php://stderr', \"said {$_GET['n']}\\n\"); echo 'alive';"


def say(server: FpmServer, uri: str, *words: object) -> None:
    """Have a script say something to the log, once for each word."""
    for word in words:
        assert server.fetch(f"{uri}?n={word}").text == "alive"


def only_worker(server: FpmServer, pool: str = "www") -> int:
    """That of a pool which has one."""
    (pid,) = wait_until(lambda: titled(server, f"kraal: pool {pool}"), what="there is a worker")
    return pid


def goes_on(server: FpmServer, uri: str) -> bool:
    """Have something said, and see whether the log has it, now or from an earlier time."""
    say(server, uri, "again")
    return bool(server.log_lines('said into stderr: "said again"$'))


# ---------------------------------------------------------------- logs


@pytest.fixture
def disk(directory: Path) -> Iterator[Disk]:
    with small_disk(directory / "disk") as disk:
        yield disk


def test_full_disk_under_the_logs_costs_lines_and_nothing_else(disk: Disk, start_server: StartServer) -> None:
    log, access = disk.path / "error.log", disk.path / "access.log"
    server = start_server(
        options={"error_log": str(log)},
        log_file=log,
        pool=CAUGHT | {"access.log": str(access), "access.format": '"%q"'},
        more=POOL,
    )
    uri = server.script("say.php", SAY)
    with bystander(server) as client:
        disk.fill()
        # The last page of the file has room yet.
        say(server, uri, *range(80))
        client.wait_served()
        assert "said 79" not in server.log()
        disk.clear()
        wait_until(lambda: goes_on(server, uri), what="the log goes on")
        wait_until(lambda: access.read_text().endswith("n=again\n"), what="the access log goes on")
    if server.kind == "kraal":
        assert (
            len(server.log_lines(r"WARNING: \d+ lines could not be written to the log: No space left")) == 1
        )
        # Whoever reads standard error learns of it while it lasts.
        told = (server.directory / "log").read_text()
        assert told.count("WARNING: the log cannot be written, lines are lost: No space left on device") == 1


class Reader:
    """Copies what comes through a named pipe to a file."""

    def __init__(self, pipe: Path, to: Path) -> None:
        self._command = f"exec cat '{pipe}' >> '{to}'"
        self.come()

    def come(self) -> None:
        self._process = processes.spawn(["sh", "-c", self._command], output=subprocess.DEVNULL)

    def leave(self) -> None:
        processes.kill([self._process.pid])
        self._process.wait()


@pytest.fixture
def pipe(directory: Path) -> Iterator[tuple[Path, Path, Reader]]:
    """A named pipe, the file that its reader writes, and the reader."""
    path, read = directory / "pipe", directory / "read"
    os.mkfifo(path)
    reader = Reader(path, read)
    yield path, read, reader
    reader.leave()


def test_log_pipe_whose_reader_has_left_holds_nobody_up(
    pipe: tuple[Path, Path, Reader], start_server: StartServer
) -> None:
    path, read, reader = pipe
    server = start_server(options={"error_log": str(path)}, log_file=read, pool=CAUGHT, more=POOL)
    uri = server.script("say.php", SAY)
    with bystander(server) as client:
        reader.leave()
        say(server, uri, *range(30))
        client.wait_served()
        reader.come()
        wait_until(lambda: goes_on(server, uri), what="the log goes on")
    if server.kind == "kraal":
        assert len(server.log_lines("said [0-9]+")) == 30, (
            "what has room in the pipe waits for the next reader"
        )


def test_log_pipe_may_be_opened_again_without_a_reader(
    pipe: tuple[Path, Path, Reader], start_server: StartServer
) -> None:
    path, read, reader = pipe
    server = start_server(options={"error_log": str(path)}, log_file=read, pool=CAUGHT, more=POOL)
    uri = server.script("say.php", SAY)
    with bystander(server):
        reader.leave()
        server.send(signal.SIGUSR1)
        # More than the pipe has room for.
        say(server, uri, *(f"{number}-{'x' * 40_000}" for number in range(30)))
        # They were said, which does not mean that the master had them yet.
        wait_until(lambda: "lines are lost" in (server.directory / "log").read_text(), what="lines are lost")
        server.send(signal.SIGUSR1)
        reader.come()
        wait_until(lambda: "said 0-x" in server.log(), what="the reader reads")
        wait_until(lambda: goes_on(server, uri), what="the log goes on")
        server.wait_log("NOTICE: error log file re-opened$")
        server.wait_log(
            r"WARNING: \d+ lines could not be written to the log: Resource temporarily unavailable"
        )


def test_standard_error_whose_reader_is_gone_ends_nobody(server_kind: Kind, directory: Path) -> None:
    """As with `kraal -F -O 2>&1 | head`."""
    for name in ("sessions", "uploads"):
        (directory / name).mkdir()
    pool = CAUGHT | {"ping.path": "/ping"}
    (directory / "fpm.conf").write_text(configuration(directory, f"{directory}/fpm.sock", pool=pool))
    ours, theirs = os.pipe()
    command = [*executable(server_kind), "-F", "-O", "-y", f"{directory}/fpm.conf"]
    process = processes.spawn(command, output=theirs)
    os.close(theirs)
    with open(ours) as lines:
        assert any(READY in line for line in lines)
    below = processes.descendants(process.pid)
    try:
        processes.kill(pid for pid in below if not processes.children(pid))
        wait_until(lambda: ping(f"{directory}/fpm.sock") == "pong", what="it serves")
    finally:
        assert processes.end(process, signal.SIGTERM) == 0
        processes.check_gone(below, before=set())


# ---------------------------------------------------------------- /tmp


UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="name.txt"\r\n\r\ncontent\r\n--x--\r\n'
)
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
UPLOAD_ERR_OK, UPLOAD_ERR_NO_TMP_DIR = 0, 6


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that is not in /tmp."""
    directory = Path(tempfile.mkdtemp(prefix="kraal-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    (directory / "root").mkdir()
    yield directory
    shutil.rmtree(directory)


@contextmanager
def in_own_tree(kind: Kind, directory: Path) -> Iterator[tuple[Running, Path]]:
    """A server, and its /tmp, which is not that of others."""
    if executable(kind)[0].startswith("/tmp/"):
        pytest.skip("the server itself is in /tmp")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a process may not have a tree of mounts of its own here")
    (directory / "upload.php").write_text("<?php echo $_FILES['file']['error'];")
    before = ["unshare", "--mount", "sh", "-euc", OWN_TREE, "sh", str(directory / "root")]
    pool = {"php_admin_value[upload_tmp_dir]": ""}
    with running(kind, directory, pool, before=before) as server:
        server.wait_log(READY)
        yield server, Path(f"/proc/{server.process.pid}/root/tmp")


def upload(directory: Path) -> int:
    """The error that a script is told of."""
    params = cgi_params(str(directory), "/upload.php", body=UPLOAD, headers=FORM, method="POST")
    with Connection(f"{directory}/fpm.sock") as connection:
        connection.send(packet(params, UPLOAD))
        return int(connection.response().text)


@needs_root
def test_pool_serves_without_tmp_and_uploads_fail_until_it_is_there(
    server_kind: Kind, elsewhere: Path
) -> None:
    with in_own_tree(server_kind, elsewhere) as (_server, tmp):
        assert upload(elsewhere) == UPLOAD_ERR_OK
        wait_until(lambda: not any(tmp.iterdir()), what="the file that was uploaded is gone")
        tmp.rmdir()
        assert upload(elsewhere) == UPLOAD_ERR_NO_TMP_DIR
        assert ping(f"{elsewhere}/fpm.sock") == "pong"
        tmp.mkdir()
        tmp.chmod(0o1777)
        assert upload(elsewhere) == UPLOAD_ERR_OK


@needs_root
def test_reload_without_tmp_fails_and_everything_goes_on(elsewhere: Path) -> None:
    """OPcache has a file there.  php-fpm is gone after such a reload."""
    with in_own_tree("kraal", elsewhere) as (server, tmp):
        tmp.rmdir()
        server.process.send_signal(signal.SIGUSR2)
        server.wait_log("Unable to create lock file: No such file or directory")
        server.wait_log("reload failed: everything goes on as before")
        assert ping(f"{elsewhere}/fpm.sock") == "pong"
        tmp.mkdir()
        tmp.chmod(0o1777)
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: server.log().count("fpm is running") == 2, what="the reload succeeds")
        assert ping(f"{elsewhere}/fpm.sock") == "pong"


# ---------------------------------------------------------------- descriptors


@needs_root
def test_master_without_descriptors_starts_managers_when_it_has_some(
    start_kind: StartKind,
) -> None:
    server = start_kind("kraal", more=POOL)
    uri = server.script("alive.php", ALIVE)
    old = manager(server)
    with bystander(server) as client:
        with limited(server.pid, "nofile", 4):
            processes.kill([old])
            server.wait_log(r"ERROR: \[pool www\] cannot start a manager: Too many open files \(24\)")
            server.send(signal.SIGUSR1)
            server.send(signal.SIGUSR2)
            server.wait_log("reload failed")
            client.wait_served()
        assert server.fetch(uri).text == "alive"
    assert len(server.log_lines("cannot start a manager")) < 8, "ever less often"


@needs_root
def test_worker_without_descriptors_is_replaced_and_whoever_waits_is_served(
    start_server: StartServer,
) -> None:
    """The connection that there was no descriptor for stays in the queue."""
    server = start_server(more=POOL)
    uri = server.script("who.php", "echo getmypid();")
    old = int(server.fetch(uri).text)
    with bystander(server), limited(old, "nofile", 3):
        wait_until(lambda: int(server.fetch(uri).text) != old, what="another worker serves")
    if server.kind == "kraal":
        server.wait_log(r"ERROR: \[pool www\] cannot accept connections: Too many open files$")
        server.wait_log(rf"WARNING: \[pool www\] child {old} exited with code")
        assert len(server.log_lines("WARNING|ERROR")) == 2


# ---------------------------------------------------------------- processes and memory


@needs_root
@pytest.mark.parametrize("lacking", [("manager", "nofile", 4), ("nursery", "nproc", 1)])
def test_pool_that_cannot_start_workers_starts_them_when_it_can(
    start_kind: StartKind, lacking: tuple[str, str, int]
) -> None:
    """The manager opens pipes for a worker, and the nursery forks."""
    who, what, limit = lacking
    server = start_kind("kraal", pool=CAUGHT | {"pm.max_memory": "1G"}, more=POOL)
    uri = server.script("alive.php", ALIVE)
    (pid,) = titled(server, f"kraal: pool www ({who})")
    with bystander(server) as client:
        with limited(pid, what, limit):
            processes.kill([only_worker(server)])
            reason = {
                "nofile": r"Too many open files \(24\)",
                "nproc": r"Resource temporarily unavailable \(11\)",
            }
            server.wait_log(rf"ERROR: \[pool www\] cannot start a worker: {reason[what]}$", times=3)
            client.wait_served()
        assert server.fetch(uri).text == "alive"
    assert titled(server, f"kraal: pool www ({who})") == {pid}
    assert len(server.log_lines("cannot start a worker")) < 8, "ever less often"


def test_master_that_cannot_fork_starts_managers_when_it_can(start_kind: StartKind) -> None:
    server = start_kind("kraal", more=POOL)
    uri = server.script("alive.php", ALIVE)
    with bystander(server) as client, control_group("pids") as group:
        group.add(server.pid)
        group.limit("pids.max", to=1)
        processes.kill([manager(server)])
        text = r"ERROR: \[pool www\] cannot start a manager: Resource temporarily unavailable \(11\)"
        server.wait_log(text, times=3)
        client.wait_served()
        group.limit("pids.max", to="max")
        assert server.fetch(uri).text == "alive"
    assert len(server.log_lines("cannot start a manager")) < 8, "ever less often"


def test_worker_above_the_memory_of_its_control_group_is_replaced(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"php_admin_value[memory_limit]": "-1"}, more=POOL)
    hungry = server.script("hungry.php", "$all = str_repeat('x', 300 << 20); echo strlen($all);")
    uri = server.script("alive.php", ALIVE)
    boss = manager(server)
    worker = only_worker(server)
    with bystander(server), control_group("memory") as group:
        group.add(boss)
        group.add(worker)
        group.limit("memory.max", "memory.limit_in_bytes", to=128 << 20)
        with Connection(server.address) as connection:
            connection.send(packet(server.params(hungry)))
            assert connection.read() is None
        server.wait_log(
            rf"\[pool www\] child {worker} exited on signal 9 .* by the kernel, for lack of memory"
        )
        assert server.fetch(uri).text == "alive"
        group.limit("memory.max", "memory.limit_in_bytes", to=4 << 30)
        assert server.fetch(hungry).text == str(300 << 20)
        assert manager(server) == boss


# ---------------------------------------------------------------- connections


IDLE = 10_000
# Each worker keeps 1024 connections at most.
WORKERS = {"pm.max_children": "12", "rlimit_files": "4096"}


def connections(server: FpmServer) -> int:
    """How many sockets the workers have."""
    names = [name for pid in server.workers() for name in processes.descriptors(pid).values()]
    return sum(name.startswith("socket:") for name in names)


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < IDLE + 500, reason="there are not enough descriptors"
)
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_ten_thousand_idle_connections_are_kept_and_hold_nobody_up(start_kind: StartKind, tcp: bool) -> None:
    server = start_kind("kraal", tcp=tcp, pool=WORKERS, more=POOL)
    uri = server.script("who.php", "echo getmypid();")
    before = connections(server)
    with bystander(server) as client, many_files():
        with ExitStack() as stack:
            idle = [stack.enter_context(Connection(server.address)) for _ in range(IDLE)]
            wait_until(lambda: connections(server) - before >= IDLE, what="all are let in")
            assert server.fetch(uri).status == 200
            answering = {ask_again(each, server, uri) for each in idle[::25]}
            assert len(answering) > 9, "they are spread over the workers"
            assert connections(server) - before >= IDLE, "none was closed"
            client.wait_served()
        wait_until(lambda: connections(server) <= before, what="all have left")
    assert server.log_lines("WARNING: (?!.*listen.mode)|ERROR") == []


@contextmanager
def many_files() -> Iterator[None]:
    """For the test itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def feigned(pid: int, call: str, error: str, calls: Path) -> Iterator[None]:
    """Have a system call of a process fail, and written to a file, for a while."""
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:error={error}"]
    strace = processes.spawn(
        ["strace", "-qq", "-p", str(pid), "-o", calls, *inject], output=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: processes.status(pid)["TracerPid"] != "0", what="strace is there")
        yield
    finally:
        strace.terminate()
        strace.wait()


@needs_root
def test_lack_of_descriptors_in_the_machine_is_told_once_and_waited_for(
    start_kind: StartKind, directory: Path
) -> None:
    """Real, it would be everybody's; the worker tries again each tenth of a second."""
    server = start_kind("kraal", more=POOL)
    uri = server.script("alive.php", ALIVE)
    worker = only_worker(server)
    calls = directory / "calls"
    with bystander(server) as client:
        with feigned(worker, "accept4", "ENFILE", calls):
            waiting = Connection(server.address)
            waiting.send(packet(server.params(uri)))
            wait_until(lambda: calls.read_text().count("ENFILE") >= 12, what="it tries again and again")
            client.wait_served()
        assert waiting.response().text == "alive"
        waiting.close()
    assert len(server.log_lines("ERROR: .* cannot accept connections: Too many open files in system$")) == 1
