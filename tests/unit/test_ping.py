"""`kraal ping`: whom it asks, whom it leaves asleep, and what it makes of answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kraal.command import ping
from kraal.command.ping import Answer, Question, State
from kraal.config.model import Pm, Pool
from kraal.errors import Place
from kraal.fastcgi.connection import ServerConnection
from kraal.fastcgi.events import ParamsComplete
from kraal.fields import replace
from kraal.memory.scoreboard import PoolState
from tests.support.states import RUNNING

WWW = Pool(name="www", at=Place("fpm.conf"), listen="/run/www.sock", pm_max_children=1)
ONDEMAND = replace(WWW, pm=Pm.ONDEMAND)
AWAKE = PoolState(started_at=0, accepted=0, slow=0, max_active=0, max_children_reached=0, workers=(RUNNING,))
ASLEEP = replace(AWAKE, workers=())
ASKED = Question(pool="www", address="/run/www.sock", page=None, text="pong")


@pytest.mark.parametrize(
    ("pool", "state", "wake", "expected"),
    [
        (WWW, None, False, ASKED),
        (WWW, ASLEEP, False, ASKED),
        (replace(WWW, ping_path="/ping"), AWAKE, False, replace(ASKED, page="/ping")),
        (
            replace(WWW, ping_path="/p", ping_response="yes"),
            AWAKE,
            False,
            replace(ASKED, page="/p", text="yes"),
        ),
        (replace(WWW, listen="9000"), AWAKE, False, replace(ASKED, address=("127.0.0.1", 9000))),
        (replace(WWW, listen="[::1]:9000"), AWAKE, False, replace(ASKED, address=("::1", 9000))),
        (ONDEMAND, AWAKE, False, ASKED),
        (ONDEMAND, ASLEEP, True, ASKED),
        (ONDEMAND, None, True, ASKED),
        (ONDEMAND, None, False, Answer(pool="www", state=State.ASLEEP, checked="the master")),
        (ONDEMAND, ASLEEP, False, Answer(pool="www", state=State.ASLEEP, checked="the master")),
    ],
)
def test_pool_is_asked_where_web_servers_ask_it_and_is_not_woken(
    pool: Pool, state: PoolState | None, wake: bool, expected: Question | Answer
) -> None:
    assert ping.step(pool, {"www": state} if state else {}, wake=wake) == expected


def test_pool_that_may_be_asleep_is_not_asked_and_does_not_pass_for_well() -> None:
    answer = ping.step(ONDEMAND, "no master", wake=False)

    assert isinstance(answer, Answer)
    assert answer.state is State.SILENT
    assert "--wake" in (answer.failure or "")
    assert "no master" in (answer.failure or "")


def test_failure_tells_what_the_workers_do() -> None:
    silent = Answer(pool="www", state=State.SILENT, checked="/ping", failure="no answer")

    assert ping.explained(silent, {}) == ping.explained(silent, "no master") == silent
    assert ping.explained(silent, {"www": AWAKE}).failure == "no answer; workers: 1 active, 0 idle"


@contextmanager
def application(path: Path, answer: bytes, *, forever: bool = False) -> Iterator[str]:
    """Take one connection, and answer its request with a page, or with a page that has no end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        peer, _ = listener.accept()
        connection = ServerConnection()
        with peer, suppress(ConnectionError):
            while received := peer.recv(65536):
                connection.receive_data(received)
                for event in connection.events():
                    if isinstance(event, ParamsComplete):
                        peer.sendall(connection.stdout(answer))
                        while forever:
                            peer.sendall(connection.stdout(answer))
                        peer.sendall(connection.end(0))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(path)
    finally:
        thread.join(timeout=10)
        listener.close()


@pytest.mark.parametrize(
    ("page", "state", "failure"),
    [
        (b"Content-type: text/plain\r\n\r\npong", State.ANSWERS, None),
        (
            b"Content-type: text/plain\r\n\r\n<html>",
            State.SILENT,
            "another page was answered, with status 200",
        ),
        (b"Status: 404 No\r\n\r\npong", State.SILENT, "another page was answered, with status 404"),
        (b"nothing", State.SILENT, "the answer is none of FastCGI's"),
    ],
)
def test_only_the_page_itself_is_an_answer(
    tmp_path: Path, page: bytes, state: State, failure: str | None
) -> None:
    with application(tmp_path / "socket", page) as address:
        answer = ping.ask(replace(ASKED, address=address, page="/ping"), timeout=20)

    assert (answer.state, answer.failure) == (state, failure)
    assert (answer.ms is None) == (failure is not None)


def test_answer_without_an_end_is_given_up(tmp_path: Path) -> None:
    with application(tmp_path / "socket", b"x" * 1000, forever=True) as address:
        answer = ping.ask(replace(ASKED, address=address, page="/ping"), timeout=20)

    assert answer.failure == "the answer is longer than a page of ours can be"


def test_answer_that_trickles_is_given_up_in_time(tmp_path: Path) -> None:
    with application(tmp_path / "socket", b"", forever=True) as address:
        answer = ping.ask(replace(ASKED, address=address, page="/ping"), timeout=0.05)

    assert answer.failure == "no answer within 0.05 seconds"


def test_pool_that_is_not_there_is_silent(tmp_path: Path) -> None:
    answer = ping.ask(replace(ASKED, address=str(tmp_path / "none")), timeout=1)

    assert (answer.state, answer.failure) == (State.SILENT, "No such file or directory")
