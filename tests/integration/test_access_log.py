"""The access log: its lines are php-fpm's, none is lost, and nobody waits for it."""

import json
import os
import re
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.wait import wait_until
from tests.support.workers import titled
from tests.support.workspace import ROOT, workspace

LOG = "access.log"


def lines(file: Path) -> list[str]:
    return file.read_text(errors="surrogateescape").splitlines() if file.exists() else []


def wait_lines(file: Path, number: int) -> list[str]:
    def complete() -> list[str] | None:
        found = lines(file)
        return found if len(found) >= number else None

    return wait_until(complete, what=f"{number} lines in {file.name}") or []


# ---------------------------------------------------------------- the same lines as php-fpm's

# Each by itself, so that a difference names the placeholder.
ALIKE = {
    "percent": "%%",
    "variables": "%{REQUEST_URI}e|%{HTTP_HOST}e|%{EMPTY}e|%{NONE}e|%{SCRIPT_FILENAME}e|%{PATH_INFO}e",
    "script": "%f",
    "length": "%l",
    "method": "%m",
    "memory": "%M|%{bytes}M|%{kilo}M|%{kilobytes}M|%{mega}M|%{megabytes}M",
    "pool": "%n",
    "header": "%{X-Test}o|%{X-None}o|%{Location}o",
    "query": "%q|%Q",
    "path": "%r",
    "remote": "%R",
    "status": "%s",
    "user": "%u",
}
# Of these only the form can be compared.
FORMS = {
    "cpu": ("%C|%{user}C|%{system}C|%{total}C", r"(\d+\.\d\d\|?){4}"),
    "seconds": ("%d|%{seconds}d", r"\d+\.\d{3}\|\d+\.\d{3}"),
    "milliseconds": ("%{milli}d|%{milliseconds}d|%{mili}d|%{miliseconds}d", r"(\d+\.\d{3}\|?){4}"),
    "microseconds": ("%{micro}d|%{microseconds}d", r"\d+\|\d+"),
    "pids": ("%p|%P", r"\d+\|\d+"),
    "time": ("%t|%T", r"(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+\d{4}\|?){2}"),
    "own time": ("%{%Y-%j %%}t|%{at %s}T", r"\d{4}-\d{3} %\|at \d+"),
}
FORMAT = "\t".join([*ALIKE.values(), *(text for text, _form in FORMS.values())])
MATRIX_POOL = {
    "access.format": f'"{FORMAT}"',
    "access.suppress_path[0]": "",
    "pm.status_path": "/status",
    "ping.path": "/ping",
}


@dataclass(frozen=True)
class Asked:
    """A request of the matrix."""

    uri: str
    method: str | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False


