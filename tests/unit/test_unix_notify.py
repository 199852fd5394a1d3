"""What systemd hears."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraal.unix import notify


@pytest.fixture
def line(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(10)
        yield line


def test_readiness_comes_with_a_status(line: socket.socket) -> None:
    notify.ready({"NOTIFY_SOCKET": line.getsockname()}, "Serving")

    assert line.recv(100) == b"READY=1\nSTATUS=Serving"


def test_abstract_sockets_are_spoken_to() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("")
        line.settimeout(10)
        name = line.getsockname()
        notify.stopping({"NOTIFY_SOCKET": "@" + name[1:].decode()})

        assert line.recv(100).startswith(b"STOPPING=1\n")


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify", "@nobody"])
def test_who_does_not_listen_is_no_error(address: str | None) -> None:
    notify.reloading({} if address is None else {"NOTIFY_SOCKET": address})
