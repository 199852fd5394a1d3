"""What is written into the slow log."""

import time

import pytest

from kraal.fields import replace
from kraal.logs.slow import Entry, frame_lines, position
from kraal.manager.slow_requests import pieces
from kraal.memory.stack import Frame, Kind
from kraal.memory.stack_sample import Missing, StackSample
from tests.support.states import RUNNING

STATE = replace(RUNNING, uri="/a.php", query="b=c", script="/srv/a.php")
SLEEP = Frame(address=0x7F00, name="sleep")
WORK = Frame(address=0x7E00, name="work", file="/srv/b.php", line=21, first_line=20, last_line=30)
INCLUDED = Frame(address=0x7D00, kind=Kind.INCLUDE, file="/srv/inc.php", line=3, first_line=1, last_line=9)
MAIN = Frame(address=0x7C00, kind=Kind.MAIN, file="/srv/a.php", line=7, first_line=1, last_line=9)
STACK = (SLEEP, WORK, INCLUDED, MAIN)
NOW = 1_000_000_000.0


def entry(found: StackSample | Missing, *, ended: bool = False) -> list[str]:
    text = Entry("www", STATE, found, ended=ended).text(20, NOW)
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def sample(frames: tuple[Frame, ...] = STACK, **params: str) -> StackSample:
    return StackSample(frames, "/srv/a.php", params, 3)


def test_entry_has_the_lines_of_php_fpm_and_ours_in_its_head() -> None:
    when = time.strftime("%d-%b-%Y %H:%M:%S", time.localtime(NOW))

    assert entry(sample(REQUEST_URI="/a?b=c", REQUEST_ID="f00")) == [
        "",
        f"[{when}]  [pool www] pid 77",
        "script_filename = /srv/a.php",
        "request = GET /a?b=c",
        "request_id = f00",
        "at = /srv/b.php:21",
        "[0x0000000000007f00] sleep() /srv/b.php:21",
        "[0x0000000000007e00] work() /srv/inc.php:3",
        "[0x0000000000007d00] [INCLUDE_OR_EVAL]() /srv/a.php:7",
    ]


def test_first_id_that_the_web_server_has_given_counts() -> None:
    assert sample(UNIQUE_ID="u", HTTP_X_REQUEST_ID="x").request_id == "x"
    assert sample(REQUEST_ID="", UNIQUE_ID="u").request_id == "u"
    assert sample().request_id == ""


@pytest.mark.parametrize("missing", Missing)
def test_entry_without_a_stack_says_why_and_has_no_frames(missing: Missing) -> None:
    assert entry(missing)[2:] == [
        "script_filename = /srv/a.php",
        "request = GET /a.php?b=c",
        f"at = unknown: {missing.value}",
    ]


def test_stack_of_another_request_is_not_told() -> None:
    assert entry(sample(), ended=True)[2:] == [
        "script_filename = /srv/a.php",
        "request = GET /a.php?b=c",
        "at = the request has ended meanwhile",
    ]


def test_depth_counts_frames_and_the_last_one_knows_its_caller() -> None:
    assert frame_lines(STACK, 1) == ["[0x0000000000007f00] sleep() /srv/b.php:21"]
    assert len(frame_lines(STACK, 20)) == 3


def test_frame_that_nobody_has_called_is_told_as_by_php_fpm() -> None:
    assert frame_lines((WORK,), 20) == ["[0x0000000000007e00] work() unknown:0"]


def test_place_in_running_code_is_as_sure_as_it_can_be() -> None:
    assert position((SLEEP, WORK, MAIN)) == "/srv/b.php:21"
    assert position((WORK, MAIN)) == "/srv/b.php, lines 20 to 30, last seen in line 21"
    assert position((replace(WORK, line=0), MAIN)) == "/srv/b.php, lines 20 to 30"
    assert position((SLEEP,)) == position(()) == "outside of PHP code"


def test_nothing_that_a_script_calls_itself_can_be_taken_for_another_entry() -> None:
    evil = replace(WORK, file="/srv/x\n[0x0000000000007e00] exit() /srv/x", name="f\x1b[2J")
    text = entry(
        sample((SLEEP, evil, MAIN), REQUEST_URI="/\n\n[date]  [pool other] pid 1", REQUEST_ID="a\nb")
    )

    assert len(text) == 8
    assert all(line.isprintable() for line in text)


def test_long_entry_is_sent_in_whole_lines() -> None:
    assert list(pieces(b"one\ntwo\nthree\n", 9)) == [b"one\ntwo\n", b"three\n"]
    assert list(pieces(b"0123456789\nx\n", 4)) == [b"0123", b"4567", b"89\n", b"x\n"]
    assert list(pieces(b"one\n", 100)) == [b"one\n"]
