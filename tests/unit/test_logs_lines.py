"""The form of the log's lines, and where long ones are cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.config.model import LogLevel
from kraal.logs.lines import (
    PIPE_CLOSED,
    Frame,
    Origin,
    Speaker,
    Writer,
    clean,
    heading,
    stamp,
    syslog_heading,
)

QUOTED = Frame(b"[stamp] WARNING: said: ", b'"')
RAW = Frame(b"")
ME, OTHER = Speaker("www", 1, "stderr"), Speaker("www", 2, "stderr")

# What php-src's tests accept.
HEADING = re.compile(
    r"\[\d\d-\w\w\w-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?\] (DEBUG|NOTICE|WARNING|ERROR|ALERT): "
    r"(?:pid \d+, (?:\w+|\(null\))\(\), line \d+: )?"
)


def whole(frame: Frame, text: bytes, limit: int) -> list[bytes]:
    return Writer(limit=limit).line(frame, text).splitlines(keepends=True)


def inside(line: bytes, frame: Frame) -> bytes:
    """The text between prefix and end of a line."""
    end = frame.quote + b"\n"
    assert line.startswith(frame.prefix + frame.quote), line
    assert line.endswith(end), line
    return line[len(frame.prefix + frame.quote) : len(line) - len(end)]


# ---------------------------------------------------------------- form


def test_heading_has_the_form_of_php_fpm() -> None:
    line = heading(LogLevel.WARNING, now=1_700_000_000.9)

    assert HEADING.fullmatch(line)
    assert line.endswith("] WARNING: ")
    assert "." not in line


def test_heading_at_level_debug_has_microseconds_and_origin() -> None:
    line = heading(LogLevel.NOTICE, now=1_700_000_000.000042, origin=Origin(7, "_serve", 12))

    assert HEADING.fullmatch(line)
    assert line.endswith(".000042] NOTICE: pid 7, _serve(), line 12: ")


@pytest.mark.parametrize("name", ["<lambda>", "<module>", "", "käse", "(null)"])
def test_function_that_php_fpm_could_not_have_is_left_out(name: str) -> None:
    assert str(Origin(1, name, 2)) == "pid 1, (null)(), line 2: "


def test_stamp_is_always_as_long() -> None:
    assert len({len(stamp(now, micros=True)) for now in (0, 0.1, 1.999999999, 1e9)}) == 1


def test_heading_in_syslog_leaves_time_and_process_to_it() -> None:
    assert syslog_heading(LogLevel.ERROR) == "[ERROR] "
    assert syslog_heading(LogLevel.ERROR, Origin(7, "_serve", 12)) == "[ERROR] _serve(), line 12: "


def test_frame_of_a_worker_has_the_words_of_php_fpm() -> None:
    frame = Speaker("www", 4711, "stdout").frame("[stamp] WARNING: ")

    assert frame == Frame(b"[stamp] WARNING: [pool www] child 4711 said into stdout: ", b'"')


def test_undecorated_worker_has_no_frame_and_no_cleaning() -> None:
    speaker = Speaker("www", 4711, "stdout", decorated=False)

    assert speaker.frame("[stamp] WARNING: ") == RAW
    assert speaker.show(b"\x1b\x00\xff") == b"\x1b\x00\xff"


def test_decorated_worker_is_cleaned() -> None:
    assert ME.show("käse\t\x1b\x00".encode() + b"\xff") == "käse\t\\x1b\\x00\\xff".encode()


# ---------------------------------------------------------------- cleaning


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text", "plain text"),
        ("tab\there", "tab\there"),
        ("käse €", "käse €"),
        ("a\nb", "a\\nb"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x00", "\\x00"),
        ("\x85\u2028\u2029", "\\x85\\u2028\\u2029"),
        ("\u202eevil", "\\u202eevil"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_clean_shows_what_cannot_be_printed(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text())
def test_clean_text_is_one_line_for_every_reader(text: str) -> None:
    assert len(clean(text).splitlines()) <= 1
    assert "\x1b" not in clean(text)


@given(st.text())
def test_clean_text_is_not_changed_by_cleaning_it_again(text: str) -> None:
    assert clean(clean(text)) == clean(text)


# ---------------------------------------------------------------- cutting


@pytest.mark.parametrize("frame", [QUOTED, RAW])
@pytest.mark.parametrize("size", [1, 500, 976, 977, 978, 1023, 1024, 2048, 5000])
def test_line_that_goes_on_is_as_long_as_the_limit(frame: Frame, size: int) -> None:
    lines = whole(frame, b"a" * size, 1024)

    assert {len(line) for line in lines[:-1]} <= {1024}
    assert len(lines[-1]) <= 1024
    assert b"".join(inside(line, frame) for line in lines) == b"a" * size
    assert all(inside(line, frame) for line in lines)


def test_raw_lines_are_cut_as_php_fpm_does() -> None:
    assert [len(line) - 1 for line in whole(RAW, b"b" * 2600, 1024)] == [1023, 1023, 554]


def test_without_a_limit_nothing_is_cut() -> None:
    assert len(whole(QUOTED, b"x" * 100_000, 0)) == 1


def test_some_text_stands_on_a_line_however_long_its_prefix_is() -> None:
    assert len(whole(Frame(b"p" * 600), b"x" * 100, 512)) == 2


def test_line_without_text_is_its_prefix() -> None:
    assert whole(QUOTED, b"", 1024) == [b"[stamp] WARNING: said: \n"]


@given(
    pieces=st.lists(st.binary(max_size=400), max_size=20),
    limit=st.integers(512, 700),
    buffering=st.booleans(),
)
def test_pieces_do_not_change_the_lines(pieces: list[bytes], limit: int, buffering: bool) -> None:
    pieces = [piece.replace(b"\n", b"") for piece in pieces]
    text = b"".join(pieces)
    writer = Writer(limit=limit, buffering=buffering)

    written = b"".join(writer.add(ME, QUOTED, piece) for piece in pieces) + writer.finish()

    assert written == (Writer(limit=limit).line(QUOTED, text) if text else b"")


def test_buffering_keeps_an_unfinished_line() -> None:
    writer = Writer(limit=512)

    assert writer.add(ME, QUOTED, b"begin") == b""
    assert writer.finish() == b'[stamp] WARNING: said: "begin"\n'
    assert writer.finish() == b""


def test_without_buffering_an_unfinished_line_is_written() -> None:
    writer = Writer(limit=512, buffering=False)

    assert writer.add(ME, QUOTED, b"begin") == b'[stamp] WARNING: said: "begin'
    assert writer.add(ME, QUOTED, b" end") == b" end"
    assert writer.finish() == b'"\n'


@pytest.mark.parametrize("buffering", [True, False])
def test_another_speaker_does_not_get_into_the_line(buffering: bool) -> None:
    writer = Writer(limit=512, buffering=buffering)

    written = writer.add(ME, RAW, b"mine") + writer.add(OTHER, RAW, b"theirs") + writer.add(ME, RAW, b"more")

    assert written + writer.finish() == b"mine\ntheirs\nmore\n"


@pytest.mark.parametrize("buffering", [True, False])
def test_own_line_does_not_get_into_a_workers_line(buffering: bool) -> None:
    writer = Writer(limit=512, buffering=buffering)

    written = writer.add(ME, QUOTED, b"mine") + writer.line(RAW, b"NOTICE: text")

    assert written == b'[stamp] WARNING: said: "mine"\nNOTICE: text\n'


def test_suffix_stands_behind_the_quote() -> None:
    writer = Writer(limit=512)
    writer.add(ME, QUOTED, b"text")

    assert writer.finish(PIPE_CLOSED) == b'[stamp] WARNING: said: "text", pipe is closed\n'


@pytest.mark.parametrize("missing", range(1, len(PIPE_CLOSED) + 1))
def test_suffix_goes_on_in_a_line_of_its_own(missing: int) -> None:
    writer = Writer(limit=512)
    room = 512 - len(QUOTED.prefix) - 3
    writer.add(ME, QUOTED, b"x" * (room - len(PIPE_CLOSED) + missing))

    first, second = writer.finish(PIPE_CLOSED).splitlines(keepends=True)

    assert len(first) == 512
    assert second == QUOTED.prefix + PIPE_CLOSED[-missing:] + b"\n"
