"""What `kraal trace` says of a worker."""

import pytest

from kraal.command.trace import lines
from kraal.fields import replace
from kraal.memory.scoreboard import Stage
from kraal.memory.stack import Frame, Kind
from kraal.memory.stack_sample import Missing, StackSample
from tests.support.states import RUNNING

STATE = replace(RUNNING, uri="/a.php", query="b=c", accepted_ns=8_000_000_000)
MAIN = Frame(kind=Kind.MAIN, file="/srv/a.php", line=7, first_line=1, last_line=9)
INCLUDED = Frame(kind=Kind.INCLUDE, file="/srv/inc.php", line=3, first_line=1, last_line=9)
RUN = Frame(name="run", class_name="Shop", has_object=True, file="/srv/b.php", line=21, first_line=20)
MAKE = Frame(name="make", class_name="Shop", file="/srv/b.php", line=31, first_line=30)
SLEEP = Frame(name="sleep")


def said(found: StackSample | Missing, stage: Stage = Stage.RUNNING) -> list[str]:
    return lines("www", replace(STATE, stage=stage), found, 10.5)


def test_stack_is_shown_as_php_shows_one() -> None:
    frames = (SLEEP, RUN, MAKE, INCLUDED, MAIN)
    assert said(StackSample(frames, "/srv/a.php", {"REQUEST_URI": "/a", "REQUEST_ID": "f00"}, 3)) == [
        "worker 77, pool www: GET /a (2.500 s, request f00)",
        "  at /srv/b.php:21",
        "  #0 /srv/b.php(21): sleep()",
        "  #1 /srv/b.php(31): Shop->run()",
        "  #2 /srv/inc.php(3): Shop::make()",
        "  #3 /srv/a.php(7): include()",
        "  #4 {main}",
    ]


def test_worker_without_a_stack_is_idle_or_not_in_php_code() -> None:
    nothing = StackSample((), "", {}, 3)
    assert said(nothing, Stage.IDLE) == ["worker 77, pool www: idle"]
    assert said(nothing) == ["worker 77, pool www: not in PHP code"]


@pytest.mark.parametrize("missing", Missing)
def test_why_there_is_no_stack_is_told(missing: Missing) -> None:
    assert said(missing) == [f"worker 77, pool www: {missing.value}"]


def test_function_that_c_code_calls_has_no_line_of_its_own() -> None:
    assert said(StackSample((RUN,), "", {}, 3))[-1] == "  #0 [internal function]: Shop->run()"


def test_no_name_can_write_to_the_terminal() -> None:
    evil = replace(RUN, name="\x1b]0;x\x07", file="/srv/\r\n\x1b[2J")
    text = said(StackSample((evil, evil, MAIN), "", {"REQUEST_URI": "/\x1b[31m\n", "REQUEST_ID": "\x9b"}, 3))
    assert len(text) == 5
    assert all(line.isprintable() for line in text)
