"""Requests that run too long: request_terminate_timeout and what belongs to it."""

from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, wait_workers
from tests.support.workspace import make_directory

# The least that can be written; php-fpm looks several times a second.
POOL = {"request_terminate_timeout": "1s"}
LONG = 20

SPIN = "while (true) { $i = ($i ?? 0) + 1; }"
SLEEP = "sleep(30);"
# Handlers that swallow everything they can.
STUBBORN = "set_error_handler(fn() => true); while (true) { try { usleep(1000); } catch (Throwable) { } }"
SPIN_IN_SHUTDOWN = f"register_shutdown_function(function () {{ {SPIN} }}); {SPIN}"
# Calls into C that go on after a signal.
IN_C = "exec('sleep 30');"
WAIT_FOR_DATA = "$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($pair[0], 1);"


def timed_out(server: FpmServer, uri: str) -> list[str]:
    """The line of the log about the request."""
    request = rf"script '{server.root}{uri}' \(request: \"GET {uri}\?a=1\"\)"
    return server.wait_log(
        rf"WARNING: \[pool www\] child \d+, {request} execution timed out \(1\.\d{{6}} sec\), terminating",
        at_most=LONG,
    )


@pytest.mark.parametrize("code", [SPIN, SLEEP, STUBBORN], ids=["spinning", "sleeping", "stubborn"])
def test_request_that_takes_too_long_is_ended_and_named_in_the_log(
    start_server: StartServer, code: str
) -> None:
    server = start_server(pool=POOL)
    uri = server.script("long.php", code)
    with Connection(server.address, timeout=LONG) as connection:
        connection.send(packet(server.params(f"{uri}?a=1")))
        assert len(timed_out(server, uri)) == 1
        # Cut off, or an error page.
        assert connection.read() is None or server.kind == "kraal"
    assert server.fetch(server.script("after.php", "echo 'after';"), timeout=LONG).text == "after"


def test_request_within_its_time_is_left_alone(start_server: StartServer) -> None:
    server = start_server(pool={"request_terminate_timeout": "30s"})
    assert Held(server).release().status == 200
    assert not server.log_lines("timed out")


@pytest.mark.parametrize("code", [SPIN, SLEEP, STUBBORN], ids=["spinning", "sleeping", "stubborn"])
def test_shutdown_functions_run_and_the_worker_stays(start_kind: StartKind, code: str) -> None:
    server = start_kind("kraal", pool=POOL | {"php_admin_value[display_errors]": "0"})
    before = server.workers()
    goodbye = "register_shutdown_function(function () { echo 'goodbye'; });"
    response = server.fetch(server.script("long.php", goodbye + code), timeout=LONG)
    assert (response.status, response.text) == (500, "goodbye")
    message = "Maximum time of 1 second for a request exceeded (request_terminate_timeout)"
    assert message in response.stderr.decode()
    assert server.workers() == before
    assert not server.log_lines("exited")


def test_connection_is_kept_when_a_request_was_stopped(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=POOL)
    uri, after = server.script("long.php", SPIN), server.script("after.php", "echo 'after';")
    with Connection(server.address, timeout=LONG) as kept:
        kept.send(packet(server.params(uri), keep=True))
        assert kept.response().status == 500
        kept.send(packet(server.params(after), keep=True))
        assert kept.response().text == "after"


@pytest.mark.parametrize(
    "code", [IN_C, WAIT_FOR_DATA, SPIN_IN_SHUTDOWN], ids=["in a program", "reading", "in a shutdown function"]
)
def test_worker_that_does_not_stop_is_killed_and_replaced(start_kind: StartKind, code: str) -> None:
    server = start_kind("kraal", pool=POOL | {"request_terminate_grace": "1s"})
    before = server.workers()
    with Connection(server.address, timeout=LONG) as connection:
        connection.send(packet(server.params(server.script("long.php", code))))
        server.wait_log(r"still running \(\d+\.\d+ sec\), terminating", at_most=LONG)
        server.wait_log(r"exited on signal 15 \(SIGTERM\)", at_most=LONG)
        assert connection.closed()
    wait_workers(server, 1, without=before)


def test_worker_is_killed_at_once_without_grace(start_kind: StartKind) -> None:
    """As by php-fpm."""
    server = start_kind("kraal", pool=POOL | {"request_terminate_grace": "0"})
    with Connection(server.address, timeout=LONG) as connection:
        connection.send(packet(server.params(server.script("long.php", SPIN))))
        server.wait_log(r"exited on signal 15 \(SIGTERM\)", at_most=LONG)
        assert connection.closed()
    assert len(server.log_lines("execution timed out")) == 1


# ---------------------------------------------------------------- after the answer


def finishing(server: FpmServer, marks: Path) -> str:
    """A script that works on for three seconds after its answer, and marks its end."""
    return (
        server.script(
            "finish.php",
            """
            echo 'answer';
            fastcgi_finish_request();
            for ($end = hrtime(true) + 3e9; hrtime(true) < $end; ) { usleep(10000); }
            touch($_GET['ended']);
            """,
        )
        + f"?ended={marks}/ended"
    )


def test_work_after_the_answer_has_all_the_time_it_wants(start_kind: StartKind) -> None:
    """php-fpm's time runs on after fastcgi_finish_request() until the script ends."""
    server = start_kind("kraal", pool=POOL)
    marks = make_directory(server.directory / "marks")
    assert server.fetch(finishing(server, marks)).text == "answer"
    wait_until((marks / "ended").exists, at_most=LONG, what="the script ends")
    assert not server.log_lines("timed out")


def test_work_after_the_answer_counts_if_it_is_to_be_tracked(start_server: StartServer) -> None:
    server = start_server(pool=POOL | {"request_terminate_timeout_track_finished": "yes"})
    marks = make_directory(server.directory / "marks")
    assert server.fetch(finishing(server, marks)).text == "answer"
    server.wait_log(r"finish.php\?ended=.* execution timed out", at_most=LONG)
    assert server.fetch(server.script("after.php", "echo 'after';"), timeout=LONG).text == "after"
    assert not (marks / "ended").exists()


def test_work_after_the_answer_is_a_stage_of_its_own(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2", "pm.status_path": "/status"})
    marks = make_directory(server.directory / "marks")
    assert server.fetch(finishing(server, marks)).text == "answer"
    assert "Finishing" in server.fetch("/status?full").text
    wait_until((marks / "ended").exists, at_most=LONG, what="the script ends")
