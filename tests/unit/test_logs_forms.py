"""The log as JSON: every line is an object, whatever was said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.config.model import LogLevel
from kraal.logs.forms import JsonLines
from kraal.logs.lines import Origin, Speaker, iso_time

NOW = 1_796_040_000.1239
WORKER = Speaker("www", 7, "stderr")
OTHER = Speaker("shop", 8, "stdout", decorated=False)


@pytest.fixture
def form() -> JsonLines:
    return JsonLines(1, limit=512)


def objects(lines: bytes) -> list[dict[str, Any]]:
    """The objects, whose times are looked at elsewhere."""
    assert lines.isascii()
    assert not lines or lines.endswith(b"\n")
    found = [json.loads(line) for line in lines.splitlines()]
    for each in found:
        assert each.pop("time") == iso_time(NOW)
    return found


def said(form: JsonLines, text: bytes, speaker: Speaker = WORKER, *, closed: bool = False) -> list[str]:
    return [each["message"] for each in objects(form.say(speaker, text, None, NOW, closed=closed))]


def test_time_has_milliseconds_and_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert iso_time(NOW)[17:23] == "00.123"
    assert iso_time(NOW)[-6] in "+-"
    assert iso_time(NOW)[-3] == ":"


def test_event_is_an_object(form: JsonLines) -> None:
    assert objects(form.event(LogLevel.NOTICE, 'ready "now"', None, NOW)) == [
        {"level": "notice", "pid": 1, "message": 'ready "now"'}
    ]


def test_event_of_a_pool_names_it(form: JsonLines) -> None:
    line = form.event(LogLevel.WARNING, "[pool www] child 7 exited", Origin(5), NOW)
    assert objects(line) == [{"level": "warning", "pool": "www", "pid": 5, "message": "child 7 exited"}]


def test_function_is_named_at_level_debug(form: JsonLines) -> None:
    line = form.event(LogLevel.DEBUG, "x", Origin(5, "start", 12), NOW)
    assert objects(line) == [{"level": "debug", "pid": 5, "function": "start", "line": 12, "message": "x"}]


def test_worker_s_lines_are_objects_decorated_or_not(form: JsonLines) -> None:
    whole = {"level": "warning", "pool": "www", "pid": 7, "stream": "stderr"}
    assert objects(form.say(WORKER, b"one\n\ntwo\r\n", None, NOW, closed=False)) == [
        whole | {"message": "one"},
        whole | {"message": "two"},
    ]
    assert objects(form.say(OTHER, b"raw\n", None, NOW, closed=False)) == [
        {"level": "warning", "pool": "shop", "pid": 8, "stream": "stdout", "message": "raw"}
    ]


def test_line_that_comes_in_pieces_is_one_object(form: JsonLines) -> None:
    assert said(form, b"half") == []
    assert said(form, b" and half\nnext") == ["half and half"]
    assert objects(form.finish())[0]["message"] == "next"
    assert form.finish() == b""


def test_others_end_a_line_that_is_not_ended(form: JsonLines) -> None:
    said(form, b"half")
    assert said(form, b"other\n", OTHER) == ["half", "other"]
    said(form, b"half")
    found = objects(form.event(LogLevel.NOTICE, "event", None, NOW))
    assert [each["message"] for each in found] == ["half", "event"]


def test_end_of_the_stream_is_told(form: JsonLines) -> None:
    said(form, b"last")
    (found,) = objects(form.say(WORKER, b" words", None, NOW, closed=True))
    assert found["message"] == "last words"
    assert found["closed"] is True
    assert form.say(WORKER, b"", None, NOW, closed=True) == b""


def test_long_line_goes_on_in_further_objects(form: JsonLines) -> None:
    found = objects(form.say(WORKER, b"x" * 1200 + b"\n", None, NOW, closed=False))
    assert [len(each["message"]) for each in found] == [512, 512, 176]
    assert [(each["part"], each.get("more")) for each in found] == [(1, True), (2, True), (3, None)]
    found = objects(form.event(LogLevel.ERROR, "é" * 300, None, NOW))
    assert "".join(each["message"] for each in found) == "é" * 300
    assert [(each["part"], each.get("more")) for each in found] == [(1, True), (2, None)]


def test_long_line_that_comes_in_pieces_is_numbered_through(form: JsonLines) -> None:
    found = objects(form.say(WORKER, b"x" * 600, None, NOW, closed=False))
    found += objects(form.say(WORKER, b"y" * 500 + b"\nshort\n", None, NOW, closed=False))
    shown = [(len(each["message"]), each.get("part"), each.get("more")) for each in found]
    assert shown == [(512, 1, True), (512, 2, True), (76, 3, None), (5, None, None)]


def test_without_buffering_pieces_are_shown_at_once() -> None:
    form = JsonLines(1, limit=512, buffering=False)
    found = objects(form.say(WORKER, b"half", None, NOW, closed=False))
    found += objects(form.say(WORKER, b" and half\n", None, NOW, closed=False))
    assert [(each["message"], each["part"], each.get("more")) for each in found] == [
        ("half", 1, True),
        (" and half", 2, None),
    ]


def test_text_that_is_no_unicode_becomes_replacements(form: JsonLines) -> None:
    assert said(form, b"a\xff\xc2\x85\x1b\0\n") == ["a\ufffd\x85\x1b\0"]
    assert objects(form.event(LogLevel.NOTICE, "\udcff\u2028", None, NOW))[0]["message"] == "\\udcff\u2028"


speakers = st.sampled_from([WORKER, OTHER])
pieces = st.binary(max_size=30) | st.sampled_from([b"\n", b"x" * 700, "é".encode() * 400, b"\xc3", b"\xa9"])


@given(
    st.lists(st.tuples(speakers, pieces, st.booleans()) | st.text(max_size=600), max_size=12),
    st.sampled_from([0, 512]),
    st.booleans(),
)
def test_whatever_is_said_every_line_is_an_object(
    happened: list[tuple[Speaker, bytes, bool] | str], limit: int, buffering: bool
) -> None:
    form = JsonLines(1, limit=limit, buffering=buffering)
    lines = b""
    heard = {WORKER: b"", OTHER: b""}
    for each in happened:
        if isinstance(each, str):
            lines += form.event(LogLevel.NOTICE, each, None, NOW)
        else:
            speaker, text, closed = each
            heard[speaker] += text.replace(b"\r", b"")
            lines += form.say(speaker, text.replace(b"\r", b""), None, NOW, closed=closed)
    found = objects(lines + form.finish())
    if limit:
        assert all(len(about["message"].encode()) <= 3 * limit for about in found)
    for speaker, text in heard.items():
        shown = "".join(about["message"] for about in found if about["pid"] == speaker.pid)
        if text.isascii():
            assert shown == text.replace(b"\n", b"").decode()
