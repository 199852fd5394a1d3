"""Descriptors sent from process to process, any number of them."""

import socket
from collections.abc import Sequence
from struct import Struct

# The kernel takes 253 with one message.
_AT_ONCE = 200
_FD = Struct("i")
# Bytes of a message: more than a sentence about what went wrong.
LONGEST = 16384


def send(line: socket.socket, mark: bytes, descriptors: Sequence[int]) -> None:
    """Send them in messages that consist of the mark, in their order.  Waits for the peer to read."""
    for start in range(0, len(descriptors), _AT_ONCE):
        socket.send_fds(line, [mark], list(descriptors[start : start + _AT_ONCE]))


def send_one(line: socket.socket, message: bytes, descriptors: Sequence[int]) -> None:
    """Send one message with all of them, which may be none."""
    socket.send_fds(line, [message], descriptors)


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """The next message and its descriptors, or no bytes at the end.  Raises BlockingIOError."""
    # Not by socket.recv_fds, which forgets the flags that it is given (Python 3.11).
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    message, parts, _flags, _peer = line.recvmsg(LONGEST, socket.CMSG_SPACE(_AT_ONCE * _FD.size), flags)
    found = [
        fd
        for level, kind, content in parts
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _FD.iter_unpack(content[: len(content) - len(content) % _FD.size])
    ]
    return message, found
