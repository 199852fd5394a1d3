"""Speaks HTTP with whoever comes, and asks the reader for what they want.

All are strangers: there is a limit for how many there are, for how long each may take and for how much it may
send.  This process has no rights, and knows nothing but what the reader gives it.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

from kraal.metrics.http import MOST, Page, Question, Request, read, response
from kraal.unix import parcels
from kraal.unix.loop import Loop, Timer

MOST_GUESTS = 64
_AT_ONCE = 16
# For a request to be complete, for an answer to be found, and for it to be taken.
_PATIENCE = 10.0
# For the client to have read the answer: if we closed with bytes of it unread, it would be lost.
_LINGER = 2.0
# What the reader says when nobody is to be let in any more.
LAST = b"last"


class Front:
    """Every connection."""

    def __init__(
        self, loop: Loop, listener: socket.socket, reader: socket.socket, is_allowed: Callable[[str], bool]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._reader = reader
        self._is_allowed = is_allowed
        self._guests: dict[int, Guest] = {}  # who was heard of longest ago first
        self._waiting: dict[Question, list[Guest]] = {}
        self._asked: dict[Question, list[Guest]] = {}
        self._leaving = False

    def run(self) -> None:
        """Serve until the reader is gone, or has said that nobody else is to come."""
        self._loop.watch(self._listener.fileno(), self._let_in)
        self._loop.watch(self._reader.fileno(), self._hear)
        self._loop.run()

    def _let_in(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                opened, peer = self._listener.accept()
            except OSError:
                # Nobody is there, or there are too many open files: they wait.
                return
            if isinstance(peer, tuple) and not self._is_allowed(str(peer[0])):
                opened.close()
                continue
            if len(self._guests) >= MOST_GUESTS:
                next(iter(self._guests.values())).leave()
            opened.setblocking(False)
            self._guests[opened.fileno()] = Guest(opened, self._loop, self)

    def want(self, guest: "Guest", question: Question) -> None:
        """Ask the reader; who comes while he answers others asks anew, as things may have changed."""
        self._waiting.setdefault(question, []).append(guest)
        self._ask(question)

    def _ask(self, question: Question) -> None:
        if question not in self._asked and question in self._waiting:
            self._asked[question] = self._waiting.pop(question)
            try:
                self._reader.send(question.value.encode())
            except OSError:
                self._loop.stop()  # it is gone, and others take the place of both

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                message, descriptors = parcels.receive(self._reader)
                if not message:
                    self._loop.stop()
                    return
                if message == LAST:
                    self._leave()
                else:
                    self._pass_on(message, descriptors)

    def _pass_on(self, message: bytes, descriptors: list[int]) -> None:
        name, status, kind = message.decode().split(" ", 2)
        body = b""
        for fd in descriptors:
            with os.fdopen(fd, "rb") as file:
                body += os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
        question = Question(name)
        for guest in self._asked.pop(question, []):
            guest.take(Page(int(status), body, kind))
        self._ask(question)

    def heard_of(self, fd: int) -> None:
        """This guest is not the one who was silent longest."""
        self._guests[fd] = self._guests.pop(fd)

    def forget(self, fd: int) -> None:
        """A guest has left."""
        self._guests.pop(fd, None)
        if self._leaving and not self._guests:
            self._loop.stop()

    def _leave(self) -> None:
        self._leaving = True
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        if not self._guests:
            self._loop.stop()


class Guest:
    """One connection, with one request."""

    def __init__(self, opened: socket.socket, loop: Loop, front: Front) -> None:
        self._socket = opened
        self._loop = loop
        self._front = front
        self._received = b""
        self._request: Request | None = None
        self._output: memoryview | None = None
        self._gone = False
        self._timer: Timer = loop.call_later(_PATIENCE, self.leave)
        loop.watch(opened.fileno(), self._on_bytes)

    def leave(self) -> None:
        """Close the connection."""
        if self._gone:
            return
        self._gone = True
        self._timer.cancel()
        fd = self._socket.fileno()
        self._loop.unwatch(fd)
        self._socket.close()
        self._front.forget(fd)

    def _expect(self, patience: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(patience, self.leave)

    def _on_bytes(self) -> None:
        try:
            received = self._socket.recv(MOST)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.leave()
            return
        if self._request or self._output is not None:
            return  # nobody reads what stands behind a request; the time for it is limited
        self._front.heard_of(self._socket.fileno())
        self._received += received
        match read(self._received):
            case Request() as request:
                self._request = request
                self._expect(_PATIENCE)
                self._front.want(self, request.question)
            case Page() as refusal:
                self._send(response(refusal))
            case None:
                pass

    def take(self, page: Page) -> None:
        """Here is what it asked for."""
        if not self._gone:
            self._send(response(page, head_only=self._request is not None and self._request.head_only))

    def _send(self, output: bytes) -> None:
        self._output = memoryview(output)
        self._expect(_PATIENCE)
        self._flush()

    def _flush(self) -> None:
        assert self._output is not None, "there is something to send"
        try:
            self._output = self._output[self._socket.send(self._output) :]
        except BlockingIOError:
            pass
        except OSError:
            self.leave()
            return
        if self._output:
            self._loop.watch_room(self._socket.fileno(), self._flush)
            return
        self._loop.unwatch_room(self._socket.fileno())
        self._expect(_LINGER)
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.leave()
