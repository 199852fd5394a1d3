"""Descriptors from process to process."""

import os
import socket
from collections.abc import Iterator

import pytest

from kraal.unix import parcels

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with a, b:
        yield a, b


def test_descriptors_arrive_in_their_order_and_are_not_inherited(pair: Pair) -> None:
    pipes = [os.pipe() for _ in range(130)]
    sent = [fd for pipe in pipes for fd in pipe]
    parcels.send(pair[0], b"D", sent)
    got: list[int] = []
    while len(got) < len(sent):
        message, found = parcels.receive(pair[1])
        assert message == b"D"
        got += found

    assert [os.fstat(fd).st_ino for fd in got] == [os.fstat(fd).st_ino for fd in sent]
    assert not any(os.get_inheritable(fd) for fd in got)
    for fd in (*sent, *got):
        os.close(fd)


def test_nothing_there_is_told_from_the_end(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        parcels.receive(pair[1])
    pair[0].close()

    assert parcels.receive(pair[1]) == (b"", [])
