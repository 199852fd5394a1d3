"""The lines of the log: their form, and how long text is cut into several.  Pure."""

import re
import time

from kraal.config.model import LogLevel
from kraal.fields import Frozen

# However long a prefix is, so much of the text stands on a line.
_LEAST_ROOM = 64
PIPE_CLOSED = b", pipe is closed"


def clean(text: str) -> str:
    """One line of printable text: what a pool says cannot forge lines of others."""
    if text.replace("\t", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)


class Origin(Frozen):
    """Who speaks, for lines at level debug."""

    pid: int
    function: str = "(null)"  # php-fpm's word for one that is not known
    line: int = 0

    def __str__(self) -> str:
        name = self.function if re.fullmatch(r"\w+", self.function, re.ASCII) else "(null)"
        return f"pid {self.pid}, {name}(), line {self.line}: "


def stamp(now: float, *, micros: bool = False) -> str:
    """`[20-Nov-2026 08:53:46] `, or `[20-Nov-2026 08:53:46.123456] `."""
    whole, fraction = divmod(int(now * 1_000_000), 1_000_000)
    digits = f".{fraction:06d}" if micros else ""
    return f"[{time.strftime('%d-%b-%Y %H:%M:%S', time.localtime(whole))}{digits}] "


def iso_time(now: float) -> str:
    """`2026-11-20T08:53:46.123+01:00`."""
    whole, millis = divmod(int(now * 1000), 1000)
    at = time.localtime(whole)
    zone = time.strftime("%z", at)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{millis:03d}{zone[:3]}:{zone[3:]}"


def heading(level: LogLevel, *, now: float, origin: Origin | None = None) -> str:
    """What a line begins with; with an origin, in the form of level debug."""
    return f"{stamp(now, micros=origin is not None)}{level.name}: {origin or ''}"


def syslog_heading(level: LogLevel, origin: Origin | None = None) -> str:
    """The same for syslog, which adds time and process itself."""
    return f"[{level.name}] {str(origin).partition(', ')[2] if origin else ''}"


class Frame(Frozen):
    """What stands around the text of a line, and again around each part if it has to be cut."""

    prefix: bytes
    quote: bytes = b""


class Speaker(Frozen):
    """A stream of a worker, whose line may come in several pieces."""

    pool: str
    pid: int
    stream: str
    decorated: bool = True

    def frame(self, heading: str) -> Frame:
        """php-fpm's words around what a worker says; none if they are not wanted."""
        if not self.decorated:
            return Frame(b"")
        prefix = f"{heading}[pool {self.pool}] child {self.pid} said into {self.stream}: "
        return Frame(prefix.encode("utf-8", "backslashreplace"), b'"')

    def show(self, line: bytes) -> bytes:
        """What may stand between the quotes; without decoration a pool answers for its own bytes."""
        if not self.decorated:
            return line
        return clean(line.decode("utf-8", "backslashreplace")).encode()


class Writer:
    """Gives the bytes to write for text that comes in pieces; at most one line is unfinished at a time.

    A line is `limit` bytes at most, newline included; 0 is no limit.  With `buffering`, an unfinished
    line is kept until it is full or finished.
    """

    def __init__(self, *, limit: int = 0, buffering: bool = True) -> None:
        self.limit = limit
        self.buffering = buffering
        self._speaker: object = None
        self._frame = Frame(b"")
        self._held = b""
        self._column = 0  # bytes of the unfinished line's text that were given out

    def line(self, frame: Frame, text: bytes) -> bytes:
        """A whole line, or as many as the text needs."""
        before = self.finish()
        self._frame, self._held = frame, text
        return before + (self._advance() + self.finish() if text else frame.prefix + b"\n")

    def add(self, speaker: object, frame: Frame, text: bytes) -> bytes:
        """More text of a speaker; whatever another one left unfinished is finished first."""
        before = b"" if speaker == self._speaker else self.finish()
        self._speaker, self._frame = speaker, frame
        self._held += text
        return before + self._advance()

    def belongs_to(self, speaker: object) -> bool:
        """Whether the unfinished line is of this speaker."""
        return speaker == self._speaker

    def finish(self, suffix: bytes = b"") -> bytes:
        """End the unfinished line, if there is one."""
        self._speaker = None
        if not self._held and not self._column:
            return b""
        frame, column = self._frame, self._column + len(self._held)
        line = self._start() + self._held + frame.quote
        self._held, self._column = b"", 0
        fits = len(suffix)
        if self.limit:
            fits = max(0, self.limit - 1 - len(frame.prefix) - 2 * len(frame.quote) - column)
        # php-fpm lets the suffix go on in a line of its own, without quotes.
        rest = frame.prefix + suffix[fits:] + b"\n" if suffix[fits:] else b""
        return line + suffix[:fits] + b"\n" + rest

    def _advance(self) -> bytes:
        frame, room = self._frame, self._room()
        done = []
        # A line that is just full is kept: nobody knows yet whether the text goes on.
        while self._column + len(self._held) > room:
            free = room - self._column
            done.append(self._start() + self._held[:free] + frame.quote + b"\n")
            self._held, self._column = self._held[free:], 0
        if not self.buffering and self._held:
            done.append(self._start() + self._held)
            self._column += len(self._held)
            self._held = b""
        return b"".join(done)

    def _room(self) -> int:
        """How much text a line has room for."""
        if not self.limit:
            return self._column + len(self._held)
        around = len(self._frame.prefix) + 2 * len(self._frame.quote) + 1
        return max(_LEAST_ROOM, self.limit - around)

    def _start(self) -> bytes:
        return b"" if self._column else self._frame.prefix + self._frame.quote
