"""What the log says of workers that are gone."""

import pytest

from kraal.fields import replace
from kraal.manager.exit_message import Death, describe
from kraal.memory.scoreboard import Stage, WorkerState
from tests.support.states import RUNNING

STATE = replace(
    RUNNING, pid=12, requests=7, accepted_ns=10_000_000_000, uri="/a.php", query="x=1", script="/srv/a.php"
)
CRASH = Death(
    pid=12,
    end="exited on signal 11 (SIGSEGV)",
    age=2.5,
    expected=False,
    state=STATE,
    now_ns=10_250_000_000,
    memory=3 << 20,
)
HEAD = "child 12 exited on signal 11 (SIGSEGV) after 2.500000 seconds from start"
URL = "\"GET /a.php?x=1\", script '/srv/a.php'"


def test_request_memory_and_last_error_are_told() -> None:
    death = replace(CRASH, state=replace(STATE, error="Warning: x in /srv/a.php on line 3"))
    assert describe(death) == (
        f"{HEAD}; request 7 was running for 0.250 seconds: {URL}; memory 3.0 MB at most;"
        " last PHP error 'Warning: x in /srv/a.php on line 3'"
    )


def test_idle_worker_is_told_with_its_last_request() -> None:
    death = replace(CRASH, state=replace(STATE, stage=Stage.IDLE), memory=0)
    assert describe(death) == f"{HEAD}; it was idle, request 7 was {URL}"


def test_worker_that_has_served_nothing() -> None:
    death = replace(CRASH, state=replace(STATE, stage=Stage.IDLE, requests=0), memory=0)
    assert describe(death) == f"{HEAD}; it had served nothing"


def test_lack_of_memory_is_told_first() -> None:
    assert describe(replace(CRASH, out_of_memory=True)).startswith(
        f"{HEAD}; by the kernel, for lack of memory; request 7"
    )


@pytest.mark.parametrize("state", [None, replace(STATE, stage=Stage.IDLE)])
def test_end_that_was_expected_is_told_in_php_fpm_s_words_alone(state: WorkerState | None) -> None:
    assert describe(replace(CRASH, expected=True, state=state)) == HEAD


def test_end_in_the_middle_of_a_request_is_never_expected() -> None:
    death = replace(CRASH, end="exited with code 0", expected=True)
    assert "request 7 was running for 0.250 seconds" in describe(death)


def test_slot_that_cannot_be_read_is_left_out() -> None:
    assert describe(replace(CRASH, state=None)) == f"{HEAD}; memory 3.0 MB at most"


def test_clock_that_a_worker_has_forged_is_no_negative_time() -> None:
    assert "running for 0.000 seconds" in describe(replace(CRASH, now_ns=0))
