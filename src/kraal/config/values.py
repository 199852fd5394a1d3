"""Understand the value of a directive by its kind.

The words for what is wrong are php-fpm's.  Like php-fpm, numbers may be empty (which is 0), and what
follows the digits of a time does not count; unlike it, a number that does not fit is an error.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from kraal.config.directives import Kind
from kraal.config.model import LogFormat, LogLevel, Pm

_T = TypeVar("_T")

Value = str | int | bool | LogLevel | LogFormat | Pm

_TRUE = frozenset({"1", "yes", "true", "on"})
_FALSE = frozenset({"", "0", "no", "none", "false", "off"})
_INTEGER = re.compile(r"-?[0-9]*")
_LEADING_INTEGER = re.compile(r"\s*([+-]?[0-9]+)", re.ASCII)
_MAX_DIGITS = 11
_MAX_INT = 2**31 - 1
_SIZE = re.compile(r"([0-9]+)([KMGkmg]?)", re.ASCII)
_MAX_SIZE = 2**50
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEVELS = {level.name.lower(): level for level in LogLevel} | {"warn": LogLevel.WARNING}
_FACILITIES = {
    "kern": 0,
    "user": 8,
    "mail": 16,
    "daemon": 24,
    "auth": 32,
    "syslog": 40,
    "lpr": 48,
    "news": 56,
    "uucp": 64,
    "cron": 72,
    "authpriv": 80,
    "ftp": 88,
    **{f"local{n}": 128 + 8 * n for n in range(8)},
}


class ValueProblem(ValueError):
    """The text is no value of this kind; the message says why."""


def understand(kind: Kind, text: str) -> Value:
    """Turn the text of a value into the value."""
    match kind:
        case Kind.TEXT | Kind.PATH:
            return text
        case Kind.INTEGER:
            return integer(text)
        case Kind.TIME:
            return seconds(text)
        case Kind.BOOLEAN:
            return boolean(text)
        case Kind.LOG_LEVEL:
            return _choose(_LEVELS, text, "invalid value for 'log_level'")
        case Kind.LOG_FORMAT:
            formats = {each.value: each for each in LogFormat}
            return _choose(formats, text, "invalid format of the log (text or json)")
        case Kind.FACILITY:
            return _choose(_FACILITIES, text, "invalid value")
        case Kind.CORE:
            return _core_limit(text)
        case Kind.SIZE:
            return size(text)
        case Kind.PM:
            choices = {pm.value: pm for pm in Pm}
            return _choose(choices, text, "invalid process manager (static, dynamic or ondemand)")


def boolean(text: str) -> bool:
    """Read yes or no; a value from the environment comes as the word, not as the token."""
    if text not in _TRUE | _FALSE:
        raise ValueProblem("invalid boolean value")
    return text in _TRUE


def integer(text: str) -> int:
    """Read a whole number."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueProblem("is not a valid number (greater or equal than zero)")
    return _fitting(text if text.strip("-") else "0")


def seconds(text: str) -> int:
    """Read a time: a number and perhaps one of the units s, m, h, d."""
    if not text:
        raise ValueProblem("invalid time value")
    unit = _SECONDS.get(text[-1])
    if unit is None and text[-1] not in "0123456789":
        raise ValueProblem("unknown suffix used in time value")
    match = _LEADING_INTEGER.match(text)
    return _fitting(match[1] if match else "0", unit or 1)


def size(text: str) -> int:
    """Read a number of bytes, perhaps with one of the units K, M, G."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueProblem("is not a size: bytes, or a number with K, M or G")
    number = int(match[1]) * _BYTES[match[2].upper()] if len(match[1]) <= _MAX_DIGITS else _MAX_SIZE + 1
    if number > _MAX_SIZE:
        raise ValueProblem(f"is too large (more than {_MAX_SIZE})")
    return number


def _core_limit(text: str) -> int:
    if text.lower() == "unlimited":
        return -1
    number = integer(text)
    if number < 0:
        raise ValueProblem("must be greater than zero or 'unlimited'")
    return number


def _fitting(digits: str, unit: int = 1) -> int:
    number = int(digits) * unit if len(digits) <= _MAX_DIGITS else _MAX_INT + 1
    if abs(number) > _MAX_INT:
        raise ValueProblem(f"is too large (more than {_MAX_INT})")
    return number


def _choose(choices: Mapping[str, _T], text: str, complaint: str) -> _T:
    found = choices.get(text.lower())
    if found is None:
        raise ValueProblem(complaint)
    return found
