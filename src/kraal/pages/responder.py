"""Answers FastCGI requests in the manager itself, without a worker: the pages of `pm.status_listen`, and
those who are turned away.

Whoever connects is foreign, and nobody of them may hold up the pool: there is a limit for how many there are,
for how long each may take and for how much it may send.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kraal.errors import RemoteProtocolError
from kraal.fastcgi.connection import ServerConnection
from kraal.fastcgi.events import (
    Aborted,
    ConnectionClosed,
    ManagementRequest,
    ParamsComplete,
    RequestRefused,
    ServerEvent,
)
from kraal.fastcgi.states import ServerState
from kraal.unix.loop import Loop, Timer

Answer = Callable[[ParamsComplete, int], bytes]

_AT_ONCE = 16  # connections let in, before others have their turn
_MOST_PARAMS = 1 << 16
_CHUNK = 1 << 16
# What somebody may send on while he does not take his answer.
_MOST_UNASKED = 1 << 20
# For a request to be complete, and for its answer to be taken.
_PATIENCE = 10.0
# For the web server to have read the answer: if we closed with bytes of it unread, it would be lost.
_LINGER = 2.0


class Responder:
    """Every connection that a manager has."""

    def __init__(
        self,
        loop: Loop,
        answer: Answer,
        *,
        most: int,
        is_allowed: Callable[[str], bool],
        keep: bool = True,
    ) -> None:
        """`answer` gives the CGI response to params, and is told on which descriptor they came.

        `most` is how many there may be, `is_allowed` says whether a peer may come in, and `keep` whether a
        connection is kept after an answer if the web server likes.
        """
        self._loop = loop
        self._answer = answer
        self._most = most
        self._is_allowed = is_allowed
        self._keep = keep
        self._guests: dict[int, _Guest] = {}  # those that were heard of longest ago first

    def __len__(self) -> int:
        return len(self._guests)

    def watch(self, listener: socket.socket) -> None:
        """Let in whoever connects there."""
        self._loop.watch(listener.fileno(), partial(self._let_in, listener))

    def let_in(self, listener: socket.socket) -> bool:
        """Let in the one who has waited longest.  Returns whether there was somebody."""
        try:
            opened, peer = listener.accept()
        except OSError:
            # Nobody is there, or there are too many open files: they wait.
            return False
        self._welcome(opened, peer)
        return True

    def _let_in(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self.let_in(listener):
                return

    def close(self) -> None:
        """Turn everybody out."""
        for guest in list(self._guests.values()):
            guest.leave()

    def close_in_child(self) -> None:
        """After fork: these connections are not the worker's."""
        for guest in self._guests.values():
            guest.socket.close()

    def _welcome(self, opened: socket.socket, peer: object) -> None:
        if isinstance(peer, tuple) and not self._is_allowed(str(peer[0])):
            opened.close()
            return
        if len(self._guests) >= self._most:
            # Who has been silent longest; the newest one would be a rule for whoever wants to keep us busy.
            next(iter(self._guests.values())).leave()
        opened.setblocking(False)
        guest = _Guest(opened, self._loop, self._answer, self._forget, self._heard_of, keep=self._keep)
        self._guests[opened.fileno()] = guest
        guest.stay()

    def _forget(self, fd: int) -> None:
        self._guests.pop(fd, None)

    def _heard_of(self, fd: int) -> None:
        self._guests[fd] = self._guests.pop(fd)


class _Guest:
    """One connection."""

    def __init__(
        self,
        opened: socket.socket,
        loop: Loop,
        answer: Answer,
        forget: Callable[[int], None],
        heard_of: Callable[[int], None],
        *,
        keep: bool,
    ) -> None:
        self.socket = opened
        self._loop = loop
        self._answer = answer
        self._forget = forget
        self._heard_of = heard_of
        self._keep = keep
        self._connection = ServerConnection(max_params_size=_MOST_PARAMS)
        self._output = bytearray()
        self._unasked = 0
        self._closing = False
        self._timer: Timer | None = None

    def stay(self) -> None:
        """Be watched."""
        self._loop.watch(self.socket.fileno(), self._on_bytes)
        self._expect(_PATIENCE)

    def leave(self) -> None:
        """Close the connection, also for children that still have it."""
        fd = self.socket.fileno()
        self._forget(fd)
        if self._timer:
            self._timer.cancel()
        self._loop.unwatch(fd)
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _expect(self, patience: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(patience, self.leave)

    def _on_bytes(self) -> None:
        try:
            received = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.leave()
            return
        self._heard_of(self.socket.fileno())
        if self._closing or self._output:
            # The body of a request that was answered, or what stands before the next one.
            self._unasked += len(received)
            if not received or self._unasked > _MOST_UNASKED:
                self.leave()
                return
        if self._closing:
            return
        if received:
            self._connection.receive_data(received)
        else:
            self._connection.receive_eof()
        if not self._output:
            self._go_on()

    def _go_on(self) -> None:
        """Answer what has arrived, one thing after the other."""
        try:
            while not self._closing and (event := self._connection.next_event()):
                self._react(event)
                if not self._flush():
                    return
        except RemoteProtocolError:
            self.leave()

    def _react(self, event: ServerEvent) -> None:
        if isinstance(event, ParamsComplete):
            # Now, and not when the body has come: nobody reads it.
            self._output += self._connection.stdout(self._answer(event, self.socket.fileno()))
            self._output += self._connection.end(close=not self._keep)
            self._expect(_PATIENCE)
        elif isinstance(event, Aborted):
            self._output += self._connection.end()
        elif isinstance(event, ManagementRequest | RequestRefused):
            self._output += event.reply
        elif isinstance(event, ConnectionClosed):
            self._closing = True

    def _flush(self) -> bool:
        """Send what there is to send.  Returns whether all of it was, and the connection lives."""
        try:
            sent = self.socket.send(self._output) if self._output else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.leave()
            return False
        del self._output[:sent]
        if self._output:
            self._loop.watch_room(self.socket.fileno(), self._on_room)
            return False
        self._loop.unwatch_room(self.socket.fileno())
        self._unasked = 0
        if self._connection.state is ServerState.CLOSED:
            self._close_gently()
            return False
        return True

    def _on_room(self) -> None:
        if self._flush():
            self._go_on()

    def _close_gently(self) -> None:
        if self._closing:
            self.leave()
            return
        self._closing = True
        self._expect(_LINGER)
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