SCRIPTS = {
    "plain.php": "header('X-Test: a b'); echo 'hello';",
    "quiet.php": "",
    "status.php": "http_response_code(418); echo 'teapot';",
    "away.php": "header('Location: /elsewhere'); exit;",
    "odd.php": "header('HTTP/1.1 299 Odd'); header('X-Test:'); header('X-None:tight');",
    "fatal.php": "nothing_of_this_name();",
    "exit.php": "header('X-Test: before'); exit(3);",
    "large.php": "header('X-Test: large'); echo str_repeat('x', 100000);",
    "memory.php": "$x = str_repeat('x', 20 << 20); echo strlen($x);",
    "finish.php": "echo 'done'; fastcgi_finish_request(); http_response_code(404); header('X-Test: late');",
    "changed.php": "$_SERVER['REQUEST_METHOD'] = 'PUT'; putenv('EMPTY=x'); putenv('HTTP_HOST=forged');",
    "suppressed.php": "if (isset($_GET['fail'])) http_response_code(500); echo 'shh';",
    "suppressed404.php": "http_response_code(404);",
}
LOGIN = {"Authorization": "Basic Z3JlZ29yOnNlY3JldA=="}
MATRIX = {
    "plain": Asked("/plain.php"),
    "query": Asked("/plain.php?a=1&b=%20c"),
    "empty query": Asked("/plain.php?"),
    "HEAD": Asked("/plain.php", method="HEAD"),
    "another method": Asked("/plain.php", method="PROPFIND"),
    "POST": Asked("/plain.php?q", body=b"x" * 1234),
    "PUT": Asked("/plain.php", method="PUT", body=b"y" * 70_000),
    "PATH_INFO": Asked("/plain.php/and/more"),
    "kept connection": Asked("/plain.php", keep=True),
    "user": Asked("/plain.php", headers=LOGIN),
    "user of the web server": Asked("/plain.php", extra={"REMOTE_USER": "somebody"}),
    "empty variable": Asked("/plain.php", extra={"EMPTY": ""}),
    "no method": Asked("/plain.php", extra={"REQUEST_METHOD": ""}),
    "no script name": Asked("/plain.php", extra={"SCRIPT_NAME": ""}),
    "odd length": Asked("/plain.php", extra={"CONTENT_LENGTH": "007"}),
    "no output": Asked("/quiet.php"),
    "status": Asked("/status.php"),
    "redirect": Asked("/away.php"),
    "status line": Asked("/odd.php"),
    "fatal error": Asked("/fatal.php"),
    "exit": Asked("/exit.php"),
    "large answer": Asked("/large.php"),
    "memory": Asked("/memory.php"),
    "finish_request": Asked("/finish.php"),
    "changed by the script": Asked("/changed.php"),
    "no such file": Asked("/missing.php?a"),
    "no such file below": Asked("/missing/dir/x.php", method="POST", body=b"abc"),
    "denied": Asked("/text.txt"),
    "a folder": Asked("/folder.php"),
    "climbing": Asked("/../plain.php"),
    "ping": Asked("/ping"),
    "ping HEAD": Asked("/ping", method="HEAD"),
    "ping with query and user": Asked("/ping?x=1", headers=LOGIN),
    "status page": Asked("/status?json&full"),
    "suppressed": Asked("/suppressed.php"),
    "suppressed HEAD": Asked("/suppressed.php", method="HEAD"),
    "suppressed with query": Asked("/suppressed.php?x"),
    "suppressed with empty query": Asked("/suppressed.php?"),
    "suppressed with body": Asked("/suppressed.php", body=b"x"),
    "suppressed GET with body": Asked("/suppressed.php", method="GET", body=b"x"),
    "suppressed with PATH_INFO": Asked("/suppressed.php/x"),
    "suppressed that fails": Asked("/suppressed404.php"),
    "suppressed ping": Asked("/ping", extra={"SCRIPT_NAME": "/ping"}),
}


@pytest.fixture(scope="module")
def matrix() -> Iterator[dict[Kind, dict[str, list[str]]]]:
    """The lines that each request of the matrix leaves, by server."""
    found: dict[Kind, dict[str, list[str]]] = {}
    with ExitStack() as stack:
        for kind in KINDS:
            directory = stack.enter_context(workspace())
            pool = MATRIX_POOL | {"access.log": f"{directory}/{LOG}"}
            pool |= {"access.suppress_path[]": "/suppressed.php\naccess.suppress_path[] = /suppressed404.php"}
            server = FpmServer.start(kind, directory, pool=pool, tcp=True)
            stack.callback(server.stop)
            prepare(server)
            found[kind] = ask_all(server)
        yield found


def prepare(server: FpmServer) -> None:
    for name, code in SCRIPTS.items():
        server.script(name, code)
    (server.root / "text.txt").write_text("text")
    (server.root / "folder.php").mkdir()


def ask_all(server: FpmServer) -> dict[str, list[str]]:
    file = server.directory / LOG
    found: dict[str, list[str]] = {}
    end = server.params("/plain.php?the-end")
    for name, asked in MATRIX.items():
        before = len(lines(file))
        extra = {"DOCUMENT_ROOT": str(server.root)} | dict(asked.extra)
        params = server.params(
            asked.uri, method=asked.method, body=asked.body, headers=asked.headers, extra=extra
        )
        with Connection(server.address) as connection:
            connection.send(packet(params, asked.body, keep=asked.keep))
            connection.response()
        with Connection(server.address) as connection:
            # One that is logged for sure, by the same worker: what stands before it is all there is.
            connection.send(packet(end))
            connection.response()
        wait_until(lambda: "the-end" in "".join(lines(file)[before:]), what=f"{name} is logged")  # noqa: B023
        found[name] = [
            line.replace(str(server.directory), "DIR")
            for line in lines(file)[before:]
            if "the-end" not in line
        ]
    return found


@pytest.mark.parametrize("name", MATRIX)
def test_request_is_logged_as_by_php_fpm(matrix: dict[Kind, dict[str, list[str]]], name: str) -> None:
    ours, theirs = ([fields(line) for line in matrix[kind][name]] for kind in KINDS)
    assert ours == theirs
    assert len(ours) == (0 if name in ("suppressed", "suppressed HEAD", "suppressed with empty query") else 1)


