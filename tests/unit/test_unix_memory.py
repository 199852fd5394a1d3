"""Memory files that nobody can shrink."""

import errno
import os

import pytest

from kraal.unix import memory


@pytest.fixture
def fd() -> int:
    return memory.create("kraal-test", 8192)


@pytest.mark.parametrize("size", [0, 4096, 16384])
def test_size_cannot_be_changed(fd: int, size: int) -> None:
    with pytest.raises(PermissionError) as caught:
        os.ftruncate(fd, size)
    os.close(fd)

    assert caught.value.errno == errno.EPERM


def test_writing_behind_the_end_is_refused(fd: int) -> None:
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 8192)
    os.close(fd)


def test_seals_cannot_be_loosened_by_more_of_them(fd: int) -> None:
    import fcntl

    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(fd)


def test_file_starts_empty_of_everything(fd: int) -> None:
    assert os.pread(fd, 9000, 0) == bytes(8192)
    os.close(fd)


def test_two_maps_show_the_same_memory(fd: int) -> None:
    with memory.map_shared(fd) as one, memory.map_shared(fd) as two:
        one[10:15] = b"hello"

        assert two[10:15] == b"hello"
        assert len(one) == 8192
    os.close(fd)


def test_memory_is_not_handed_to_programs_by_accident(fd: int) -> None:
    filled = memory.create_filled("kraal-test", b"x")

    assert not os.get_inheritable(fd)
    assert not os.get_inheritable(filled)
    os.close(fd)
    os.close(filled)


def test_filled_file_is_read_from_its_start() -> None:
    content = os.urandom(300_000)
    with os.fdopen(memory.create_filled("kraal-test", content), "rb") as file:
        assert file.read() == content
