"""What stands in the log: the same lines in the same form from both servers."""

import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, cgi_params, packet
from tests.support.servers import READY, FpmServer, Kind, configuration, executable
from tests.support.wait import wait_until
from tests.support.workspace import ROOT, make_directory

CAUGHT = {"catch_workers_output": "yes"}
RAW = CAUGHT | {"decorate_workers_output": "no"}
STAMP = r"\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\]"
SAID = STAMP + r' WARNING: \[pool www\] child \d+ said into (?P<stream>\w+): "(?P<text>.*)"(?P<end>.*)'
GATE = "touch($_GET['started']); while (!file_exists($_GET['gate'])) { usleep(2000); }"


def stderr(php: str) -> str:
    return f"file_put_contents('php://stderr', {php});"


def run(server: FpmServer, code: str, name: str = "page.php") -> bytes:
    """Run a script; gives what the web server got on FCGI_STDERR."""
    response = server.fetch(server.script(name, code))
    assert response.status == 200
    return response.stderr


def said(server: FpmServer, *, until: str) -> list[tuple[str, str]]:
    """What workers said, as (stream, text), when one of the texts is there."""
    server.wait_log(until)
    found = [re.fullmatch(SAID, line) for line in server.log_lines("said into")]
    assert all(found), server.log()
    return [(match["stream"], match["text"]) for match in found if match]


def raw(server: FpmServer, *, until: str) -> list[str]:
    """The lines that are not the master's own."""
    server.wait_log(until)
    return [line for line in server.log().split("\n") if line and not re.match(STAMP, line)]


# ---------------------------------------------------------------- what workers write


