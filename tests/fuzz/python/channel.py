"""What a manager in foreign hands tells its master: a byte of how the master is, and messages.

A message is its kind, the length of its payload, and that.  Kind 255 is a datagram without a byte.  Whatever
is said, lines of the log are of its pool, it is granted what it may have, and nothing is raised.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kraal.master.budget import Message
from kraal.master.generation import State
from kraal.master.launcher import Manager
from kraal.unix.channel import Channel, Kind
from kraal.unix.process import Pid
from tests.fuzz.targets import Play
from tests.support.managers import POOL, Scene

# No process has it, whatever the master wants to do to it.
_NOBODY = Pid(1 << 23)
_EMPTY = 255
_STATES = list(State)
_OF_THE_MASTER = "The maximum number of processes has been reached."


@contextmanager
def begin(folder: Path) -> Iterator[Play]:
    """Have a master without limits for all pools, and one with."""
    for name in ("free", "limited"):
        (folder / name).mkdir()
    free = Scene(folder / "free", slowlog=folder / "slow.log")
    limited = Scene(folder / "limited", limit=3)
    limited.managers.process_max.open()

    def play(content: bytes) -> None:
        if content:
            scene = limited if content[0] & 1 else free
            _talk(scene, _STATES[(content[0] >> 1) % len(_STATES)], list(_messages(content[1:])))

    try:
        yield play
    finally:
        for scene in (free, limited):
            scene.close()


def _messages(content: bytes) -> Iterator[bytes]:
    while len(content) > 1:
        kind, size = content[:2]
        yield content[:1] + content[2 : 2 + size] if kind != _EMPTY else b""
        content = content[2 + size :]


def _talk(scene: Scene, state: State, messages: list[bytes]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    manager = Manager("www", _NOBODY, Channel(ours.detach()), 0.0, state)
    scene.managers._add(manager)
    scene.managers.hear_out(lambda: None)
    with theirs:
        theirs.setblocking(False)  # who was heard to end is not read from any more
        for message in messages:
            with suppress(BlockingIOError):
                theirs.send(message)
            scene.loop.call_later(0, scene.loop.stop)
            scene.loop.run()
        granted = list(_received(theirs))
    _bury(scene, manager)
    _check(scene, granted)


def _received(theirs: socket.socket) -> Iterator[bytes]:
    try:
        while message := theirs.recv(64, socket.MSG_DONTWAIT):
            yield message
    except (BlockingIOError, ConnectionResetError):
        return


def _bury(scene: Scene, manager: Manager) -> None:
    del scene.managers._table[manager.pid]
    scene.managers._on_last_message(manager)
    scene.managers.process_max.bury(manager.pid, 0)


def _check(scene: Scene, answers: list[bytes]) -> None:
    for kind, *payload in answers:
        assert kind in (Kind.GRANT, Kind.SPEAK), kind
        message = Message.from_bytes(bytes(payload))
        assert kind == Kind.SPEAK or (message and message.workers <= POOL.pm_max_children), payload
    scene.log.finish()
    for line in scene.lines():
        assert line.startswith(("[pool www] ", _OF_THE_MASTER)), line
    os.truncate(scene.path, 0)
    scene.failures.clear()
