"""Writing that fails: nobody else's trouble, and told when it works again."""

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraal.logs.sinks import Descriptor


def explain(text: str) -> bytes:
    return f"WARNING: {text}\n".encode()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, Descriptor]]:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield path, Descriptor(fd, explain)
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(write)


class FullDisk:
    """A file may not grow over a size, as on a disk that is full."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.action)


def test_lost_lines_are_counted_and_told_later(file: tuple[Path, Descriptor]) -> None:
    path, sink = file
    sink.write(b"first\n")
    with FullDisk(6):
        sink.write(b"second\n")
        sink.write(b"third\nfourth\n")
    sink.write(b"fifth\n")

    assert path.read_text().splitlines() == [
        "first",
        "WARNING: 3 lines could not be written to the log: File too large",
        "fifth",
    ]


def test_line_that_was_torn_is_ended_before_the_next(file: tuple[Path, Descriptor]) -> None:
    path, sink = file
    with FullDisk(3):
        sink.write(b"second\n")
    sink.write(b"third\n")

    assert path.read_text().splitlines() == [
        "sec",
        "WARNING: 1 lines could not be written to the log: File too large",
        "third",
    ]


def test_loss_is_told_elsewhere_when_it_begins(file: tuple[Path, Descriptor]) -> None:
    path, sink = file
    told: list[bytes] = []
    sink = Descriptor(sink.fd, explain, told.append)
    for _ in range(2):
        with FullDisk(path.stat().st_size):
            for _ in range(3):
                sink.write(b"lost\n")
        sink.write(b"written\n")

    assert told == [b"WARNING: the log cannot be written, lines are lost: File too large\n"] * 2


def test_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.close(read)

    for _ in range(3):
        Descriptor(write, explain).write(b"nobody hears it\n")


def test_pipe_that_does_not_wait_loses_what_it_has_no_room_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    size = fcntl.fcntl(write, fcntl.F_GETPIPE_SZ)
    sink = Descriptor(write, explain)
    sink.write(b"x" * (size - 1) + b"\n")
    sink.write(b"lost\n")
    os.read(read, size)
    sink.write(b"last\n")

    content = os.read(read, size)
    os.close(read)
    assert content.splitlines() == [
        b"WARNING: 1 lines could not be written to the log: Resource temporarily unavailable",
        b"last",
    ]


def test_long_text_is_written_whole(pipe: tuple[int, int], file: tuple[Path, Descriptor]) -> None:
    path, sink = file
    sink.write(b"x" * 1_000_000 + b"\n")
    os.close(pipe[0])

    assert path.stat().st_size == 1_000_001
