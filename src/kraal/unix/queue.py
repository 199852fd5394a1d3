"""How many connections wait in a listening socket, and how many can; native/queue.c asks the same."""

import os
import select
import socket
import stat
import struct
from contextlib import suppress

from kraal.fields import Frozen

# linux/sock_diag.h, linux/unix_diag.h, linux/netlink.h, linux/tcp.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_SHOW_QUEUE = 0x10  # UDIAG_SHOW_RQLEN
_QUEUE = 4  # UNIX_DIAG_RQLEN
_ANY_COOKIE = 0xFFFFFFFF
# Offset of tcpi_unacked: of a listening socket, connections not accepted; after it, how many there may be.
_TCP_INFO_UNACKED = 24
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_ANSWER = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBERS = struct.Struct("=II")
_ANSWER_SIZE = 512


class Depth(Frozen):
    """Of a queue.  Limit 0: unknown."""

    waiting: int
    limit: int = 0


def look(listener: int) -> Depth:
    """Both.  Where the kernel does not tell, 1 means at least one.

    A worker that was told to leave has let go of its listener: in what is no socket nobody waits.
    """
    if not stat.S_ISSOCK(os.fstat(listener).st_mode):
        return Depth(0)
    found = None
    with suppress(OSError, struct.error), socket.socket(fileno=os.dup(listener)) as copy:
        found = _look_at_unix(listener) if copy.family == socket.AF_UNIX else _look_at_tcp(copy)
    return Depth(int(is_readable(listener))) if found is None else found


def waiting(listener: int) -> int:
    """How many wait."""
    return look(listener).waiting


def is_readable(fd: int) -> bool:
    """Whether somebody waits at a listener, or there is something to read."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _look_at_tcp(listener: socket.socket) -> Depth:
    state = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED + _NUMBERS.size)
    return Depth(*_NUMBERS.unpack_from(state, _TCP_INFO_UNACKED))


def _look_at_unix(fd: int) -> Depth | None:
    """Ask the kernel's socket diagnosis, which every user may, for one socket."""
    inode = os.fstat(fd).st_ino
    body = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY_COOKIE, inode, _SHOW_QUEUE, _ANY_COOKIE, _ANY_COOKIE)
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as diagnosis:
        diagnosis.send(head + body)
        answer = diagnosis.recv(_ANSWER_SIZE, socket.MSG_DONTWAIT)
    return _queue_in(answer, inode)


def _queue_in(answer: bytes, inode: int) -> Depth | None:
    length, kind, _flags, _sequence, _pid = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY or _ANSWER.unpack_from(answer, _HEADER.size)[4] != inode:
        return None
    at = _HEADER.size + _ANSWER.size
    while at < length:
        size, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if attribute == _QUEUE:
            return Depth(*_NUMBERS.unpack_from(answer, at + _ATTRIBUTE.size))
        at += max(_ATTRIBUTE.size, (size + 3) // 4 * 4)
    return None
