"""The error log: its file, its levels, and what scripts can and cannot do to it."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import ask

CAUGHT = {"catch_workers_output": "yes"}
RAW = CAUGHT | {"decorate_workers_output": "no"}
TO_STDERR = "$to = fopen('php://stderr', 'w'); "

LEVELS = ("debug", "notice", "warning", "error", "alert")


def holds(file: Path, text: str) -> bool:
    return file.exists() and text in file.read_text()


# ---------------------------------------------------------------- the file


@pytest.fixture
def logs(directory: Path) -> Path:
    folder = directory / "logs"
    folder.mkdir()
    return folder


def start_with(start_server: StartServer, logs: Path, *, level: str = "notice", awaited: str) -> FpmServer:
    log = logs / "error.log"
    return start_server(options={"error_log": str(log), "log_level": level}, log_file=log, awaited=awaited)


def test_sigusr1_goes_on_in_a_new_file_after_the_old_one_was_moved(
    start_server: StartServer, logs: Path
) -> None:
    server = start_with(start_server, logs, awaited="ready to handle")
    workers = server.workers()
    moved = server.log_file.rename(logs / "error.log.1")
    server.send(signal.SIGUSR1)
    server.wait_log("NOTICE: error log file re-opened$")
    old = moved.read_text()
    assert "ready to handle connections" in old
    assert "re-opened" not in old
    assert server.workers() == workers
    server.stop()
    assert "bye-bye!" in server.log()
    assert moved.read_text() == old


def lose(server: FpmServer) -> Path:
    """Move the log away together with its folder, so that it cannot be opened again; gives the new path."""
    logs = server.log_file.parent
    moved = logs.rename(logs.with_name("moved")) / server.log_file.name
    server.send(signal.SIGUSR1)
    return moved


def test_log_that_cannot_be_opened_again_goes_on_in_the_old_file(
    start_server: StartServer, logs: Path
) -> None:
    server = start_with(start_server, logs, awaited="ready to handle")
    moved = lose(server)
    message = f"ERROR: failed to open error_log ({server.log_file}): No such file or directory"
    wait_until(lambda: holds(moved, message), what="the error is in the old file")
    assert server.fetch(server.script("page.php", "echo 'served';")).text == "served"
    server.stop()
    assert "bye-bye!" in moved.read_text()


@pytest.mark.parametrize("level", LEVELS)
def test_log_level_is_the_least_that_is_logged(start_server: StartServer, logs: Path, level: str) -> None:
    server = start_with(start_server, logs, level=level, awaited="")
    uri = server.script("pid.php", "echo getmypid();")
    worker = server.fetch(uri).text
    os.kill(int(worker), signal.SIGKILL)
    wait_until(lambda: not processes.alive(int(worker)), what="the worker is gone")
    assert server.fetch(uri).text != worker
    moved = lose(server)
    if level != "alert":
        wait_until(lambda: holds(moved, "ERROR: "), what="the error is logged")
    server.stop()
    found = set(re.findall(r"^\[[^]]+\] ([A-Z]+): ", moved.read_text(), re.MULTILINE))
    assert found == {each.upper() for each in LEVELS[LEVELS.index(level) : -1]}


# ---------------------------------------------------------------- what workers write


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_output_that_is_caught_is_logged_line_by_line(start_server: StartServer, stream: str) -> None:
    server = start_server(pool=CAUGHT)
    uri = server.script(
        "write.php",
        f"$to = fopen('php://{stream}', 'w');"
        r"""fwrite($to, "one\n\ntwo\nhalf"); fwrite($to, " and half\n"); echo getmypid();""",
    )
    pid = server.fetch(uri).text
    server.wait_log("half")
    said = rf'WARNING: \[pool www\] child {pid} said into {stream}: "(.*)"$'
    found = [re.search(said, line) for line in server.wait_log("said into", times=3)]
    assert [match[1] for match in found if match] == ["one", "two", "half and half"]


def test_last_line_without_an_end_is_logged(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    assert server.fetch(server.script("write.php", TO_STDERR + "fwrite($to, 'the end');")).status == 200
    server.stop()
    # The worker may be ended before it has said that its request is over.
    assert server.log_lines(r'said into stderr: "the end"(, pipe is closed)?$'), server.log()


def test_output_that_is_not_decorated_shows_no_worker(start_server: StartServer) -> None:
    server = start_server(pool=RAW)
    assert server.fetch(server.script("write.php", TO_STDERR + r'fwrite($to, "as it is\n");')).status == 200
    (line,) = server.wait_log("as it is$")
    assert "said into" not in line
    assert '"' not in line


def test_output_that_is_not_caught_is_not_logged(start_server: StartServer) -> None:
    server = start_server(more={"second": CAUGHT})
    uri = server.script(
        "write.php", TO_STDERR + r'fwrite($to, $_GET["text"] . "\n"); error_log($_GET["text"]);'
    )
    response = server.fetch(f"{uri}?text=unheard")
    assert response.stderr.decode().strip() == "PHP message: unheard"
    ask(f"{server.directory}/second.sock", server, f"{uri}?text=heard")
    server.wait_log('PHP message: heard"')
    server.stop()
    assert "unheard" not in server.log()


def test_error_log_of_a_script_goes_to_the_web_server_and_to_the_log_if_that_catches(
    start_server: StartServer,
) -> None:
    server = start_server(pool=CAUGHT)
    response = server.fetch(server.script("log.php", "error_log('mind the gate');"))
    assert response.stderr.decode().strip() == "PHP message: mind the gate"
    # php-fpm puts the place in its source and a null byte in between.
    server.wait_log(r'said into stderr: "NOTICE: .*PHP message: mind the gate"$')


MEGABYTE_OF_LINES = TO_STDERR + (
    r'for ($i = 0; $i < 10240; $i++) { fwrite($to, sprintf("%06d%s\n", $i, str_repeat("x", 95))); }'
    "echo 'done';"
)


def test_megabyte_of_output_blocks_nothing_and_is_complete(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT | {"pm.max_children": "2"})
    uri = server.script("page.php", "echo 'served';")
    noisy = server.script("noisy.php", MEGABYTE_OF_LINES)
    with Connection(server.address) as connection:
        connection.send(packet(server.params(noisy)))
        assert server.fetch(uri).text == "served"
        assert connection.response().text == "done"
    server.wait_log("010239x")
    assert [int(each) for each in re.findall(r'"(\d{6})x{95}"', server.log())] == list(range(10240))


def test_megabyte_of_output_that_is_not_caught_blocks_nothing(start_server: StartServer) -> None:
    server = start_server()
    assert server.fetch(server.script("noisy.php", MEGABYTE_OF_LINES)).text == "done"


# What a terminal or a reader of the log would take for something else.
FORGED = r"""
    $line = '[20-Nov-2026 08:53:46] NOTICE: [pool www] forged';
    $text = "one\n$line\r$line\r\n\x1b[31m$line\x1b[0m\x08\x7f\0\xc2\x85$line\xe2\x80\xa8$line";
    fwrite(fopen('php://stderr', 'w'), "$text\n");
    fwrite(fopen('php://stdout', 'w'), "$text\n");
    error_log($text);
    trigger_error($text, E_USER_WARNING);
    fwrite(fopen('php://stderr', 'w'), "last\n");
