"""The pair of sockets through which the workers of a pool pass kept connections; see native/handoff.h."""

import os
import select
import socket
from contextlib import suppress

_NOTE = 24  # bytes in front: struct handoff_note
_LONGEST = _NOTE + (1 << 17)  # and what was read of the next request
_ROOM = 1 << 22  # bytes of what waits; without privileges it is what the system allows
_SO_SNDBUFFORCE = 32


def open_pair() -> tuple[int, int]:
    """Descriptors of a new pair: where connections are given, and where they are taken."""
    give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        give.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ROOM)
    except PermissionError:
        give.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
    return give.detach(), take.detach()


class Handoff:
    """A manager's view of the pair."""

    def __init__(self, give: int, take: int) -> None:
        self._give = socket.socket(fileno=give)
        self._take = socket.socket(fileno=take)

    def fileno(self) -> int:
        """Can be read when a connection waits to be taken."""
        return self._take.fileno()

    def waiting(self) -> int:
        """How many wait, as far as that can be told: one, or none."""
        return len(select.select([self._take], [], [], 0)[0])

    def close_idle(self) -> bool:
        """No worker is there, and none is about to come: close the connections on which nothing was sent.

        Returns whether some wait to be served.
        """
        waiting = []
        with suppress(OSError):
            while (message := socket.recv_fds(self._take, _LONGEST, 1))[1]:
                content, fds = message[:2]
                connection = socket.socket(fileno=fds[0])
                if len(content) > _NOTE or _has_sent(connection):
                    waiting.append((content, connection))
                else:
                    connection.close()
        for content, connection in waiting:
            with suppress(OSError):
                socket.send_fds(self._give, [content], [connection.fileno()])
            connection.close()
        return bool(waiting)

    def pass_on(self, target: "Handoff") -> bool:
        """Move one connection that waits to another pair.  Returns whether there was room for it."""
        if not select.select([], [target._give], [], 0)[1]:
            return False
        with suppress(BlockingIOError):
            content, fds = socket.recv_fds(self._take, _LONGEST, 1)[:2]
            for fd in fds:
                # A pair that was shut down: the pool stops.
                with suppress(OSError):
                    socket.send_fds(target._give, [content], [fd])
                os.close(fd)
            return bool(content)
        return True

    def end(self) -> None:
        """Nobody will take what is given from now on: workers close their connections themselves."""
        for end in (self._give, self._take):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            while fds := socket.recv_fds(self._take, 1, 1)[1]:
                os.close(fds[0])


def _has_sent(connection: socket.socket) -> bool:
    """Whether bytes wait to be read, and not the end of the connection."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
