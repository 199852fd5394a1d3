"""Which requests have run too long, and how they are to end."""

import pytest

from kraal.fields import replace
from kraal.manager.overtime import Action, Limits, Step, Told, decide, explain
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.unix.process import Pid
from tests.support.states import RUNNING

PID = Pid(77)
LIMITS = Limits(timeout=10, grace=2, track_finished=False)
NOW = 1000.0


def running(age: float, stage: Stage = Stage.RUNNING) -> WorkerState:
    accepted_ns = int((NOW - age) * 1e9)
    return replace(
        RUNNING, pid=PID, stage=stage, accepted_ns=accepted_ns, uri="/slow.php", script="/srv/slow.php"
    )


def steps(state: WorkerState, told: Told | None = None, limits: Limits = LIMITS) -> list[Step]:
    decision = decide(limits, {PID: state}, {PID: told} if told else {}, NOW)
    return [action.step for action in decision.actions]


@pytest.mark.parametrize(
    ("age", "expected"), [(0.0, []), (9.9, []), (10.0, [Step.STOP]), (500.0, [Step.STOP])]
)
def test_request_is_stopped_when_its_time_is_over(age: float, expected: list[Step]) -> None:
    assert steps(running(age)) == expected


def test_idle_worker_is_left_alone() -> None:
    assert steps(running(500, Stage.IDLE)) == []


def test_request_of_a_lying_slot_that_begins_in_the_future_is_left_alone() -> None:
    assert steps(running(-(2**30))) == []


@pytest.mark.parametrize("stage", [Stage.READING_HEADERS, Stage.INFO, Stage.RUNNING])
def test_time_runs_before_the_answer(stage: Stage) -> None:
    assert steps(running(11, stage)) == [Step.STOP]


@pytest.mark.parametrize("stage", [Stage.ENDING, Stage.FINISHING])
def test_time_after_the_answer_counts_only_if_asked_for(stage: Stage) -> None:
    assert steps(running(11, stage)) == []
    assert steps(running(11, stage), limits=replace(LIMITS, track_finished=True)) == [Step.STOP]


@pytest.mark.parametrize(
    ("last", "ago", "expected"),
    [
        (Step.STOP, 1.9, []),
        (Step.STOP, 2.0, [Step.KILL]),
        (Step.KILL, 0.9, []),
        (Step.KILL, 1.0, [Step.DESTROY]),
        (Step.DESTROY, 0.9, []),
        (Step.DESTROY, 1.0, [Step.DESTROY]),
    ],
)
def test_each_step_has_its_time(last: Step, ago: float, expected: list[Step]) -> None:
    told = Told(request=3, step=last, at=NOW - ago)
    assert steps(running(20, Stage.ENDING), told) == expected


def test_what_was_done_about_an_earlier_request_is_forgotten() -> None:
    assert steps(running(11), Told(request=2, step=Step.KILL, at=NOW)) == [Step.STOP]
    assert steps(running(1), Told(request=2, step=Step.STOP, at=NOW - 9)) == []


def test_without_grace_the_worker_is_killed_at_once() -> None:
    assert steps(running(10), limits=replace(LIMITS, grace=0)) == [Step.KILL]


@pytest.mark.parametrize(("age", "expected"), [(None, 10.0), (3.0, 7.0), (9.5, 0.5), (10.0, 2.0)])
def test_it_looks_again_when_the_next_request_can_be_due(age: float | None, expected: float) -> None:
    workers = {} if age is None else {PID: running(age)}
    assert decide(LIMITS, workers, {}, NOW).look_again == pytest.approx(expected)


def test_first_line_about_a_request_is_that_of_php_fpm() -> None:
    action = Action(PID, 3, Step.STOP, 12.5)
    state = replace(running(12.5), query="a=1")
    request = "child 77, script '/srv/slow.php' (request: \"GET /slow.php?a=1\")"
    assert explain(action, state) == f"{request} execution timed out (12.500000 sec), terminating"
    action = replace(action, step=Step.DESTROY, first=False)
    assert explain(action, state) == f"{request} still running (12.500000 sec), killing"