"""


def test_nothing_that_a_pool_says_can_be_taken_for_another_line(start_server: StartServer) -> None:
    """Without decoration it can, as the operator asked for the text as it is."""
    server = start_server(more={"second": CAUGHT})
    address = f"{server.directory}/second.sock"
    ask(address, server, server.script("forge.php", FORGED))
    for name in ("forged\nforged\x1b[31m", "forged\nforged\x1b[31m.txt"):
        with Connection(address) as connection:
            connection.send(packet(server.params("/", extra={"SCRIPT_FILENAME": f"{server.root}/{name}"})))
            assert connection.response().status in (403, 404)
    server.wait_log("last")
    server.stop()
    lines = server.log_file.read_bytes().decode().split("\n")
    assert len([line for line in lines if "forged" in line]) >= 5
    for line in lines:
        assert line.isprintable()
        assert "forged" not in line or re.match(r"\[[^]]+\] \w+: \[pool second\] ", line)


# ---------------------------------------------------------------- JSON


def test_every_line_of_the_log_is_json_when_that_is_wanted(start_kind: StartKind) -> None:
    server = start_kind(
        "kraal",
        options={"log_format": "json", "log_level": "debug"},
        pool=CAUGHT,
        more={"raw": RAW | {"access.log": "/proc/self/fd/2", "access.format": "json"}},
    )
    forge = server.script("forge.php", FORGED)
    server.fetch(forge)
    ask(f"{server.directory}/raw.sock", server, forge)
    with Connection(f"{server.directory}/raw.sock") as connection:
        connection.send(packet(server.params(server.script("die.php", "posix_kill(posix_getpid(), 11);"))))
        connection.rest()
    server.wait_log("SIGSEGV")
    server.send(signal.SIGUSR1)
    server.wait_log("access log file re-opened")
    server.stop()
    found = [json.loads(line) for line in server.log_file.read_bytes().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}[+-]\d\d:\d\d", each["time"]) for each in found)
    said = [each for each in found if each.get("stream") == "stderr"]
    assert {each["pool"] for each in said} == {"www", "raw"}
    assert any("\x1b[31m" in each["message"] for each in said)
    (death,) = [each for each in found if "SIGSEGV" in each.get("message", "")]
    assert death["pool"] == "raw"
    assert death["level"] == "warning"
    assert any(each.get("uri") == forge for each in found)
    assert found[-1]["message"] == "exiting, bye-bye!"
