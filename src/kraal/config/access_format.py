"""The rules of `access.format`, in php-fpm's words."""

import re

_MODIFIERS = {
    "C": ("total", "user", "system"),
    "d": ("seconds", "milliseconds", "milli", "miliseconds", "mili", "microseconds", "micro"),
    "M": ("bytes", "kilobytes", "kilo", "megabytes", "mega"),
}
_MODIFIERS["w"] = _MODIFIERS["d"]
_ALLOWED = {
    "C": "only 'total', 'user' or 'system' are allowed",
    "d": "only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed",
    "M": "only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed",
}
_ALLOWED["w"] = _ALLOWED["d"]
_NAMED = {"e": "environment variable", "o": "header"}
_TIMES = "tT"
_PLAIN = "%filmnpPqQrRsu"
_BRACES = re.compile(r"\{([^}]*)\}")
# A placeholder with everything in braces that stands before its letter; the last pair counts.
PLACEHOLDER = re.compile(r"%((?:\{[^}]*\})*)(.?)", re.DOTALL)

# kraal's own format: fields of JSON, and further ones for variables and headers.
JSON = re.compile(r"json(?:\s+%\{[^}]+\}[eo])*\s*")
_BEGINS_JSON = re.compile(r"json(?:\s|$)")


def modifier_of(placeholder: re.Match[str]) -> str:
    """What stands in its braces."""
    return next(reversed(_BRACES.findall(placeholder[1])), "")


def complaint(text: str) -> str | None:
    """Say what is wrong with a format; None if nothing is."""
    if _BEGINS_JSON.match(text) and not JSON.fullmatch(text):
        return "only variables (%{NAME}e) and headers (%{NAME}o) can be added to the format json"
    for match in PLACEHOLDER.finditer(text):
        braces, letter = match.groups()
        if letter == "{" or (braces and not letter):
            return "missing closing embrace in the access.format"
        found = _about(letter, modifier_of(match)) if letter else None
        if found is not None:
            return found
    return None


def _about(letter: str, modifier: str) -> str | None:
    if letter in _MODIFIERS:
        if modifier and modifier.lower() not in _MODIFIERS[letter]:
            return f"{_ALLOWED[letter]} as a modifier for %{letter} ('{modifier}')"
    elif letter in _NAMED:
        if not modifier:
            return f"the name of the {_NAMED[letter]} must be set between embraces for %{letter}"
    elif letter not in _TIMES:
        if letter not in _PLAIN:
            return f"Invalid token in the access.format (%{letter})"
        if modifier:
            return f"embrace is not allowed for modifier %{letter}"
    return None
