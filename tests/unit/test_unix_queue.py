"""How many connections wait in a socket, as the kernel tells."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kraal.unix import queue
from tests.support.wait import wait_until


@pytest.fixture(params=["unix", "tcp", "tcp6"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    if request.param == "unix":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen(10)
            yield listener
    else:
        family, host = (socket.AF_INET6, "::1") if request.param == "tcp6" else (socket.AF_INET, "127.0.0.1")
        with socket.create_server((host, 0), family=family) as listener:
            yield listener


def connect(listener: socket.socket) -> socket.socket:
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    return client


def test_connections_that_nobody_took_are_counted(listener: socket.socket) -> None:
    assert queue.waiting(listener.fileno()) == 0
    with ExitStack() as stack:
        for number in (1, 2, 3):
            stack.enter_context(connect(listener))
            # Over TCP the last step of connecting may be seen a moment later.
            wait_until(lambda number=number: queue.waiting(listener.fileno()) == number, what=f"{number}")  # type: ignore[misc]
        listener.accept()[0].close()
        assert queue.waiting(listener.fileno()) == 2


def test_where_the_kernel_does_not_tell_one_means_at_least_one(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_NETLINK_SOCK_DIAG", 31)  # no such protocol
    monkeypatch.setattr(socket, "TCP_INFO", 9999)  # no such option

    assert queue.waiting(listener.fileno()) == 0
    with connect(listener), connect(listener):
        wait_until(lambda: queue.waiting(listener.fileno()), what="a connection waits")
        assert queue.waiting(listener.fileno()) == 1


def test_nobody_waits_in_what_is_no_socket() -> None:
    with socket.socket() as here, open("/dev/null", "rb") as nothing:
        before = len(os.listdir("/proc/self/fd"))
        assert queue.look(nothing.fileno()) == queue.Depth(0)
        assert len(os.listdir("/proc/self/fd")) == before
        assert queue.look(here.fileno()).waiting == 0


def test_answer_of_another_socket_or_an_error_counts_nothing() -> None:
    error = queue._HEADER.pack(20, 2, 0, 0, 0) + b"\0" * 20
    head = queue._HEADER.pack(44, queue._SOCK_DIAG_BY_FAMILY, 0, 0, 0)
    other = (
        head + queue._ANSWER.pack(1, 1, 10, 0, 4711, 0, 0) + queue._ATTRIBUTE.pack(12, 4) + b"\1\0\0\0" * 2
    )

    assert queue._queue_in(error, 4712) is None
    assert queue._queue_in(other, 4712) is None
    assert queue._queue_in(other, 4711) == queue.Depth(1, 1)
    # Whatever an attribute says of its size, this ends.
    assert queue._queue_in(other.replace(b"\x0c\0\4\0", b"\0\0\5\0"), 4711) is None
