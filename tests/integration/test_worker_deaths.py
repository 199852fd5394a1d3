"""Why a worker died is always in the log."""

import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until

HEAD = r"WARNING: \[pool www\] child \d+ exited "


@pytest.fixture
def server(start_kind: StartKind) -> FpmServer:
    return start_kind("kraal")


def ask_and_die(server: FpmServer, uri: str, **extra: str) -> None:
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri, extra=extra)))
        connection.rest()


def line_of_death(server: FpmServer) -> str:
    (line,) = server.wait_log(HEAD)
    return line


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_request_script_and_last_error_are_told(server: FpmServer, number: signal.Signals) -> None:
    code = f"@silenced(); echo $undefined; posix_kill(posix_getpid(), {int(number)}); sleep(9);"
    uri = server.script("die.php", code.replace("@silenced();", "@$silent[3];"))
    ask_and_die(server, f"{uri}?a=1")
    line = line_of_death(server)
    assert re.search(rf"exited on signal {int(number)} \({number.name}( - core dumped)?\) after", line)
    assert re.search(r"seconds from start; request 1 was running for \d+\.\d{3} seconds: ", line)
    assert f"\"GET {uri}?a=1\", script '{server.root}{uri}'; memory " in line
    error = f"Warning: Undefined variable $undefined in {server.root}{uri} on line 2"
    assert line.endswith(f" MB at most; last PHP error '{error}'")


def test_error_of_an_earlier_request_is_not_blamed(server: FpmServer) -> None:
    server.fetch(server.script("warn.php", "echo $undefined;"))
    uri = server.script("die.php", "posix_kill(posix_getpid(), 9);")
    ask_and_die(server, uri)
    line = line_of_death(server)
    assert "request 2 was running" in line
    assert "last PHP error" not in line


def test_fatal_error_that_a_worker_dies_of_is_told(server: FpmServer) -> None:
    code = "register_shutdown_function(fn() => posix_kill(posix_getpid(), 11)); throw new Exception('why');"
    ask_and_die(server, server.script("die.php", code))
    assert "last PHP error 'Fatal error: Uncaught Exception: why in " in line_of_death(server)


def test_idle_worker_is_told_with_its_last_request(server: FpmServer) -> None:
    uri = server.script("pid.php", "echo getmypid();")
    pid = int(server.fetch(uri).text)

    def is_idle() -> bool:
        return Path(f"/proc/{pid}/wchan").read_text().startswith(("do_epoll", "ep_poll"))

    wait_until(is_idle, what="the worker waits")
    os.kill(pid, signal.SIGKILL)
    assert f'; it was idle, request 1 was "GET {uri}", script ' in line_of_death(server)


def test_memory_is_the_most_that_it_had(server: FpmServer) -> None:
    code = "ini_set('memory_limit', -1); $x = str_repeat('x', 200 << 20); unset($x);"
    code += "posix_kill(posix_getpid(), 9);"
    ask_and_die(server, server.script("die.php", code))
    found = re.search(r"memory (\d+)\.\d MB at most", line_of_death(server))
    assert found
    assert 200 <= int(found[1]) < 400


@contextmanager
def little_memory() -> Iterator[Path]:
    """A control group with little memory, empty when the block ends."""
    group = Path("/sys/fs/cgroup/memory", f"kraal-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("150M")
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made: {error}")
    try:
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
        group.rmdir()


def test_kernel_that_kills_for_lack_of_memory_is_told(
    start_kind: StartKind, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with little_memory() as group:
        inside = directory / "inside"
        kraal = " ".join(map(shlex.quote, executable("kraal")))
        inside.write_text(f'echo $$ > {group}/cgroup.procs\nexec {kraal} "$@"\n')
        monkeypatch.setenv("KRAAL_EXECUTABLE", f"sh {inside}")
        server = start_kind("kraal")
        code = "ini_set('memory_limit', -1); $x = str_repeat('x', 400 << 20);"
        ask_and_die(server, server.script("large.php", code))
        line = line_of_death(server)
        server.stop()
    assert "seconds from start; by the kernel, for lack of memory; request 1 was running" in line


def test_what_a_client_sends_forges_no_line(server: FpmServer) -> None:
    uri = server.script("die.php", "posix_kill(posix_getpid(), 9);")
    ask_and_die(server, f"{uri}?x\n[01-Jan-2027 00:00:00] NOTICE: forged\x1b[31m")
    line = line_of_death(server)
    assert "x\\n[01-Jan-2027 00:00:00] NOTICE: forged\\x1b[31m" in line
    assert not server.log_lines("^.01-Jan-2027")


def test_worker_that_was_told_to_leave_has_php_fpm_s_line(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_requests": "1"})
    server.fetch(server.script("a.php", "echo $undefined;"))
    (line,) = server.wait_log(r"child \d+ exited")
    assert re.search(
        r"NOTICE: \[pool www\] child \d+ exited with code 0 after \d+\.\d{6} seconds from start$", line
    )
