"""Kept connections and clients that leave: no connection waits for a worker that is busy or goes away."""

import ctypes
import os
import signal
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, Type, packet, record
from tests.support.processes import descriptors
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, ask_again, wait_workers
from tests.support.workspace import make_directory

_PIDFD_GETFD = 438
PID = "echo getmypid();"
# Answers, then works on until it is released.
FINISH = """
    echo getmypid();
    fastcgi_finish_request();
    touch($_GET['started']);
    while (!file_exists($_GET['gate'])) { usleep(2000); }
    file_put_contents($_GET['ended'], $_SERVER['REQUEST_METHOD'] . ' ' . getenv('SCRIPT_NAME'));
"""
# Longer than a worker serves without a look at whether its clients are still there.
LONG = 0.2


class Finished:
    """A script that has answered and works on."""

    def __init__(self, server: FpmServer, name: str = "finished") -> None:
        self._place = make_directory(server.directory / name)
        self.gate, self.started, self.ended = (self._place / mark for mark in ("gate", "started", "ended"))
        self.path = server.script(f"{name}.php", FINISH)
        self.uri = f"{self.path}?gate={self.gate}&started={self.started}&ended={self.ended}"

    def wait_started(self) -> None:
        wait_until(self.started.exists, what="the script has answered")

    def release(self) -> None:
        self.gate.touch()
        wait_until(lambda: self.ended.exists() and self.ended.read_text(), what="the script ends")


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
def tcp(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# ---------------------------------------------------------------- work after the answer


def test_work_after_the_answer_holds_up_no_kept_connection(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "2"})
    uri, work = server.script("pid.php", PID), Finished(server)
    with Connection(server.address, timeout=5) as kept:
        busy = ask_again(kept, server, work.uri)
        work.wait_started()
        others = {ask_again(kept, server, uri) for _ in range(3)}
        work.release()
        assert busy not in others
        assert ask_again(kept, server, uri) in {str(pid) for pid in server.workers()}


