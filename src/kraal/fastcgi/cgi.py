"""Read the head of a CGI response: `Status:`, the other headers, and where the body starts.

Pure; the blocking client and the HTTP front share it.
"""

import re

from kraal.errors import RemoteProtocolError
from kraal.fields import Frozen

MAX_HEAD_SIZE = 1 << 20

# Without any header the response starts with the empty line.
_END_OF_HEAD = re.compile(rb"(?:\A|\r?\n)\r?\n")


class Head(Frozen):
    """Status and headers of a response; header names keep their spelling, `Status` is taken out."""

    status: int
    headers: tuple[tuple[str, str], ...]


def split_head(received: bytes) -> tuple[Head, bytes] | None:
    """The head and what follows it, or None until its end has been received."""
    end = _END_OF_HEAD.search(received)
    if end is not None:
        return parse_head(received[: end.start()]), received[end.end() :]
    if len(received) > MAX_HEAD_SIZE:
        raise RemoteProtocolError(f"the response's headers are longer than {MAX_HEAD_SIZE} bytes")
    return None


def parse_head(raw: bytes) -> Head:
    """Status and headers from the lines of a head; without `Status` it is 200, or 302 with `Location`."""
    # Not splitlines(): in a latin-1 text it also splits at bytes that belong to UTF-8 letters.
    lines = (line.rstrip("\r") for line in raw.decode("latin-1").split("\n"))
    headers = [_parse_line(line) for line in lines if line]
    status = [value for name, value in headers if name.lower() == "status"]
    others = tuple((name, value) for name, value in headers if name.lower() != "status")
    if status:
        return Head(_parse_status(status[-1]), others)
    redirects = any(name.lower() == "location" for name, _ in others)
    return Head(302 if redirects else 200, others)


def _parse_line(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise RemoteProtocolError(f"the response holds a header line without a name: {line[:80]!r}")
    return name, value.strip()


def _parse_status(value: str) -> int:
    number = value[:3]
    if number.isascii() and number.isdigit() and 100 <= int(number) <= 999:
        return int(number)
    raise RemoteProtocolError(f"the response's status is not a number: {value[:80]!r}")
