"""Serves the figures of the master that executes it (`python -m kraal.metrics.server`): two processes.

The *reader* has the master's rights, looks at its memory files and makes the pages.  The *front*, its child,
has no rights and talks to strangers; all that it can say to the reader is the name of a page.
"""

import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from enum import IntEnum
from functools import partial
from typing import NoReturn

from setproctitle import setproctitle

from kraal.errors import Exit, StartError
from kraal.metrics.exposition import CONTENT_TYPE, render
from kraal.metrics.families import Told, families, standings
from kraal.metrics.front import LAST, MOST_GUESTS, Front
from kraal.metrics.http import Page, Question
from kraal.metrics.sight import Sight
from kraal.pages import peers
from kraal.unix import memory, parcels, privileges, process
from kraal.unix.loop import Loop

# To ask for the memory of a thousand workers takes half a second.
_KEEP_SIZES = 10.0
# A master that does not answer within this is stuck.
_PATIENCE = 3.0
_MOST = 1 << 18
_WELL = Page(200, b"ok\n")
_SILENT = Page(503, b"the master does not answer\n")


class Descriptor(IntEnum):
    """Open files that it finds."""

    MASTER = 3
    LISTENER = 4
    ORDER = 5


class Reader:
    """Makes the pages."""

    def __init__(self, pid: int, master: socket.socket, front: socket.socket) -> None:
        self._pid = pid
        self._master = master
        self._front = front
        self._sight = Sight(pid, keep=_KEEP_SIZES)
        self._told: Told | None = Told()  # what the master has said last; None: it does not answer
        self._replaced = False

    def run(self) -> None:
        """Answer the front until it is gone."""
        while True:
            lines = [self._front] if self._replaced else [self._master, self._front]
            ready, _, _ = select.select(lines, [], [])
            if self._master in ready:
                # The end, or an answer that came too late.
                self._hear()
            elif self._front in ready:
                asked = self._front.recv(_MOST)
                if not asked:
                    return
                self._answer(asked)

    def _hear(self) -> None:
        try:
            message = self._master.recv(_MOST)
        except OSError:
            message = b""
        if message:
            self._told = Told(**json.loads(message))
            return
        self._replaced = True
        self._front.send(LAST)

    def _ask(self) -> None:
        """Learn how the pools are.  A master that executes itself cannot say so: they are as before."""
        before = self._told
        if self._replaced:
            return
        self._told = None
        with suppress(OSError):
            self._master.send(b"?")
        ready, _, _ = select.select([self._master], [], [], _PATIENCE)
        if ready:
            self._hear()
        if self._replaced:
            self._told = before

    def _answer(self, asked: bytes) -> None:
        try:
            question = Question(asked.decode())
        except ValueError:
            return
        page = self._page(question)
        file = memory.create_filled("kraal-page", page.body)
        try:
            parcels.send(self._front, f"{question.value} {page.status} {page.kind}".encode(), [file])
        finally:
            os.close(file)

    def _page(self, question: Question) -> Page:
        self._ask()
        match question:
            case Question.METRICS:
                return self._metrics()
            case Question.HEALTH:
                return _SILENT if self._told is None else _WELL
            case Question.READY:
                return self._ready()

    def _metrics(self) -> Page:
        try:
            view = self._sight.look()
        except StartError as error:
            return Page(503, f"{error}\n".encode("utf-8", "replace"))
        text = render([*families(view), *standings(self._told)])
        return Page(200, text.encode(), CONTENT_TYPE)

    def _ready(self) -> Page:
        if self._told is None:
            return _SILENT
        if self._told.down:
            text = "".join(f"pool {name} is not served\n" for name in self._told.down)
            return Page(503, text.encode("utf-8", "replace"))
        return _WELL


def _serve(order: dict[str, object], reader: socket.socket) -> NoReturn:
    """Be the front."""
    code = Exit.SOFTWARE
    try:
        setproctitle("kraal: metrics (front)")
        listener = socket.socket(fileno=Descriptor.LISTENER)
        networks = order["networks"]
        is_allowed = partial(
            peers.is_allowed,
            networks=[(str(at), int(size)) for at, size in networks] if isinstance(networks, list) else None,
        )
        privileges.limit_files(2 * MOST_GUESTS)
        uid, gid = order["uid"], order["gid"]
        if isinstance(uid, int) and isinstance(gid, int):
            privileges.become(uid, gid, ())
        process.forbid_new_privileges()
        process.die_with_parent(signal.SIGKILL)
        Front(Loop(), listener, reader, is_allowed).run()
        code = Exit.OK
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> int:
    """Both.  Returns the exit code of the reader."""
    setproctitle("kraal: metrics (reader)")
    process.die_with_parent(signal.SIGKILL)
    pid = os.getppid()
    with os.fdopen(Descriptor.ORDER, "rb") as file:
        order = json.load(file)
    master = socket.socket(fileno=Descriptor.MASTER)
    master.set_inheritable(False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        master.close()
        _serve(order, theirs)
    theirs.close()
    os.close(Descriptor.LISTENER)
    with suppress(BrokenPipeError, ConnectionResetError):
        Reader(pid, master, ours).run()
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
