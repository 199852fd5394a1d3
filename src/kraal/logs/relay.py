"""The way of log lines from a manager and its workers to the master.

Nobody waits on it: what the master has no room for is queued, and beyond that dropped and counted.
"""

import socket
from contextlib import suppress
from enum import IntEnum

from kraal.logs.capture import Capture
from kraal.logs.output import Said
from kraal.unix.channel import Channel, Kind, Output
from kraal.unix.loop import Loop
from kraal.unix.outbox import Outbox

_LINE = 2048
_LINES_AT_ONCE = 1000  # more than the socket holds
# How long the last lines may take when the manager leaves.
_LAST_WORDS = 2.0


class Level(IntEnum):
    """See enum kraal_level."""

    DEBUG = 1
    NOTICE = 2
    WARNING = 3
    ERROR = 4


class Relay:
    """What is said in a pool."""

    def __init__(self, channel: Channel, loop: Loop, *, least: int, buffering: bool) -> None:
        """Lines of the manager below the level `least` are not for the log."""
        self._least = least
        self._loop = loop
        self._outbox = Outbox(channel, loop, _explain_dropped)
        self.capture = Capture(loop, self._pass_on, buffering=buffering)
        # All workers write log lines into one socket; a datagram is a line, so they cannot mix.
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def start(self) -> None:
        """Listen to the workers."""
        self._loop.watch(self._ours.fileno(), self._read_lines)

    def log(self, level: int, text: str) -> None:
        """Send a line for the log."""
        if level >= self._least:
            self._outbox.send(Kind.LOG, message(level, text))

    def write_down(self, lines: bytes) -> None:
        """Send lines for the slow log."""
        self._outbox.send(Kind.SLOW, lines, lines=lines.count(b"\n"))

    def tell(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a message that has no text."""
        self._outbox.send(kind, payload)

    def send(self, kind: Kind, text: str) -> None:
        """Send a message that has one."""
        self._outbox.send(kind, text.encode("utf-8", "backslashreplace"))

    def look(self) -> None:
        """Pass on what workers have said already."""
        self._read_lines()
        self.capture.look()

    def finish(self) -> None:
        """Pass on everything, to the end: the manager is about to leave."""
        self._read_lines()
        self.capture.drain()
        self._outbox.flush(_LAST_WORDS)

    def keep_in_child(self) -> int:
        """After fork: close what is not the worker's; returns the descriptor that it writes lines to."""
        self.capture.close_in_child()
        self._ours.close()
        return self._theirs.fileno()

    def _pass_on(self, pid: int, said: Said) -> None:
        output = Output(said.stream, pid, said.text, said.closed)
        self._outbox.send(Kind.OUTPUT, output.to_bytes(), lines=said.lines)

    def _read_lines(self) -> None:
        with suppress(BlockingIOError):
            # Not without end: workers may write faster than this is read.
            for _ in range(_LINES_AT_ONCE):
                line = self._ours.recv(_LINE, socket.MSG_DONTWAIT)
                if line:
                    level = min(max(line[0], Level.DEBUG), Level.ERROR)
                    text = line[1:].decode("utf-8", "backslashreplace")
                    self._outbox.send(Kind.LOG, message(level, text))


def message(level: int, text: str) -> bytes:
    """The payload of a LOG message; a worker's line looks the same."""
    return bytes([level]) + text.encode("utf-8", "backslashreplace")


def _explain_dropped(lines: int) -> tuple[Kind, bytes]:
    return Kind.LOG, message(Level.WARNING, f"{lines} lines were dropped: the log does not keep up")
