"""A pool's user who ends his processes while the server starts: the other pools do not wait for him."""

import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from kraal.errors import Exit
from tests.integration.conftest import StartKind, StartServer
from tests.support.killers import USER, killer
from tests.support.reloads import PATIENCE, command, reload
from tests.support.residents import program
from tests.support.running import running
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import ask
from tests.support.workspace import ROOT

pytestmark = [
    pytest.mark.skipif(not ROOT, reason="pools have users of their own under root only"),
    pytest.mark.slow,
]

POOL = "doomed"
TITLE = rf"(kraal|php-fpm): pool {POOL}"
DOOMED = {"user": USER, "group": USER}
FORGONE = rf"WARNING: \[pool {POOL}\] manager \d+ exited .*; starting another, and not waiting for it$"

REFUSED = re.compile(
    r"\[pool www\] manager \d+ exited on signal 9 \(SIGKILL\) after \d+\.\d+ seconds from start:"
    r" somebody has ended it 3 times, and no other pool serves$",
    re.MULTILINE,
)


def check_recovered(server: FpmServer, uri: str) -> None:
    """The pool serves when its user lets it; the next attempt may be some seconds away."""

    def serves() -> bool:
        # One that was killed last may have had a connection already.
        with suppress(AssertionError, ConnectionError):
            return ask(f"{server.directory}/{POOL}.sock", server, uri) == "served"
        return False

    wait_until(serves, at_most=PATIENCE, what="the pool serves")


def test_others_start_and_reload_while_a_user_kills_what_starts_of_his(
    start_server: StartServer,
) -> None:
    with killer(signal.SIGKILL, TITLE):
        server = start_server(more={POOL: DOOMED})
        uri = server.script("served.php", "echo 'served';")
        assert server.fetch(uri).text == "served"
        reload(server)
        assert server.fetch(uri).text == "served"
    if server.kind == "kraal":
        assert len(server.log_lines(FORGONE)) == 2
    check_recovered(server, uri)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSTOP], ids=["told to leave", "stopped"])
def test_others_start_while_a_user_holds_up_what_starts_of_his_pool(
    start_kind: StartKind, number: signal.Signals
) -> None:
    with killer(number, TITLE):
        server = start_kind("kraal", more={POOL: DOOMED})
        uri = server.script("served.php", "echo 'served';")
        assert server.fetch(uri).text == "served"


def test_others_start_while_a_user_kills_residents_of_his_that_boot(
    start_kind: StartKind, directory: Path
) -> None:
    script = program(directory / "worker.php", boot="usleep(200000);")
    workers = {"pm.max_children": "2", "worker.script": str(script), "worker.num": "1"}
    with killer(signal.SIGKILL, rf"kraal: pool {POOL} \(resident\)"):
        server = start_kind("kraal", more={POOL: DOOMED | workers})
        uri = server.script("served.php", "echo 'served';")
        assert server.fetch(uri).text == "served"
    assert len(server.log_lines(FORGONE)) == 1
    assert server.log_lines(
        rf"ERROR: \[pool {POOL}\] worker script .*: was being started when its process exited"
    )
    check_recovered(server, uri)


def test_pool_that_may_sleep_is_no_reason_to_wait_either(start_kind: StartKind) -> None:
    """Where all sleep, the manager of the first is started to try PHP: here it is his."""
    ondemand = {"pm": "ondemand"}
    with killer(signal.SIGKILL, "kraal: pool www"):
        server = start_kind("kraal", pool=DOOMED | ondemand, more={"other": ondemand})
        uri = server.script("served.php", "echo 'served';")
        assert ask(f"{server.directory}/other.sock", server, uri) == "served"
    server.wait_log(r"\[pool www\] manager \d+ exited .*; starting another, and not waiting for it$")
    assert ask(server.address, server, uri) == "served"


def test_start_or_reload_that_would_serve_nobody_fails_and_says_that_somebody_ended_the_manager(
    start_kind: StartKind, directory: Path
) -> None:
    with killer(signal.SIGKILL, "kraal: pool www"), running("kraal", directory, DOOMED) as failing:
        wait_until(lambda: failing.process.poll() is not None, at_most=PATIENCE, what="it has given up")
        assert REFUSED.search(failing.log())
    server = start_kind("kraal", pool=DOOMED)
    with killer(signal.SIGKILL, "kraal: pool www"):
        code, said = command(server)
    assert code == Exit.SOFTWARE
    assert REFUSED.search(said)
    uri = server.script("served.php", "echo 'served';")
    assert server.fetch(uri).text == "served"
