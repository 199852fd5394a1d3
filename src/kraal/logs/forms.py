"""The two forms that the log can have: php-fpm's lines, and objects of JSON.  Pure.

Each gives the bytes to write for what happened, and for what workers said.
"""

import json
import re
from collections.abc import Iterator
from typing import Protocol

from kraal.config.model import LogLevel
from kraal.logs.lines import (
    PIPE_CLOSED,
    Frame,
    Origin,
    Speaker,
    Writer,
    heading,
    iso_time,
    syslog_heading,
)

_POOL = re.compile(r"\[pool ([^\]]*)\] (.*)", re.DOTALL)


class LogForm(Protocol):
    """How lines look."""

    names_processes: bool  # and not only at level debug

    def event(self, level: LogLevel, text: str, origin: Origin | None, now: float) -> bytes:
        """Something that happened, whole."""

    def say(self, speaker: Speaker, text: bytes, origin: Origin | None, now: float, *, closed: bool) -> bytes:
        """What a worker said: lines that end with a newline, and perhaps the beginning of one."""

    def finish(self) -> bytes:
        """End a line that is not ended."""


class TextLines:
    """php-fpm's lines; for syslog, which adds time and process itself, without them."""

    names_processes = False

    def __init__(self, *, limit: int = 0, buffering: bool = True, syslog: bool = False) -> None:
        self._writer = Writer(limit=limit, buffering=buffering)
        self._syslog = syslog

    def event(self, level: LogLevel, text: str, origin: Origin | None, now: float) -> bytes:
        """One line, or as many as the text needs."""
        frame = Frame(self._heading(level, origin, now).encode())
        return self._writer.line(frame, text.encode("utf-8", "backslashreplace"))

    def say(self, speaker: Speaker, text: bytes, origin: Origin | None, now: float, *, closed: bool) -> bytes:
        """With php-fpm's words around it, unless they are not wanted."""
        writer, frame = self._writer, speaker.frame(self._heading(LogLevel.WARNING, origin, now))
        *whole, rest = text.split(b"\n")
        done = []
        for line in whole:
            shown = speaker.show(line.removesuffix(b"\r") if speaker.decorated else line)
            if shown or writer.belongs_to(speaker):
                done += [writer.add(speaker, frame, shown), writer.finish()]
        if rest:
            done.append(writer.add(speaker, frame, speaker.show(rest)))
        if closed and writer.belongs_to(speaker):
            done.append(writer.finish(PIPE_CLOSED if speaker.decorated else b""))
        return b"".join(done)

    def finish(self) -> bytes:
        """End a line that is not ended."""
        return self._writer.finish()

    def _heading(self, level: LogLevel, origin: Origin | None, now: float) -> str:
        return syslog_heading(level, origin) if self._syslog else heading(level, now=now, origin=origin)


class JsonLines:
    """One object a line, of ASCII: nothing that a script or a client says can be taken for another line.

    What is longer than `limit` bytes goes on in further objects: each has its number as `part`, and all but
    the last have `more`.
    """

    names_processes = True

    def __init__(self, pid: int, *, limit: int = 0, buffering: bool = True) -> None:
        """`pid` is that of the master, who speaks where nobody else is named."""
        self._pid = pid
        self._limit = limit
        self._buffering = buffering
        self._speaker: Speaker | None = None
        self._held = b""
        self._part = 0
        self._now = 0.0

    def event(self, level: LogLevel, text: str, origin: Origin | None, now: float) -> bytes:
        """One object, or as many as the text needs."""
        fields: dict[str, object] = {"time": iso_time(now), "level": level.name.lower()}
        if pool := _POOL.fullmatch(text):
            fields["pool"], text = pool.groups()
        fields["pid"] = origin.pid if origin else self._pid
        if origin and origin.line:
            fields |= {"function": origin.function, "line": origin.line}
        pieces = list(self._pieces(text.encode("utf-8", "backslashreplace")))
        done = [self.finish()]
        for number, piece in enumerate(pieces, 1):
            part: dict[str, object] = {"part": number} if len(pieces) > 1 else {}
            done.append(_object(fields, piece, part, more=number < len(pieces)))
        return b"".join(done)

    def say(self, speaker: Speaker, text: bytes, origin: Origin | None, now: float, *, closed: bool) -> bytes:
        """One object for each line, decorated or not."""
        done = [] if speaker == self._speaker else [self.finish()]
        self._speaker, self._now = speaker, now
        *whole, rest = text.split(b"\n")
        for line in whole:
            self._held += line.removesuffix(b"\r")
            if self._held or self._part:
                done.append(self._tell())
        self._held += rest
        if closed and (self._held or self._part):
            done.append(self._tell(closed=True))
        elif self._held and not self._buffering:
            done.append(self._tell(more=True))
        elif self._limit and len(self._held) > self._limit:
            *full, self._held = self._pieces(self._held)
            done += [self._show(piece, more=True) for piece in full]
        return b"".join(done)

    def finish(self) -> bytes:
        """End a line that is not ended."""
        done = self._tell() if self._held or self._part else b""
        self._speaker = None
        return done

    def _tell(self, *, more: bool = False, closed: bool = False) -> bytes:
        """Show what is held; afterwards nothing is."""
        *full, last = self._pieces(self._held)
        self._held = b""
        shown = [self._show(piece, more=True) for piece in full]
        return b"".join(shown) + self._show(last, more=more, closed=closed)

    def _show(self, piece: bytes, *, more: bool, closed: bool = False) -> bytes:
        assert self._speaker is not None
        fields: dict[str, object] = {
            "time": iso_time(self._now),
            "level": "warning",
            "pool": self._speaker.pool,
            "pid": self._speaker.pid,
            "stream": self._speaker.stream,
        }
        self._part += 1
        about: dict[str, object] = {"part": self._part} if more or self._part > 1 else {}
        if closed:
            about["closed"] = True
        if not more:
            self._part = 0
        return _object(fields, piece, about, more=more)

    def _pieces(self, text: bytes) -> Iterator[bytes]:
        """Cut where it is too long, and not within a character."""
        while self._limit and len(text) > self._limit:
            size = self._limit
            while size > self._limit - 3 and text[size] & 0xC0 == 0x80:
                size -= 1
            yield text[:size]
            text = text[size:]
        yield text


def _object(fields: dict[str, object], piece: bytes, about: dict[str, object], *, more: bool) -> bytes:
    whole = {**fields, "message": piece.decode("utf-8", "replace"), **about}
    if more:
        whole["more"] = True
    return json.dumps(whole).encode() + b"\n"
