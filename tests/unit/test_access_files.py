"""Opening the files of access logs."""

import os
import socket
import stat
from pathlib import Path

import pytest

from kraal.errors import Exit, StartError
from kraal.master import access_files


def test_file_is_appended_to_and_only_its_owner_s(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for _ in range(2):
        fd = access_files.open_file(str(path))
        os.write(fd, b"line\n")
        assert os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert path.read_text() == "line\nline\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_opened_is_told_in_php_fpm_s_words(tmp_path: Path) -> None:
    path = tmp_path / "none" / "access.log"
    with pytest.raises(StartError, match="failed to open access log") as caught:
        access_files.open_file(str(path))
    assert str(caught.value) == f"failed to open access log ({path}): No such file or directory (2)"
    assert caught.value.exit is Exit.CONFIG


def test_pipe_needs_no_reader_and_may_lose_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fd = access_files.open_file(str(path))
    os.write(fd, b"waits\n")
    for expected in (b"waits\n", b"again\n"):
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert os.read(reader, 100) == expected
        again = access_files.open_file(str(path))
        os.close(reader)
        os.close(fd)
        fd = again
        os.write(fd, b"again\n")
    os.close(fd)


@pytest.mark.parametrize("folder", ["/dev/fd/", "/proc/self/fd/"])
def test_descriptor_of_our_own_is_used_as_it_is(tmp_path: Path, folder: str) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b"before\n")
        fd = access_files.open_file(f"{folder}{file.fileno()}")
        os.write(fd, b"line\n")
        os.close(fd)
        file.write(b"after\n")
    assert (tmp_path / "log").read_text() == "before\nline\nafter\n"


def test_descriptor_of_our_own_may_be_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = access_files.open_file(f"/dev/fd/{ours.fileno()}")
        os.write(fd, b"line\n")
        os.close(fd)
        assert theirs.recv(100) == b"line\n"


def test_descriptor_that_is_closed_is_told() -> None:
    with pytest.raises(StartError, match=r"\(/dev/fd/999\): Bad file descriptor"):
        access_files.open_file("/dev/fd/999")