def fields(line: str) -> dict[str, str]:
    """What can be compared; the form of the rest is."""
    shown = line.split("\t")
    assert len(shown) == len(ALIKE) + len(FORMS)
    for (name, (_text, form)), value in zip(FORMS.items(), shown[len(ALIKE) :], strict=True):
        assert re.fullmatch(form, value), name
    return dict(zip(ALIKE, shown[: len(ALIKE)], strict=True))


# ---------------------------------------------------------------- what differs on purpose


def logging_server(start_server: StartServer, directory: Path, text: str, **options: str) -> FpmServer:
    pool = {"access.log": f"{directory}/{LOG}", "access.format": f'"{text}"'} | options
    return start_server(pool=pool)


def test_default_format_is_php_fpm_s(start_server: StartServer, directory: Path) -> None:
    server = start_server(pool={"access.log": f"{directory}/$pool.{LOG}"})
    assert server.fetch(server.script("a.php", "echo 1;")).text == "1"
    (line,) = wait_lines(directory / f"www.{LOG}", 1)
    assert re.fullmatch(r'- -  \d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4} "GET /a\.php" 200', line)
    assert stat.S_IMODE((directory / f"www.{LOG}").stat().st_mode) == 0o600


def test_status_of_shutdown_functions_is_logged(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%s %{X-Late}o")
    code = "register_shutdown_function(function () { http_response_code(503); header('X-Late: yes'); });"
    assert server.fetch(server.script("late.php", code)).status == 503
    assert wait_lines(directory / LOG, 1) == ["503 yes"]


def test_control_characters_are_escaped(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%q %u %{HTTP_X}e")
    uri = server.script("a.php", "")
    login = {"HTTP_AUTHORIZATION": "Basic YQpiOmM="}  # a newline in the name
    server.fetch(f"{uri}?1\n2 forged", extra={"HTTP_X": "\x1b[31m"} | login)
    assert wait_lines(directory / LOG, 1) == ["1\\x0a2 forged a\\x0ab \\x1b[31m"]


def test_line_is_as_long_as_log_limit(start_server: StartServer, directory: Path) -> None:
    pool = {"access.log": f"{directory}/{LOG}", "access.format": '"%m %q"'}
    server = start_server(pool=pool, options={"log_limit": "9000"})
    uri = server.script("a.php", "")
    server.fetch(f"{uri}?{'q' * 8000}")
    server.fetch(f"{uri}?{'q' * 20_000}")
    whole, cut = wait_lines(directory / LOG, 2)
    assert len(whole) == 8004
    assert len(cut) == 8999


def test_json_is_json_whatever_is_asked_for(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "json %{HTTP_USER_AGENT}e %{X-Back}o")
    uri = server.script("a.php", "header('X-Back: \"\\\\'); echo $_SERVER['REQUEST_ID'];")
    start = {"REQUEST_START": f"{time.time() - 3:.3f}"}
    agent = '"\\</script>\t\x7f'
    shown = server.fetch(f'{uri}?q="\x01', headers={"User-Agent": agent}, extra=start).text
    (line,) = wait_lines(directory / LOG, 1)
    found = json.loads(line)
    assert found["uri"] == uri
    assert found["query"] == 'q="\x01'
    assert found["HTTP_USER_AGENT"] == agent
    assert found["X-Back"] == '"\\'
    assert found["status"] == 200
    assert found["request_id"] == shown
    assert re.fullmatch("[0-9a-f]{32}", shown)
    assert 2000 <= found["queue_ms"] < 60_000


def test_request_id_is_that_of_the_web_server(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%i")
    uri = server.script("a.php", "")
    server.fetch(uri, extra={"REQUEST_ID": "first", "HTTP_X_REQUEST_ID": "second"})
    server.fetch(uri, extra={"HTTP_X_REQUEST_ID": "second"})
    server.fetch(uri)
    server.fetch(uri)
    first, second, *made = wait_lines(directory / LOG, 4)
    assert (first, second) == ("first", "second")
    assert len(set(made)) == 2


def test_request_of_a_client_that_has_left_is_logged(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%s %q")
    code = (
        "ignore_user_abort(true); while (!connection_aborted()) { echo str_repeat('x', 1 << 16); flush(); }"
    )
    uri = server.script("endless.php", code)
    with Connection(server.address) as connection:
        connection.send(packet(server.params(f"{uri}?gone")))
        connection.read()
    assert wait_lines(directory / LOG, 1) == ["200 gone"]


def test_every_request_of_a_kept_connection_is_logged(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%R %q")
    uri = server.script("a.php", "")
    with Connection(server.address) as connection:
        for number in range(3):
            connection.send(packet(server.params(f"{uri}?{number}"), keep=True))
            connection.response()
    assert wait_lines(directory / LOG, 3) == ["- 0", "- 1", "- 2"]


# ---------------------------------------------------------------- the file


def test_no_line_is_lost_when_the_file_is_moved(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%q", **{"pm.max_children": "2"})
    uri = server.script("a.php", "echo getmypid();")
    asked = 0
    for turn in range(3):
        for _ in range(20):
            server.fetch(f"{uri}?{asked}")
            asked += 1
        (directory / LOG).rename(directory / f"{LOG}.{turn}")
        server.send(signal.SIGUSR1)
        server.wait_log("NOTICE: access log file re-opened$", times=turn + 1)
        server.fetch(f"{uri}?{asked}")
        wait_until(lambda: lines(directory / LOG)[-1:] == [str(asked)], what="the new file is used")  # noqa: B023
        asked += 1
    server.stop()
    moved = [directory / f"{LOG}.{turn}" for turn in range(3)]
    assert [int(line) for file in (*moved, directory / LOG) for line in lines(file)] == list(range(asked))
    assert not server.log_lines("child .* started")


def test_lines_are_complete_when_the_server_stops(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%q", **{"pm.max_children": "4"})
    uri = server.script("a.php", "")
    for number in range(200):
        server.fetch(f"{uri}?{number}")
    server.stop()
    assert sorted(map(int, lines(directory / LOG))) == list(range(200))


def test_reload_goes_on_in_the_same_file(start_server: StartServer, directory: Path) -> None:
    server = logging_server(start_server, directory, "%q")
    uri = server.script("a.php", "")
    server.fetch(f"{uri}?before")
    server.send(signal.SIGUSR2)
    server.wait_log("ready to handle connections", times=2)
    server.fetch(f"{uri}?after")
    assert wait_lines(directory / LOG, 2) == ["before", "after"]


def test_pool_that_sleeps_writes_to_the_new_file_when_it_wakes(
    start_server: StartServer, directory: Path
) -> None:
    server = logging_server(start_server, directory, "%q", pm="ondemand")
    (directory / LOG).rename(directory / f"{LOG}.1")
    server.send(signal.SIGUSR1)
    server.wait_log("NOTICE: access log file re-opened$")
    server.fetch(f"{server.script('a.php', '')}?awake")
    assert wait_lines(directory / LOG, 1) == ["awake"]
    assert lines(directory / f"{LOG}.1") == []


def test_file_that_cannot_be_opened_is_told_at_the_start(server_kind: Kind, directory: Path) -> None:
    with pytest.raises(AssertionError, match="did not start"):
        FpmServer.start(server_kind, directory, pool={"access.log": f"{directory}/none/a.log"})
    log = (directory / "log").read_text() + (directory / "error.log").read_text()
    reason = "No such file or directory (2)"
    assert f"ERROR: failed to open access log ({directory}/none/a.log): {reason}\n" in log


@pytest.mark.skipif(not ROOT, reason="only root can change users")
def test_file_is_the_master_s_and_not_the_pool_s(start_server: StartServer, directory: Path) -> None:
    folder = directory / "private"
    folder.mkdir(0o700)
    server = start_server(pool={"access.log": f"{folder}/{LOG}", "access.format": "%r"})
    server.fetch(server.script("a.php", ""))
    assert wait_lines(folder / LOG, 1) == ["/a.php"]
    assert (folder / LOG).stat().st_uid == 0


def test_pools_may_share_a_file(start_server: StartServer, directory: Path) -> None:
    log = {"access.log": f"{directory}/{LOG}", "access.format": "%n"}
    server = start_server(pool=log, more={"second": log})
    uri = server.script("a.php", "")
    for number in range(1, 11):
        with Connection(f"{server.directory}/second.sock") as connection:
            connection.send(packet(server.params(uri)))
            connection.response()
        server.fetch(uri)
        wait_lines(directory / LOG, 2 * number)
    assert sorted(lines(directory / LOG)) == ["second"] * 10 + ["www"] * 10


# ---------------------------------------------------------------- nobody waits


def scribe(server: FpmServer) -> int:
    (pid,) = wait_until(lambda: titled(server, "kraal: pool www (access log)"), what="there is a scribe")
    return pid


def pipe_log(directory: Path) -> Path:
    file = directory / "pipe"
    os.mkfifo(file)
    return file


def test_workers_do_not_wait_for_the_access_log(start_server: StartServer, directory: Path) -> None:
    """A pipe that nobody reads, and more lines than it and the way to it have room for."""
    file = pipe_log(directory)
    server = start_server(
        pool={"access.log": str(file), "access.format": '"%q"'}, options={"log_limit": "60000"}
    )
    uri = server.script("a.php", "")
    for number in range(60):
        assert server.fetch(f"{uri}?{number}-{'x' * 40_000}").status == 200
    server.wait_log(r"WARNING: \[pool www\] \d+ lines? of the access log lost: its reader")

    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    content = b""

    def read_all() -> bool:
        nonlocal content
        try:
            content += os.read(reader, 1 << 20)
        except BlockingIOError:
            return content.count(b"\n") > 20
        return False

    wait_until(read_all, what="the lines are read")
    server.fetch(f"{uri}?again")

    def ends() -> bool:
        read_all()
        return content.endswith(b"\nagain\n")

    wait_until(ends, what="the log goes on")
    os.close(reader)
    shown = [line.partition(b"-") for line in content.decode().encode().splitlines()]
    # What is there is whole, and in its order.
    assert all(rest == b"x" * 40_000 for _number, _, rest in shown[:-1])
    numbers = [int(number) for number, _, _rest in shown[:-1]]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0


def test_stopped_scribe_stops_no_worker(start_server: StartServer, directory: Path) -> None:
    """A disk that does not answer holds its writer as a stop signal does."""
    server = logging_server(start_server, directory, "%q")
    uri = server.script("a.php", "")
    pid = scribe(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(20):
            assert server.fetch(f"{uri}?{number}").status == 200
        assert lines(directory / LOG) == []
    finally:
        os.kill(pid, signal.SIGCONT)
    assert wait_lines(directory / LOG, 20) == [str(number) for number in range(20)]


def test_scribe_that_is_killed_is_replaced_and_loses_nothing(
    start_server: StartServer, directory: Path
) -> None:
    server = logging_server(start_server, directory, "%q")
    uri = server.script("a.php", "")
    pid = scribe(server)
    os.kill(pid, signal.SIGSTOP)
    for number in range(20):
        server.fetch(f"{uri}?{number}")
    os.kill(pid, signal.SIGKILL)
    assert wait_lines(directory / LOG, 20) == [str(number) for number in range(20)]
    wait_until(lambda: titled(server, "kraal: pool www (access log)") - {pid}, what="there is another")


def test_scribe_whose_reader_never_comes_does_not_outlive_the_server(
    start_server: StartServer, directory: Path
) -> None:
    server = start_server(pool={"access.log": str(pipe_log(directory)), "access.format": '"%q"'})
    uri = server.script("a.php", "")
    pid = scribe(server)
    for _ in range(30):
        server.fetch(f"{uri}?{'x' * 1000}")
    for _ in range(60):
        server.fetch(f"{uri}?{'x' * 1000}")
    server.stop()
    assert not processes.alive(pid)


def test_full_disk_is_told_and_counted(start_server: StartServer, directory: Path) -> None:
    server = start_server(pool={"access.log": "/dev/full", "access.format": "%r"})
    uri = server.script("a.php", "")
    server.fetch(uri)

    def told() -> bool:
        server.fetch(uri)
        return bool(
            server.log_lines(r"WARNING: \[pool www\] \d+ lines? of the access log lost: No space left")
        )

    wait_until(told, what="the loss is told")


def test_descriptor_of_our_own_is_the_log(server_kind: Kind, directory: Path) -> None:
    server = FpmServer.start(
        server_kind, directory, pool={"access.log": "/proc/self/fd/2", "access.format": '"%r end"'}
    )
    try:
        server.fetch(server.script("a.php", ""))
        server.wait_log("^/a.php end$")
        server.send(signal.SIGUSR1)
        server.wait_log("access log file re-opened")
        server.fetch(server.script("b.php", ""))
        server.wait_log("^/b.php end$")
    finally:
        server.stop()
