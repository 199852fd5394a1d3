"""What a format of the access log is compiled into."""

import json

import pytest
from kraal._native import _bridge

from kraal.logs.access import Access, Form, Item, compile_access


def steps(text: str) -> tuple[tuple[int, int, str], ...]:
    return compile_access("/a", text, ()).steps


def test_enumerations_are_those_of_the_header() -> None:
    for python, name in ((Item, "enum kraal_log_item"), (Form, "enum kraal_log_form")):
        relements = _bridge.ffi.typeof(name).relements
        assert {each.value for each in python} == set(relements.values())
        for each in python:
            assert any(key.endswith(f"_{each.name}") and value == each for key, value in relements.items())


def test_default_format_of_php_fpm() -> None:
    assert steps('%R - %u %t "%m %r" %s') == (
        (Item.REMOTE, 0, ""),
        (Item.TEXT, 0, " - "),
        (Item.USER, 0, ""),
        (Item.TEXT, 0, " "),
        (Item.STARTED, 0, "%d/%b/%Y:%H:%M:%S %z"),
        (Item.TEXT, 0, ' "'),
        (Item.METHOD, 0, ""),
        (Item.TEXT, 0, " "),
        (Item.URI, 0, ""),
        (Item.TEXT, 0, '" '),
        (Item.STATUS, 0, ""),
    )


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("%C", (Item.CPU, Form.PLAIN, "")),
        ("%{total}C", (Item.CPU, Form.PLAIN, "")),
        ("%{user}C", (Item.CPU, Form.USER, "")),
        ("%{system}C", (Item.CPU, Form.SYSTEM, "")),
        ("%{seconds}d", (Item.DURATION, Form.PLAIN, "")),
        ("%{mili}d", (Item.DURATION, Form.MILLIS, "")),
        ("%{Milliseconds}d", (Item.DURATION, Form.MILLIS, "")),
        ("%{micro}d", (Item.DURATION, Form.MICROS, "")),
        ("%{microseconds}w", (Item.WAITED, Form.MICROS, "")),
        ("%{kilo}M", (Item.MEMORY, Form.KILO, "")),
        ("%{megabytes}M", (Item.MEMORY, Form.MEGA, "")),
        ("%{bytes}M", (Item.MEMORY, Form.PLAIN, "")),
        ("%{HTTP_HOST}e", (Item.VARIABLE, Form.PLAIN, "HTTP_HOST")),
        ("%{Content-type}o", (Item.HEADER, Form.PLAIN, "Content-type")),
        ("%{%s}T", (Item.LOGGED, Form.PLAIN, "%s")),
        ("%{a}{b}e", (Item.VARIABLE, Form.PLAIN, "b")),
        ("%i", (Item.ID, Form.PLAIN, "")),
        ("%%", (Item.TEXT, Form.PLAIN, "%")),
    ],
)
def test_placeholder(text: str, step: tuple[int, int, str]) -> None:
    assert steps(text) == (step,)


def test_percent_sign_at_the_end_is_nothing() -> None:
    assert steps("100%% sure %") == ((Item.TEXT, 0, "100% sure "),)


def test_json_has_fields_around_its_values() -> None:
    access = compile_access("/a", 'json %{HTTP_USER_AGENT}e %{X-"Odd"}o', ("/ping",))

    assert access.json
    assert access.suppressed == ("/ping",)
    text = "".join(text if item == Item.TEXT else "null" for item, _form, text in access.steps)
    fields = list(json.loads(text))
    assert fields[:4] == ["time", "pool", "pid", "request_id"]
    assert fields[-2:] == ["HTTP_USER_AGENT", 'X-"Odd"']
    assert (Item.VARIABLE, 0, "HTTP_USER_AGENT") in access.steps


@pytest.mark.parametrize("text", ["jsonic", "a json", "json2 %m"])
def test_text_that_begins_like_it_is_no_json(text: str) -> None:
    assert compile_access("/a", text, ()) == Access("/a", steps(text), json=False, suppressed=())
