"""What workers write to standard output and standard error, made into text for the log.

Bytes in, text out: a newline in the text ends a line, and what follows the last newline may go on later.
Nothing is cut here; the log knows how long its lines may be.
"""

from enum import IntEnum

from kraal.fields import Frozen

# php-fpm's mark for the end of a request, written by the worker among what the script writes.
END_OF_REQUEST = b"\0fscf\0"
# A line that does not end is passed on in parts from this size on.
MOST_HELD = 4096


class Stream(IntEnum):
    """The descriptor that was written to."""

    STDOUT = 1
    STDERR = 2


class Said(Frozen):
    """Text of one stream; `closed` if it ends because the stream was closed."""

    stream: Stream
    text: bytes
    closed: bool = False

    @property
    def lines(self) -> int:
        """How many lines it comes to."""
        return sum(1 for line in self.text.split(b"\n") if line)


class WorkerOutput:
    """Both streams of one worker.  A change from one to the other ends the line."""

    def __init__(self, *, buffering: bool) -> None:
        """With `buffering`, text waits for the end of its line, else for nothing."""
        self._buffering = buffering
        self._stream = Stream.STDERR
        self._held = b""
        self._open = False  # text of an unfinished line was passed on
        # What may be the beginning of the mark.
        self._doubtful = dict.fromkeys(Stream, b"")

    @property
    def pending(self) -> bool:
        """Whether a line is unfinished."""
        return self._open or bool(self._held) or any(self._doubtful.values())

    def feed(self, stream: Stream, chunk: bytes) -> list[Said]:
        """Give what can be shown now that these bytes have come."""
        text = (self._doubtful[stream] + chunk).replace(END_OF_REQUEST, b"\n")
        size = _begun_mark(text)
        text, self._doubtful[stream] = text[: len(text) - size], text[len(text) - size :]
        return self._add(stream, text) if text else []

    def close(self, stream: Stream) -> list[Said]:
        """Give what is left of a stream that was closed."""
        doubtful, self._doubtful[stream] = self._doubtful[stream], b""
        said = self._add(stream, doubtful) if doubtful else []
        if stream is self._stream and (self._held or self._open):
            said.append(Said(stream, self._take(len(self._held)), closed=True))
            self._open = False
        return said

    def _add(self, stream: Stream, text: bytes) -> list[Said]:
        said = [] if stream is self._stream else self._turn_to(stream)
        # Empty lines are nothing to log, and every request ends with one.
        self._held += text if self._held or self._open else text.lstrip(b"\n")
        ready = self._take(self._ready())
        if ready:
            self._open = not ready.endswith(b"\n")
            said.append(Said(stream, ready))
        return said

    def _turn_to(self, stream: Stream) -> list[Said]:
        before, self._stream = self._stream, stream
        if not self._held and not self._open:
            return []
        self._open = False
        return [Said(before, self._take(len(self._held)) + b"\n")]

    def _ready(self) -> int:
        """How many of the bytes are to be passed on: whole lines, and a part that is too long to hold."""
        whole = self._held.rfind(b"\n") + 1
        if self._buffering and len(self._held) - whole < MOST_HELD:
            return whole
        return len(self._held) - _begun_character(self._held)

    def _take(self, size: int) -> bytes:
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _begun_mark(text: bytes) -> int:
    """How many bytes at the end may turn out to be the beginning of the mark."""
    sizes = range(len(END_OF_REQUEST) - 1, 0, -1)
    return next((size for size in sizes if text.endswith(END_OF_REQUEST[:size])), 0)


def _begun_character(text: bytes) -> int:
    """How many bytes at the end are the beginning of a character in UTF-8."""
    for back in range(1, min(3, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            return back if back < _character_size(byte) else 0
        if byte < 0x80:
            return 0
    return 0


def _character_size(first: int) -> int:
    return 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
