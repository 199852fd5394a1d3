"""The pair of sockets through which kept connections are passed."""

import os
import socket
from collections.abc import Iterator

import pytest

from kraal.unix.handoff import Handoff, open_pair

NOTE = bytes(24)  # what stands in front, see native/handoff.h


@pytest.fixture
def handoff() -> Iterator[Handoff]:
    handoff = Handoff(*open_pair())
    yield handoff
    # A manager has it for life.
    for end in (handoff._give, handoff._take):
        end.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def give(handoff: Handoff, connection: socket.socket, read: bytes = b"") -> None:
    """As a worker does."""
    with handoff._give.dup() as end:
        socket.send_fds(end, [NOTE + read], [connection.fileno()])
    connection.close()


def taken(handoff: Handoff) -> bytes:
    with handoff._take.dup() as end:
        content, fds, _flags, _address = socket.recv_fds(end, 100_000, 1)
    os.close(fds[0])
    return content


def test_idle_connection_is_closed(handoff: Handoff, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    give(handoff, ours)
    assert not handoff.close_idle()
    assert theirs.recv(1) == b""


def test_connection_that_has_sent_something_waits_on(
    handoff: Handoff, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.send(b"request")
    give(handoff, ours)
    assert handoff.close_idle()
    assert taken(handoff) == NOTE


def test_connection_that_was_read_from_waits_on_with_its_bytes(
    handoff: Handoff, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _theirs = pair
    give(handoff, ours, b"x" * 65_536)
    assert handoff.close_idle()
    assert taken(handoff) == NOTE + b"x" * 65_536


def test_connection_whose_peer_has_left_is_closed(
    handoff: Handoff, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.close()
    give(handoff, ours)
    assert not handoff.close_idle()


def test_what_waits_is_closed_at_the_end_and_no_more_is_taken(
    handoff: Handoff, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    another = ours.dup()
    give(handoff, ours)
    handoff.end()
    with pytest.raises(BrokenPipeError):
        give(handoff, another)
    another.close()
    assert theirs.recv(1) == b""
