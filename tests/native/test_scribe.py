"""The scribe in C, under the address and undefined-behaviour sanitizers: it writes the lines it reads."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
PARTS = ("scribe", "parcel", "ledger", "scoreboard", "params", "waiting")
SOURCES = ["tests/native/scribe.c", *(f"native/{name}.c" for name in PARTS)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("scribe") / "scribe"
    command = ["gcc", "-std=gnu11", "-g", "-O1", *WARNINGS, "-fno-sanitize-recover=all"]
    command += ["-fsanitize=address,undefined", "-I", f"{ROOT}/native", "-o", str(program)]
    done = subprocess.run([*command, *(ROOT / source for source in SOURCES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


@dataclass
class Running:
    """A scribe that runs."""

    pipe: int
    files: socket.socket
    process: subprocess.Popen[bytes]

    def use(self, fd: int) -> None:
        socket.send_fds(self.files, [b"f"], [fd])

    def end(self) -> int:
        """Let it go; gives the number of lines that it lost."""
        os.close(self.pipe)
        self.files.close()
        shown, error = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, error.decode()
        return int(shown)


@contextmanager
def running(program: Path) -> Iterator[Running]:
    lines, pipe = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [program, str(lines), str(theirs.fileno())],
            pass_fds=[lines, theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    os.close(lines)
    try:
        yield Running(pipe, ours, process)
    finally:
        process.kill()
        process.wait()


def into(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o600)


line = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\0", b"0").replace(b"\n", b"n"))
# What a worker writes: a zero and a line, whole or torn, in pieces of any size.
messages = st.lists(st.tuples(line | st.just(b"x" * 6000), st.booleans()), max_size=20)


@given(messages=messages, sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_whole_lines_are_written_and_torn_ones_are_not(
    program: Path,
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[tuple[bytes, bool]],
    sizes: list[int],
) -> None:
    path = tmp_path_factory.mktemp("lines") / "log"
    sent = b"".join(b"\0" + text + (b"\n" if whole else b"") for text, whole in messages)
    with running(program) as scribe:
        fd = into(path)
        scribe.use(fd)
        os.close(fd)
        while sent:
            size = sizes[len(sent) % len(sizes)]
            os.write(scribe.pipe, sent[:size])
            sent = sent[size:]
        assert scribe.end() == 0
    assert path.read_bytes() == b"".join(text + b"\n" for text, whole in messages if whole)


def test_lines_wait_for_the_first_file(program: Path, tmp_path: Path) -> None:
    with running(program) as scribe:
        os.write(scribe.pipe, b"\0early\n")
        scribe.use(into(tmp_path / "log"))
        scribe.end()
    assert (tmp_path / "log").read_bytes() == b"early\n"


def test_without_any_file_it_leaves(program: Path) -> None:
    with running(program) as scribe:
        os.write(scribe.pipe, b"\0nowhere\n")
        scribe.end()


def test_new_file_is_used_for_what_is_written_later(program: Path, tmp_path: Path) -> None:
    with running(program) as scribe:
        for number in range(5):
            file, text = tmp_path / str(number), b"%d\n" % number
            scribe.use(into(file))
            os.write(scribe.pipe, b"\0" + text)
            wait_until(lambda: file.read_bytes() == text, what="the line is written")  # noqa: B023
        scribe.end()


def test_lines_that_cannot_be_written_are_counted(program: Path) -> None:
    with running(program) as scribe:
        scribe.use(into(Path("/dev/full")))
        os.write(scribe.pipe, b"\0one\n\0two\n\0three\n")
        assert scribe.end() == 3


def test_lines_for_a_pipe_without_a_reader_are_counted(program: Path) -> None:
    reader, writer = os.pipe()
    with running(program) as scribe:
        scribe.use(writer)
        os.close(writer)
        os.close(reader)
        os.write(scribe.pipe, b"\0one\n")
        assert scribe.end() == 1


def test_new_file_is_taken_while_the_old_one_is_a_full_pipe(program: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    while True:
        try:
            filled += os.write(writer, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    with running(program) as scribe:
        scribe.use(writer)
        os.write(scribe.pipe, b"\0stuck\n")
        scribe.use(into(tmp_path / "log"))
        wait_until(lambda: (tmp_path / "log").read_bytes() == b"stuck\n", what="the line is in the new file")
        assert scribe.end() == 0
    os.close(reader)
    os.close(writer)


def test_pipe_gets_whole_lines_that_do_not_mix(program: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    sent = b"".join(b"%04d%s\n" % (number, b"x" * 95) for number in range(600))
    got = b""

    def read_all() -> bool:
        nonlocal got
        with suppress(BlockingIOError):
            got += os.read(reader, 4096)
        return len(got) == len(sent)

    with running(program) as scribe:
        scribe.use(writer)
        os.close(writer)
        os.write(scribe.pipe, b"\0" + sent)
        wait_until(read_all, what="all lines have come")
        scribe.end()
    os.close(reader)
    assert got == sent
