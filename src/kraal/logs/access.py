"""Compile `access.format` into the steps that C runs for each line.  Pure.

See struct kraal_log_step in native/bridge.h.  What is wrong with a format was told when the configuration was
read (config/access_format.py).
"""

import json
import re
from collections.abc import Iterator
from enum import IntEnum

from kraal.config.access_format import JSON, PLACEHOLDER, modifier_of
from kraal.fields import Frozen


class Item(IntEnum):
    """See enum kraal_log_item."""

    TEXT = 0
    CPU = 1
    DURATION = 2
    VARIABLE = 3
    SCRIPT = 4
    LENGTH = 5
    METHOD = 6
    MEMORY = 7
    POOL = 8
    HEADER = 9
    PID = 10
    PARENT = 11
    QUERY = 12
    QUESTION = 13
    URI = 14
    REMOTE = 15
    STATUS = 16
    STARTED = 17
    LOGGED = 18
    USER = 19
    ID = 20
    WAITED = 21


class Form(IntEnum):
    """See enum kraal_log_form."""

    PLAIN = 0
    MILLIS = 1
    MICROS = 2
    KILO = 3
    MEGA = 4
    USER = 5
    SYSTEM = 6
    ISO = 7


Step = tuple[int, int, str]  # item, form, text


class Access(Frozen):
    """The access log of a pool."""

    path: str
    steps: tuple[Step, ...]
    json: bool
    suppressed: tuple[str, ...]


_ITEMS = {
    "C": Item.CPU,
    "d": Item.DURATION,
    "e": Item.VARIABLE,
    "f": Item.SCRIPT,
    "l": Item.LENGTH,
    "m": Item.METHOD,
    "M": Item.MEMORY,
    "n": Item.POOL,
    "o": Item.HEADER,
    "p": Item.PID,
    "P": Item.PARENT,
    "q": Item.QUERY,
    "Q": Item.QUESTION,
    "r": Item.URI,
    "R": Item.REMOTE,
    "s": Item.STATUS,
    "t": Item.STARTED,
    "T": Item.LOGGED,
    "u": Item.USER,
    "i": Item.ID,
    "w": Item.WAITED,
}
_FORMS = {
    "user": Form.USER,
    "system": Form.SYSTEM,
    **dict.fromkeys(("milliseconds", "milli", "miliseconds", "mili"), Form.MILLIS),
    **dict.fromkeys(("microseconds", "micro"), Form.MICROS),
    **dict.fromkeys(("kilobytes", "kilo"), Form.KILO),
    **dict.fromkeys(("megabytes", "mega"), Form.MEGA),
}
_NAMED = "eo"
_TIMES = "tT"
_TIME = "%d/%b/%Y:%H:%M:%S %z"
# php-fpm's buffer of what stands in braces.
_LONGEST_MODIFIER = 127

# The fields of `access.format = json`.
_FIELDS = {
    "time": (Item.LOGGED, Form.ISO),
    "pool": (Item.POOL, Form.PLAIN),
    "pid": (Item.PID, Form.PLAIN),
    "request_id": (Item.ID, Form.PLAIN),
    "remote": (Item.REMOTE, Form.PLAIN),
    "user": (Item.USER, Form.PLAIN),
    "method": (Item.METHOD, Form.PLAIN),
    "uri": (Item.URI, Form.PLAIN),
    "query": (Item.QUERY, Form.PLAIN),
    "status": (Item.STATUS, Form.PLAIN),
    "duration_ms": (Item.DURATION, Form.MILLIS),
    "queue_ms": (Item.WAITED, Form.MILLIS),
    "memory": (Item.MEMORY, Form.PLAIN),
    "length": (Item.LENGTH, Form.PLAIN),
    "script": (Item.SCRIPT, Form.PLAIN),
}


def compile_access(path: str, text: str, suppressed: tuple[str, ...]) -> Access:
    """The log at this path, in this format, without successful requests for these paths."""
    if JSON.fullmatch(text):
        return Access(path, tuple(_merged(_json_steps(text))), json=True, suppressed=suppressed)
    return Access(path, tuple(_merged(_steps(text))), json=False, suppressed=suppressed)


def _steps(text: str) -> Iterator[Step]:
    at = 0
    for match in PLACEHOLDER.finditer(text):
        yield Item.TEXT, Form.PLAIN, text[at : match.start()]
        yield _step(match)
        at = match.end()
    yield Item.TEXT, Form.PLAIN, text[at:]


def _step(match: re.Match[str]) -> Step:
    letter, modifier = match[2], modifier_of(match)[:_LONGEST_MODIFIER]
    if letter not in _ITEMS:
        return Item.TEXT, Form.PLAIN, letter if letter == "%" else ""
    if letter in _NAMED:
        return _ITEMS[letter], Form.PLAIN, modifier
    if letter in _TIMES:
        return _ITEMS[letter], Form.PLAIN, modifier or _TIME
    return _ITEMS[letter], _FORMS.get(modifier.lower(), Form.PLAIN), ""


def _json_steps(text: str) -> Iterator[Step]:
    """The fields that are always there, and then those that the format adds, called as they are."""
    before = "{"
    for name, (item, form) in _FIELDS.items():
        yield Item.TEXT, Form.PLAIN, f"{before}{json.dumps(name)}:"
        yield item, form, ""
        before = ","
    for match in PLACEHOLDER.finditer(text):
        added = _step(match)
        yield Item.TEXT, Form.PLAIN, f",{json.dumps(added[2])}:"
        yield added
    yield Item.TEXT, Form.PLAIN, "}"


def _merged(steps: Iterator[Step]) -> Iterator[Step]:
    """The same with one text where there are several in a row, and none that is empty."""
    held = ""
    for step in steps:
        if step[0] == Item.TEXT:
            held += step[2]
            continue
        if held:
            yield Item.TEXT, Form.PLAIN, held
        held = ""
        yield step
    if held:
        yield Item.TEXT, Form.PLAIN, held
