"""`kraal top` in a real terminal, beside a kraal that works."""

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import StartKind
from tests.support import processes, reloads
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer, executable
from tests.support.terminal import Terminal
from tests.support.wait import wait_until
from tests.support.workers import Held

FAST = ("--interval", "0.2")
MORE = {"shop": {"pm.max_children": "2"}}


def command(server: FpmServer, *arguments: str) -> list[str]:
    return [*executable("kraal"), "top", "-g", str(server.pid_file), *FAST, *arguments]


def plain(server: FpmServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(server, *arguments), capture_output=True, text=True, timeout=60)


@contextmanager
def load(server: FpmServer) -> Iterator[None]:
    """Somebody who asks again and again."""
    uri, ended = server.script("load.php", "usleep(1000);"), threading.Event()

    def ask() -> None:
        with Connection(server.address) as connection:
            while not ended.is_set():
                connection.send(packet(server.params(uri), keep=True))
                assert connection.response().status == 200

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_pools_and_workers_are_shown_live(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "3"}, more=MORE)
    held = Held(server)

    with Terminal(command(server)) as terminal, load(server):
        shown = "\n".join(terminal.wait_for("/held.php"))
        assert f"master {server.pid}, up " in shown
        assert "pools 2  workers 5" in shown
        assert re.search(r"^www +\d +\d +\d +3 ", shown, re.M)
        assert re.search(r"^ *\d+ www +running +\d.* GET +/held.php", shown, re.M)
        # The load makes its requests by the second.
        wait_until(
            lambda: re.search(r" [1-9][0-9.]+ requests/s", "\n".join(terminal.read())), what="a rate is shown"
        )
        assert held.release().status == 200
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.is_as_before


def test_keys_choose_what_is_shown(start_kind: StartKind) -> None:
    server = start_kind("kraal", more=MORE)
    server.fetch(server.script("a.php", "echo 1;"))

    with Terminal(command(server)) as terminal:
        terminal.wait_for("TIME")
        terminal.press("\x1bOC")  # the arrow to the right, as a terminal sends it to a program of the screen
        terminal.wait_for("REQS")
        terminal.press("\t")
        wait_until(lambda: "method" not in "\n".join(terminal.read()), what="pools are shown alone")
        terminal.press("\t")
        wait_until(lambda: "queue" not in "\n".join(terminal.read()), what="workers are shown alone")
        terminal.press("fshop\n")
        terminal.wait_for("pools with shop")
        assert "/a.php" not in "\n".join(terminal.read())
        terminal.press("p")
        terminal.wait_for("paused")
        terminal.press("?")
        terminal.wait_for("turn the order around")
        terminal.press("qq")
        assert terminal.wait_end() == 0


def test_it_holds_nothing_longer_than_a_look(start_kind: StartKind) -> None:
    server = start_kind("kraal", more=MORE)

    with Terminal(command(server, "--interval", "0.1")) as terminal:
        terminal.wait_for("requests/s")
        held = processes.descriptors(terminal.process.pid)
        seen: set[str] = set()

        def looked() -> bool:
            seen.add(terminal.read()[0].partition(", up ")[2][:6])
            return len(seen) > 8

        wait_until(looked, what="it has looked again and again")
        assert len(processes.descriptors(terminal.process.pid)) <= len(held) + 3
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_screen_follows_the_size_of_the_terminal(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with Terminal(command(server)) as terminal:
        terminal.wait_for("url")
        assert "script" not in "\n".join(terminal.read())
        terminal.resize(40, 160)
        terminal.wait_for("script")
        terminal.resize(3, 20)
        wait_until(lambda: terminal.read()[0].startswith("kraal "), what="the head is shown")
        terminal.resize(24, 80)
        terminal.wait_for("url")
        terminal.press("q")
        assert terminal.wait_end() == 0


HOSTILE = {
    "method": {"REQUEST_METHOD": "\x1b[7m", "SCRIPT_NAME": "/one"},
    "title": {"SCRIPT_NAME": "/two\x1b[2J\x1b]0;owned\x07"},
    "direction": {"SCRIPT_NAME": "/three\u202egnp.exe"},
    "width": {"SCRIPT_NAME": "/four日本語\u200b", "QUERY_STRING": "e\u0301"},
    "no-utf-8": {"SCRIPT_NAME": "/five\udc9b31m", "QUERY_STRING": "\udcff"},
    "lines": {"SCRIPT_NAME": "/six", "QUERY_STRING": "a\r\nb\x1b[31m"},
}
HARM = (
    b"\x1b]0;",
    b"\x1b[7mx",
    b"\x1b[31m",
    b"\x9b31m",
    "\u202e".encode(),
    "\u200b".encode(),
    "\u0301".encode(),
)


def test_what_requests_say_does_the_terminal_no_harm(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with Terminal(command(server), columns=100) as terminal:
        for number, extra in zip(
            ("one", "two", "three", "four", "five", "six"), HOSTILE.values(), strict=True
        ):
            server.fetch("/none.php", extra=extra)
            shown = terminal.wait_for(f"/{number}")
            assert shown[2].startswith("? for help")
            assert shown[7].split()[1:3] == ["www", "idle"]
            text = plain(server, "--once").stdout
            assert f"/{number}" in text
            assert not set(text) & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))} - {"\n"}
        assert [harm for harm in HARM if harm in terminal.received] == []
        terminal.press("q")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -15), (signal.SIGHUP, -1), (signal.SIGQUIT, -3), (signal.SIGINT, 0)]
)
def test_signal_ends_it_and_the_terminal_is_as_before(
    start_kind: StartKind, number: signal.Signals, code: int
) -> None:
    server = start_kind("kraal")

    with Terminal(command(server, "--interval", "60")) as terminal:
        terminal.wait_for("url")
        terminal.send(number)
        assert terminal.wait_end() == code
        assert terminal.is_as_before


