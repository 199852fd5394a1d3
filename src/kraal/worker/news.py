"""What residents, and who watches their files, tell the manager.

A datagram each, with the teller's pid, a kind and perhaps a text.
A worker is foreign: the manager believes only what a living resident could say.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from struct import Struct

from kraal.fields import Frozen

_HEAD = Struct("!IB")
_MOST = 2048
_AT_ONCE = 100


class Kind(IntEnum):
    """What is told."""

    BOOTED = 1  # the worker script stands in its wait
    FAILED = 2  # it has ended before; the text says why
    SPENT = 3  # it has served enough requests, and goes on until another one can take over
    ENDED = 4  # it has ended by itself, and is started again; the text says how
    CHANGED = 5  # files that are watched have changed; the text says which


class Item(Frozen):
    """One piece of news."""

    pid: int
    kind: Kind
    text: str = ""

    def to_bytes(self) -> bytes:
        """For the socket."""
        return (_HEAD.pack(self.pid, self.kind) + self.text.encode("utf-8", "backslashreplace"))[:_MOST]

    @classmethod
    def from_bytes(cls, content: bytes) -> "Item | None":
        """Undo `to_bytes`; None if it is none."""
        if len(content) < _HEAD.size:
            return None
        pid, kind = _HEAD.unpack_from(content)
        if kind not in Kind.__members__.values():
            return None
        return cls(pid, Kind(kind), content[_HEAD.size :].decode("utf-8", "backslashreplace"))


class News:
    """The pair of sockets."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def fileno(self) -> int:
        """Can be read when there are news."""
        return self._ours.fileno()

    def receive(self) -> Iterator[Item]:
        """What has come."""
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                item = Item.from_bytes(self._ours.recv(_MOST, socket.MSG_DONTWAIT))
                if item:
                    yield item

    @property
    def told(self) -> int:
        """The descriptor that is told."""
        return self._theirs.fileno()

    def keep_in_child(self) -> None:
        """After fork: close what is not the worker's."""
        self._ours.close()

    def tell(self, kind: Kind, text: str = "") -> None:
        """Of this process."""
        with suppress(OSError):
            self._theirs.send(Item(os.getpid(), kind, text).to_bytes())