def test_each_line_is_quoted(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    run(server, stderr(r'"msg 1\nmsg 2\n\nmsg 3"'))

    assert said(server, until="msg 3") == [("stderr", "msg 1"), ("stderr", "msg 2"), ("stderr", "msg 3")]


def test_text_is_held_until_the_line_or_the_request_ends(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    for name in ("one.php", "two.php"):
        run(server, stderr("'msg 1 - '") + stderr("'msg 2 - '") + stderr("basename(__FILE__)"), name)

    assert said(server, until=r"two\.php") == [
        ("stderr", "msg 1 - msg 2 - one.php"),
        ("stderr", "msg 1 - msg 2 - two.php"),
    ]


def test_standard_output_is_a_stream_of_its_own(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    run(server, r"file_put_contents('php://stdout', 'printed');")
    run(server, stderr(r'"text\n"'), "two.php")

    assert said(server, until="text") == [("stdout", "printed"), ("stderr", "text")]


def test_raw_lines_are_what_the_worker_wrote(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    run(server, stderr(r'"{\"a\": \"\x1b\"}\nlast"'))

    assert raw(server, until="^last$") == ['{"a": "\x1b"}', "last"]


def test_what_is_not_caught_is_not_logged(start_server: StartServer) -> None:
    server = start_server()
    run(server, stderr(r'"nobody hears it\n"') + "error_log('nobody hears it');")
    server.stop()

    assert "nobody" not in server.log()


def test_worker_that_dies_says_its_last_words(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    uri = server.script("die.php", stderr("'last words'") + "posix_kill(getmypid(), 9);")
    with Connection(server.address) as connection, suppress(Exception):
        connection.send(packet(server.params(uri)))
        connection.response()

    assert server.wait_log(r'said into stderr: "last words"(, pipe is closed)?$')


@pytest.mark.parametrize("buffering", ["yes", "no"])
def test_buffering_decides_when_an_unfinished_line_is_seen(start_server: StartServer, buffering: str) -> None:
    server = start_server(pool=CAUGHT, options={"log_buffering": buffering})
    place = make_directory(server.directory / "held")
    gate, started = place / "gate", place / "started"
    code = stderr("'begin '") + GATE + stderr(r'"end\n"')
    uri = f"{server.script('held.php', code)}?gate={gate}&started={started}"
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        wait_until(started.exists, what="the script runs")
        if buffering == "no":
            server.wait_log('said into stderr: "begin $')
        else:
            assert "begin" not in server.log()
        gate.touch()
        connection.response()

    assert said(server, until="end") == [("stderr", "begin end")]


# ---------------------------------------------------------------- long lines


@pytest.mark.parametrize("buffering", ["yes", "no"])
@pytest.mark.parametrize("size", [2048, 2900, 20_000])
def test_long_line_goes_on_in_the_next(start_server: StartServer, buffering: str, size: int) -> None:
    server = start_server(pool=CAUGHT, options={"log_limit": "1050", "log_buffering": buffering})
    run(server, stderr(rf'str_repeat("a", {size}) . "\nlast\n"'))

    texts = [text for _stream, text in said(server, until='"last"')]
    lines = [len(line) + 1 for line in server.log_lines("aaa")]
    assert "".join(texts) == "a" * size + "last"
    assert set(lines[:-1]) == {1050}
    assert lines[-1] <= 1050


def test_long_raw_line_is_cut_without_a_mark(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    run(server, stderr(r'str_repeat("b", 2600) . "\nlast\n"'))

    assert [len(line) for line in raw(server, until="^last$")] == [1023, 1023, 554, 4]


@pytest.mark.parametrize("before", [1022, 1013, 1009, 1018, 100])
def test_mark_of_the_end_of_a_request_ends_the_line(start_server: StartServer, before: int) -> None:
    server = start_server(pool=RAW, options={"log_limit": "2000"})
    run(server, stderr(rf'str_repeat("a", {before}) . "\0fscf\0" . "last"'))

    assert raw(server, until="^last$") == ["a" * before, "last"]


def test_what_begins_like_that_mark_is_text(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    run(server, stderr(r'str_repeat("a", 1021) . "\0fabc"'))

    assert raw(server, until="^abc$") == ["a" * 1021 + "\0f", "abc"]


# ---------------------------------------------------------------- what PHP says


def test_message_of_php_goes_to_the_web_server_and_to_standard_error(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)

    assert run(server, "error_log('one'); error_log('two');") == b"PHP message: one; PHP message: two"
    assert [text for _stream, text in said(server, until="two")] == [
        "NOTICE: PHP message: one",
        "NOTICE: PHP message: two",
    ]


@pytest.mark.parametrize("size", [900, 1002, 1003, 4000])
def test_long_message_of_php_is_cut_with_dots(start_server: StartServer, size: int) -> None:
    server = start_server(pool=RAW)
    error = run(server, f"error_log(str_repeat('t', {size}));").decode()

    (line,) = raw(server, until="ttt")
    room = 1024 - len("NOTICE: PHP message: \n")
    text = "t" * size if size <= room else "t" * (room - 3) + "..."
    assert (error, line) == (f"PHP message: {text}", f"NOTICE: PHP message: {text}")


def test_at_level_debug_lines_tell_where_they_come_from(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT, options={"log_level": "debug"})
    run(server, "error_log('here');")

    (line,) = server.wait_log("here")
    stamp = STAMP.replace(r"\]", r"\.\d{6}\]")
    origin = r"pid \d+, (\w+|\(null\))\(\), line \d+: "
    assert re.fullmatch(
        rf"{stamp} WARNING: {origin}\[pool www\] child \d+ said into stderr: "
        r'"NOTICE: \w+\(\), line \d+: \0?PHP message: here"',
        line,
    )
    for line in server.log_lines(f"NOTICE: .*({READY}|fpm is running)"):
        assert re.match(rf"{stamp} NOTICE: {origin}", line)


def test_a_refusal_is_said_by_the_worker(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    (server.root / "page.html").write_text("text")
    response = server.fetch("/page.html")

    refused = (
        f"Access to the script '{server.root}/page.html' has been denied (see security.limit_extensions)"
    )
    assert response.stderr.decode() == refused
    assert said(server, until="denied") == [("stderr", f"NOTICE: {refused}")]


# ---------------------------------------------------------------- much of it


def test_no_line_is_lost(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    run(server, "for ($i = 0; $i < 50000; $i++) {" + stderr(r'"$i " . str_repeat("x", 90) . "\n"') + "}")

    lines = raw(server, until="^49999 ")
    assert [int(line.split()[0]) for line in lines] == list(range(50000))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_workers_do_not_wait_for_the_log(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    with stopped(server.pid):
        # The answer comes while nobody writes the log.
        run(server, "for ($i = 0; $i < 5000; $i++) {" + stderr(r'"$i " . str_repeat("x", 1000) . "\n"') + "}")
        assert "xxx" not in server.log()

    lines = raw(server, until="^4999 ")
    assert [int(line.split()[0]) for line in lines] == list(range(5000))


@pytest.mark.slow
def test_lines_that_nobody_can_keep_are_counted(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    code = "for ($i = 0; $i < 20000; $i++) {" + stderr(r'"$i " . str_repeat("x", 1000) . "\n"') + "}"
    with stopped(server.pid):
        run(server, code)

    def all_accounted_for() -> bool:
        told = server.log_lines(r"WARNING: \[pool www\] \d+ lines were dropped: the log does not keep up$")
        dropped = sum(int(re.findall(r"(\d+) lines", line)[0]) for line in told)
        return dropped > 0 and len(server.log_lines("xxx")) + dropped == 20000

    wait_until(all_accounted_for, what="every line is there or counted")


# ---------------------------------------------------------------- destinations


class Logging:
    """A server in the foreground that logs to wherever its configuration says, and not to standard error."""

    def __init__(self, kind: Kind, directory: Path, error_log: str, output: int | None = None) -> None:
        self.directory = directory
        make_directory(directory / "sessions")
        options = {"error_log": error_log, "syslog.ident": "fpm-test", "syslog.facility": "local3"}
        text = configuration(directory, f"{directory}/fpm.sock", pool=CAUGHT, options=options)
        (directory / "fpm.conf").write_text(text)
        argv = [*executable(kind), "-F", "-y", str(directory / "fpm.conf")]
        if output is not None:
            argv.insert(-2, "-O")
        with ExitStack() as stack:
            out = output or stack.enter_context((directory / "out").open("wb")).fileno()
            self.process = processes.spawn(argv, output=out)
        self.socket = directory / "fpm.sock"
        wait_until(self.serves, what="it serves")

    def serves(self) -> bool:
        assert self.process.poll() is None
        with suppress(OSError), Connection(str(self.socket)):
            return True
        return False

    def say(self, text: str) -> None:
        (self.directory / f"{text}.php").write_text("<?php " + stderr(f'"{text}\\n"') + "echo 'ok';")
        with Connection(str(self.socket)) as connection:
            connection.send(packet(cgi_params(str(self.directory), f"/{text}.php")))
            assert connection.response().text == "ok"


@pytest.fixture
def logging(server_kind: Kind, directory: Path) -> Iterator[Callable[..., Logging]]:
    with ExitStack() as stack:

        def start(error_log: str, output: int | None = None) -> Logging:
            server = Logging(server_kind, directory, error_log, output)

            def stop() -> None:
                below = processes.descendants(server.process.pid)
                assert processes.end(server.process, signal.SIGTERM) == 0
                processes.check_gone(below, before=set())

            stack.callback(stop)
            return server

        yield start


def holds(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and text in path.read_text()


def test_log_is_reopened_at_SIGUSR1(logging: Callable[..., Logging], directory: Path) -> None:
    file, old = directory / "error.log", directory / "old.log"
    server = logging(str(file))
    server.say("before")
    wait_until(holds(file, "before"), what="a line")
    file.rename(old)
    server.process.send_signal(signal.SIGUSR1)
    wait_until(holds(file, "NOTICE: error log file re-opened\n"), what="the new file")
    server.say("after")
    wait_until(holds(file, '"after"'), what="a line in the new file")

    assert "after" not in old.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_uid == os.geteuid()


def test_full_disk_does_not_end_the_master(logging: Callable[..., Logging]) -> None:
    server = logging("/dev/full")
    for number in range(3):
        server.say(f"unheard-{number}")
    server.process.send_signal(signal.SIGUSR1)
    server.say("unheard")

    assert server.process.poll() is None


def test_reader_that_is_gone_does_not_end_the_master(
    logging: Callable[..., Logging], directory: Path
) -> None:
    read, write = os.pipe()
    server = logging(str(directory / "error.log"), write)
    os.close(write)
    os.close(read)
    for number in range(3):
        server.say(f"unheard-{number}")

    assert server.process.poll() is None


def test_log_on_standard_error_has_each_line_once(logging: Callable[..., Logging], directory: Path) -> None:
    read, write = os.pipe()
    logging("/dev/stderr", write)
    os.close(write)
    os.set_blocking(read, False)
    content = b""

    def ready() -> bool:
        nonlocal content
        with suppress(BlockingIOError):
            content += os.read(read, 65536)
        return READY.encode() in content

    wait_until(ready, what="it is ready")
    os.close(read)
    assert content.count(READY.encode()) == 1


@pytest.mark.skipif(not ROOT or os.path.exists("/dev/log"), reason="/dev/log belongs to the system")
def test_syslog_gets_lines_with_ident_facility_and_level(logging: Callable[..., Logging]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system, ExitStack() as stack:
        system.bind("/dev/log")
        stack.callback(os.unlink, "/dev/log")
        system.settimeout(10)
        os.chmod("/dev/log", 0o666)
        server = logging("syslog")
        lines: list[str] = []
        while not lines or READY not in lines[-1]:
            lines.append(system.recv(4096).decode())

    (running,) = [line for line in lines if "fpm is running" in line]
    pid = server.process.pid
    # local3.notice
    assert re.match(rf"<{19 * 8 + 5}>.* fpm-test\[{pid}\]: \[NOTICE\] fpm is running, pid {pid}", running)