def test_request_that_was_sent_along_is_served_during_the_work(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri, work = server.script("pid.php", PID), Finished(server)
    with Connection(server.address, timeout=5) as kept:
        kept.send(packet(server.params(work.uri), keep=True) + packet(server.params(uri), keep=True))
        busy = kept.response().text
        assert kept.response().text not in ("", busy)
        work.wait_started()
        work.release()


def test_work_after_the_answer_holds_up_no_other_connection_of_its_worker(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri, work = server.script("pid.php", PID), Finished(server)
    held = Held(server)
    with Connection(server.address, timeout=5) as first, Connection(server.address, timeout=5) as second:
        # Only one worker is free, so it has both.
        (busy,) = {ask_again(connection, server, uri) for connection in (first, second)}
        held.release()
        assert ask_again(first, server, work.uri) == busy
        work.wait_started()
        assert ask_again(second, server, uri) != busy
        assert ask_again(first, server, uri) != busy
        work.release()


def test_kept_connection_outlives_a_worker_that_dies_in_its_work_after_the_answer(
    start_kind: StartKind,
) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri, gate = server.script("pid.php", PID), make_directory(server.directory / "marks") / "gate"
    dying = server.script(
        "dying.php",
        """
        echo getmypid();
        fastcgi_finish_request();
        while (!file_exists($_GET['gate'])) { usleep(2000); }
        posix_kill(getmypid(), 9);
        """,
    )
    with Connection(server.address, timeout=5) as kept:
        dead = ask_again(kept, server, f"{dying}?gate={gate}")
        assert ask_again(kept, server, uri) != dead
        gate.touch()
        server.wait_log("exited on signal 9")
        assert ask_again(kept, server, uri) != dead


def test_short_work_after_the_answer_leaves_the_connection_with_its_worker(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "4"})
    uri = server.script("short.php", "echo getmypid(); fastcgi_finish_request(); usleep(100);")
    with Connection(server.address, timeout=5) as kept:
        workers = [ask_again(kept, server, uri) for _ in range(60)]
    changes = sum(one != other for one, other in pairwise(workers))
    # Where the machine has other work, a short one takes long now and then.
    assert changes < 30, workers


def test_script_sees_its_request_after_its_connection_was_given_away(start_server: StartServer) -> None:
    server = start_server()
    work = Finished(server)
    with Connection(server.address) as kept:
        ask_again(kept, server, work.uri)
        work.wait_started()
        work.release()
    assert work.ended.read_text() == f"GET {work.path}"


def test_body_can_be_read_after_the_answer(start_server: StartServer) -> None:
    server = start_server()
    written = make_directory(server.directory / "scratch") / "written"
    uri = server.script(
        "late.php",
        """
        echo 'answered';
        fastcgi_finish_request();
        file_put_contents($_GET['to'] . '.part', file_get_contents('php://input'));
        rename($_GET['to'] . '.part', $_GET['to']);
        """,
    )
    body = os.urandom(200_000)
    with Connection(server.address) as kept:
        params = server.params(f"{uri}?to={written}", method="PUT", body=body)
        kept.send(packet(params, body, keep=True))
        assert kept.response().text == "answered"
        wait_until(written.exists, what="the script has read the body")
    assert written.read_bytes() == body


# ---------------------------------------------------------------- long requests


@pytest.mark.parametrize("number", [2, 9])
def test_long_request_holds_up_no_other_kept_connection(start_kind: StartKind, number: int) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("pid.php", PID)
    first = Held(server, "first")
    with ExitStack() as stack:
        kept = [stack.enter_context(Connection(server.address, timeout=5)) for _ in range(number)]
        # Only one worker is free, so it has all of them.
        (busy,) = {ask_again(connection, server, uri) for connection in kept}
        first.release()
        held = Held(server, connection=kept[0])
        for _ in range(3):
            assert busy not in {ask_again(connection, server, uri) for connection in kept[1:]}
        assert held.release().text == busy


def test_kept_connections_are_given_away_and_programs_started_at_the_same_time(
    start_kind: StartKind,
) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("start.php", "usleep(random_int(0, 12000)); echo exec('echo started');")
    with ExitStack() as stack:
        kept = [stack.enter_context(Connection(server.address, timeout=5)) for _ in range(8)]
        for _ in range(20):
            for connection in kept:
                connection.send(packet(server.params(uri), keep=True))
            assert {connection.response().text for connection in kept} == {"started"}


# ---------------------------------------------------------------- workers that leave


def test_kept_connection_outlives_its_workers(start_server: StartServer, tcp: bool) -> None:
    server = start_server(tcp=tcp, pool={"pm.max_requests": "2"})
    uri = server.script("pid.php", PID)
    with Connection(server.address, timeout=5) as kept:
        pids = [ask_again(kept, server, uri) for _ in range(9)]
    assert len(set(pids)) == 5


def test_kept_connection_outlives_a_worker_that_is_told_to_leave(start_server: StartServer) -> None:
    server = start_server()
    uri = server.script("pid.php", PID)
    with Connection(server.address, timeout=5) as kept:
        first = ask_again(kept, server, uri)
        os.kill(int(first), signal.SIGQUIT)
        wait_workers(server, 1, without={int(first)})
        assert ask_again(kept, server, uri) != first


def copy_sockets(pid: int) -> list[int]:
    """Descriptors of ours for all sockets of a process."""
    process = os.pidfd_open(pid)
    numbers = [fd for fd, name in descriptors(pid).items() if name.startswith("socket:")]
    get = ctypes.CDLL(None, use_errno=True).syscall
    try:
        return [copy for number in numbers if (copy := get(_PIDFD_GETFD, process, number, 0)) >= 0]
    finally:
        os.close(process)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may take descriptors of others")
def test_worker_forgets_a_closed_connection_that_its_giver_still_has(start_kind: StartKind) -> None:
    """A giver that the system holds up closes its copy late: here, the test is that slow."""
    server = start_kind("kraal")
    uri = server.script("pid.php", PID)
    kept = Connection(server.address, timeout=5)
    first = ask_again(kept, server, uri)
    os.kill(int(first), signal.SIGQUIT)
    (taker,) = wait_workers(server, 1, without={int(first)})
    assert ask_again(kept, server, uri) == str(taker)
    copies = copy_sockets(taker)
    assert copies
    try:
        kept.close()
        for _ in range(3):
            assert server.fetch(uri).text == str(taker)
    finally:
        for copy in copies:
            os.close(copy)
    assert not server.log_lines("SIGSEGV")


def test_idle_kept_connection_is_closed_at_once_when_the_server_stops(start_kind: StartKind) -> None:
    """Also if another worker still has a long request."""
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("pid.php", PID)
    held = Held(server)
    with Connection(server.address, timeout=5) as kept:
        ask_again(kept, server, uri)
        server.send(signal.SIGQUIT)
        assert kept.closed()
        assert held.release().status == 200
    server.process.wait(10)


def test_kept_connection_is_served_or_closed_when_an_idle_pool_has_no_worker_left(
    start_kind: StartKind,
) -> None:
    server = start_kind(
        "kraal", pool={"pm": "ondemand", "pm.max_children": "2", "pm.process_idle_timeout": "1s"}
    )
    uri = server.script("pid.php", PID)
    with Connection(server.address, timeout=15) as kept:
        first = ask_again(kept, server, uri)
        assert kept.closed()
        assert server.fetch(uri).text != first


# ---------------------------------------------------------------- clients that leave


def test_request_is_not_run_when_its_client_has_left(start_server: StartServer, tcp: bool) -> None:
    server = start_server(tcp=tcp)
    place = make_directory(server.directory / "ran")
    uri = server.script("mark.php", "touch($_GET['mark']); echo 'ran';")
    held = Held(server)
    for number in range(3):
        with Connection(server.address) as impatient:
            impatient.send(packet(server.params(f"{uri}?mark={place}/left{number}")))
    with Connection(server.address) as patient:
        patient.send(packet(server.params(f"{uri}?mark={place}/waited")))
        # Not a wait for something to happen: the request has to take long.
        time.sleep(LONG)
        held.release()
        assert patient.response().text == "ran"
    assert [mark.name for mark in place.iterdir()] == ["waited"]


def test_half_closed_connection_that_waited_is_served(start_server: StartServer) -> None:
    """On a Unix socket a client that has only stopped sending can be told from one that is gone."""
    server = start_server()
    uri = server.script("pid.php", PID)
    held = Held(server)
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        connection.finish_sending()
        time.sleep(LONG)
        busy = held.release().text
        assert connection.response().text == busy


@pytest.mark.parametrize("body", [b"", b"a=1"], ids=["without a body", "with a body"])
def test_script_learns_of_an_abort_record_when_it_flushes(
    start_server: StartServer, directory: Path, body: bytes
) -> None:
    server = start_server()
    written = make_directory(directory / "scratch") / "written"
    uri = server.script(
        "flush.php",
        """
        ignore_user_abort(true);
        while (ob_get_level()) { ob_end_clean(); }
        while (!connection_aborted()) { echo '.'; flush(); usleep(1000); }
        file_put_contents($_GET['to'], 'aborted');
        """,
    )
    with Connection(server.address) as kept:
        kept.send(packet(server.params(f"{uri}?to={written}", body=body), body, keep=True))
        assert kept.read() is not None
        kept.send(record(Type.ABORT_REQUEST))
        wait_until(written.exists, what="the script was told")
        assert ask_on_another(server) == "again"


def ask_on_another(server: FpmServer) -> str:
    return server.fetch(server.script("again.php", "echo 'again';")).text
