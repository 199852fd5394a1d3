"""Small typed messages between master and manager, over a SEQPACKET socket.

A message is one byte of kind and a text.  The master treats what it receives as foreign input.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from struct import Struct
from typing import ClassVar

from kraal.fields import Frozen
from kraal.unix import parcels

MAX_MESSAGE = 16384
_FD = Struct("i")
_AT_ONCE = 1000  # more than the socket holds


class Kind(IntEnum):
    """What a message says, and who sends it."""

    READY = 1  # manager: PHP is up and the workers were started
    FAILED = 2  # manager: cannot start; the text is one sentence
    LOG = 3  # manager: a level byte and a line for the error log
    OUTPUT = 4  # manager: what a worker wrote, see Output
    SPOKEN = 5  # manager: the answer to SPEAK
    SLOW = 6  # manager: lines for the pool's slow log
    LEAVING = 7  # manager: there is no worker and none is needed; whoever comes now is not its business
    CRASHED = 8  # manager: a worker ended by SIGSEGV or SIGBUS
    CLAIM = 9  # manager: has or wants so many workers, see master/budget.py
    QUIT = 16  # master: finish the running requests and leave
    TERMINATE = 17  # master: leave at once
    SPEAK = 18  # master: pass on now what workers have written
    DRAIN = 19  # master: others serve now: finish what runs, and leave
    FILE = 20  # master: the access log, opened; a descriptor comes along
    REST = 21  # master: leave, if there is no worker
    GRANT = 22  # master: so many of those that were claimed


class Output(Frozen):
    """The payload of OUTPUT."""

    stream: int  # the worker's descriptor
    pid: int
    text: bytes  # newlines end lines; the last line may go on in another message
    closed: bool = False  # the last line ends because the worker closed the descriptor

    _HEAD: ClassVar = Struct("!BBI")
    MOST_TEXT: ClassVar = MAX_MESSAGE - 1 - _HEAD.size

    def to_bytes(self) -> bytes:
        """For the channel."""
        return self._HEAD.pack(self.stream, self.closed, self.pid) + self.text

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Output | None":
        """Undo `to_bytes`; None if it is none."""
        if len(payload) < cls._HEAD.size:
            return None
        stream, closed, pid = cls._HEAD.unpack_from(payload)
        return cls(stream, pid, payload[cls._HEAD.size :], bool(closed))


class Channel:
    """One end."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Two ends that are connected."""
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(a.detach()), cls(b.detach())

    def fileno(self) -> int:
        """For a loop to watch."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Send one message, cut to what fits.  A peer that is gone has no use for it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.send(bytes([kind]) + payload[: MAX_MESSAGE - 1])

    def offer(self, kind: Kind, payload: bytes = b"") -> bool:
        """Send without ever waiting for the peer; False if it has no room for the message now."""
        try:
            self._socket.send(bytes([kind]) + payload[: MAX_MESSAGE - 1], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            pass
        return True

    def hand(self, kind: Kind, descriptor: int) -> bool:
        """Send a descriptor without ever waiting for the peer; False if it has no room for it now."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(descriptor))
        try:
            # Not by socket.send_fds, which forgets the flags that it is given (Python 3.11).
            self._socket.sendmsg([bytes([kind])], [rights], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            pass
        return True

    def receive(self) -> Iterator[tuple[int, bytes]]:
        """What has arrived.  Raises EOFError, after the last message, when the peer is gone.

        Not without end: a peer that sends as fast as we read must not keep us from all else.
        """
        for _ in range(_AT_ONCE):
            try:
                message = self._socket.recv(MAX_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message = b""
            if not message:
                raise EOFError
            yield message[0], message[1:]

    def receive_all(self) -> Iterator[tuple[int, bytes, list[int]]]:
        """The same with the descriptors that came along; for whoever can trust the peer."""
        for _ in range(_AT_ONCE):
            try:
                message, descriptors = parcels.receive(self._socket)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message, descriptors = b"", []
            if not message:
                raise EOFError
            yield message[0], message[1:], descriptors
