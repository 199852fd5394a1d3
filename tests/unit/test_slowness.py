"""Which requests are slow."""

import pytest

from kraal.fields import replace
from kraal.manager.slowness import Slow, decide, explain
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.unix.process import Pid
from tests.support.states import RUNNING

PID = Pid(77)
NOW = 1000.0
TIMEOUT = 5.0


def running(age: float, stage: Stage = Stage.RUNNING) -> WorkerState:
    return replace(RUNNING, pid=PID, stage=stage, accepted_ns=int((NOW - age) * 1e9))


def found(state: WorkerState, told: dict[Pid, int] | None = None) -> tuple[Slow, ...]:
    return decide(TIMEOUT, {PID: state}, told or {}, NOW).found


@pytest.mark.parametrize(("age", "slow"), [(0.0, False), (4.9, False), (5.0, True), (500.0, True)])
def test_request_is_slow_when_its_time_is_over(age: float, slow: bool) -> None:
    assert found(running(age)) == ((Slow(PID, 3, age),) if slow else ())


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.RUNNING])
def test_time_counts_while_the_script_runs(stage: Stage) -> None:
    assert found(running(500, stage)) == ()


def test_request_is_told_of_once() -> None:
    assert found(running(6), {PID: 3}) == ()
    assert found(running(6), {PID: 2}) == (Slow(PID, 3, 6.0),)


def test_request_of_a_lying_slot_that_begins_in_the_future_is_left_alone() -> None:
    assert found(running(-(2**30))) == ()


@pytest.mark.parametrize(("age", "again"), [(None, 5.0), (3.0, 2.0), (4.5, 0.5), (6.0, 5.0)])
def test_it_looks_again_when_the_next_request_can_be_slow(age: float | None, again: float) -> None:
    workers = {} if age is None else {PID: running(age)}
    assert decide(TIMEOUT, workers, {}, NOW).look_again == pytest.approx(again)


def test_line_of_the_log_is_that_of_php_fpm() -> None:
    state = replace(running(6.25), uri="/a.php", query="b=c", script="/srv/a.php")
    request = "child 77, script '/srv/a.php' (request: \"GET /a.php?b=c\")"
    assert explain(Slow(PID, 3, 6.25), state) == f"{request} executing too slow (6.250000 sec), logging"
