"""Workers that are killed, and what the log says of it."""

import os
import re
from collections.abc import Iterator

import pytest

from kraal.fields import replace
from kraal.manager import stopping
from kraal.manager.kills import Kills, is_told
from kraal.memory.scoreboard import Stage
from kraal.unix.process import Pid
from tests.support.states import RUNNING


@pytest.fixture
def undying() -> Iterator[Pid]:
    """A process that no signal ends: it is dead, and not reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield Pid(pid)
    os.waitpid(pid, 0)


def test_kill_is_told_once_and_at_doubling_intervals_while_it_does_not_do(undying: Pid) -> None:
    said: list[str] = []
    kills = Kills(said.append)
    for _ in range(9):
        kills.kill(undying, "killing")

    first, *again = said
    assert first == "killing"
    assert [re.findall(r"sent (\d+) times", line) for line in again] == [["2"], ["4"], ["8"]]
    assert re.fullmatch(
        f"child {undying} is still there after SIGKILL, which was sent 2 times: state Z.*", again[0]
    )


def test_a_process_that_is_gone_is_forgotten(undying: Pid) -> None:
    said: list[str] = []
    kills = Kills(said.append)
    kills.kill(undying, "one")
    kills.forget(undying)
    kills.kill(undying, "another")

    assert said == ["one", "another"]


def test_intervals_double() -> None:
    assert [times for times in range(1, 70) if is_told(times)] == [1, 2, 4, 8, 16, 32, 64]


def test_line_of_a_worker_that_does_not_leave_names_its_request() -> None:
    state = replace(RUNNING, uri="/a.php", query="b=1", script="/srv/a.php")

    request = "script '/srv/a.php' (request: \"GET /a.php?b=1\")"
    text = f"child 7, {request} was told to leave and is still there, killing"
    assert stopping.explain(Pid(7), state) == text


def test_line_of_an_idle_worker_that_does_not_leave_says_so() -> None:
    text = "child 7, which is idle, was told to leave and is still there, killing"

    assert stopping.explain(Pid(7), replace(RUNNING, stage=Stage.IDLE)) == text
    assert stopping.explain(Pid(7), None) == text
