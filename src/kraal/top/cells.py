"""Texts and figures in so many cells of a terminal.  Pure.

A letter takes no, one or two cells, and terminals do not agree on all of them.  What is foreign must not move
what stands beside it, so letters that take none are shown as one that takes one.
"""

import unicodedata

from kraal.observe.tables import harmless

_UNSHOWN = "\ufffd"
# Marks that are put on the letter before, what is not visible, and what Unicode does not know yet.
_ODD = {"Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_WIDE = {"W", "F"}
_UNITS = ("", "k", "M", "G", "T", "P", "E")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONGEST = 9999


def plain(text: str) -> str:
    """A text of letters of known width, which a terminal does not obey."""
    if text.isascii() and text.isprintable():
        return text
    normal = unicodedata.normalize("NFC", harmless(text))
    return "".join(_UNSHOWN if unicodedata.category(each) in _ODD else each for each in normal)


def width(text: str) -> int:
    """How many cells a `plain` text takes."""
    return len(text) + sum(unicodedata.east_asian_width(each) in _WIDE for each in text)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """A `plain` text in exactly so many cells; what is cut ends in dots."""
    if (found := width(text)) > cells:
        text = _cut(text, max(0, cells - 1)) + "…"[:cells]
        found = width(text)
    space = " " * (cells - found)
    return space + text if right else text + space


def _cut(text: str, cells: int) -> str:
    end = min(len(text), cells)
    while width(text[:end]) > cells:
        end -= 1
    return text[:end]


def number(value: float) -> str:
    """In four letters, or five below 100,000."""
    return str(round(value)) if value < 99_999.5 else _scaled(value, 1000)


def size(value: float) -> str:
    """Bytes, in four or five letters."""
    return _scaled(value, 1024)


def _scaled(value: float, step: int) -> str:
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= step
        unit += 1
    return f"{value:.1f}{_UNITS[unit]}" if unit and value < 99.95 else f"{value:.0f}{_UNITS[unit]}"


def one_place(value: float) -> str:
    """With one decimal place, as long as the figure is small."""
    return f"{value:.1f}" if value < 999.95 else number(value)


def duration(seconds: float) -> str:
    """In six letters."""
    if seconds < 59.995:
        return f"{seconds:.2f}s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{min(whole // _DAY, _LONGEST)}d{whole % _DAY // _HOUR:02}h"[:6]