def test_stopped_and_continued_it_draws_again(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    shell = ["bash", "-mc", '"$@"; echo it is away; read -r; fg', "bash", *command(server)]
    with Terminal(shell) as terminal:
        terminal.wait_for("url")
        terminal.press("\x1a")
        terminal.wait_for("it is away")
        assert terminal.is_as_before
        terminal.press("\n")
        # Until it has the terminal again, keys are not its own.
        wait_until(lambda: terminal.read() and not terminal.is_as_before, what="it draws again")
        terminal.wait_for("url")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_it_goes_on_after_a_reload(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with Terminal(command(server)) as terminal:
        terminal.wait_for(f"{next(iter(server.workers()))} www")
        reloads.reload(server)
        (worker,) = server.workers()
        terminal.wait_for(f"{worker} www")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_it_says_that_the_master_has_ended_and_waits_for_the_next(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with Terminal(command(server)) as terminal:
        terminal.wait_for("url")
        server.stop()
        terminal.wait_for(f"the master {server.pid} has ended, waiting for the next one")
        other = start_kind("kraal")
        server.pid_file.write_text(str(other.pid))
        terminal.wait_for(f"master {other.pid}, up")
        terminal.wait_for("? for help")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_it_ends_with_a_master_that_was_named_by_its_number(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with Terminal(command(server, "-g", str(server.pid))) as terminal:
        terminal.wait_for("url")
        server.stop()
        assert terminal.wait_end() == 70
        assert terminal.is_as_before
        assert f"kraal top: the master {server.pid} has ended" in "\n".join(terminal.read())


def test_once_prints_both_tables(start_kind: StartKind) -> None:
    server = start_kind("kraal", more=MORE)
    held = Held(server)

    done = plain(server, "--once", "--pool", "www")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^www +0 +1 +1 +1 +0 +\d+ +0.0 ", done.stdout, re.M)
    assert "/held.php" in done.stdout
    assert not re.search("^shop", done.stdout, re.M)
    assert held.release().status == 200


def test_batch_prints_them_again_and_again(start_kind: StartKind) -> None:
    server = start_kind("kraal")

    with subprocess.Popen(command(server, "--batch"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        heads = (line for line in process.stdout if line.startswith("kraal "))
        assert next(heads)
        assert next(heads)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130


def test_who_has_no_terminal_is_told_what_to_do(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    done = plain(server)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "kraal top: this is no terminal: --once and --batch print text\n"

    with Terminal(command(server), environ={"TERM": "nobody-knows"}) as terminal:
        assert terminal.wait_end() == 70
        assert "--once and --batch print text" in "".join(terminal.read())


def test_it_works_where_no_letters_but_ascii_are(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    server.fetch("/none.php", extra={"SCRIPT_NAME": "/é\u65e5" + "x" * 200})

    with Terminal(command(server), environ={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}) as terminal:
        terminal.wait_for("xxxx")
        terminal.press("q")
        assert terminal.wait_end() == 0
