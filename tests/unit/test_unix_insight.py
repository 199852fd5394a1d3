"""Looking into the memory of another process."""

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from kraal.unix.insight import Foreign, Given, Memory, Unreadable, Window
from tests.support.wait import wait_until

TEXT = b"what is in the child"
_PR_SET_DUMPABLE = 4
_PR_GET_DUMPABLE = 3


def give_memory(fd: int, libc: ctypes.CDLL, *, dumpable: bool) -> None:
    """What a worker does in native code."""
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    libc.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)
    socket.send_fds(socket.socket(fileno=fd), [os.getpid().to_bytes(8)], [memory])


@contextmanager
def child(buffer: "ctypes.Array[ctypes.c_char]", window: Window | None, *, dumpable: bool) -> Iterator[int]:
    """A process like a worker, with a text in its memory."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)
        buffer.value = TEXT
        if window:
            give_memory(window.keep_in_child(), libc, dumpable=dumpable)
        os.write(tell, b"%d" % libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))
        while True:
            signal.pause()
    try:
        assert os.read(ready, 1) == b"%d" % dumpable, "it is as open as it was before"
        yield pid
    finally:
        os.close(ready)
        os.close(tell)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def window() -> Iterator[Window]:
    with closing(Window()) as window:
        yield window


def buffer() -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(len(TEXT) + 1)


@pytest.mark.parametrize("dumpable", [False, True])
def test_memory_that_was_given_is_read_though_the_process_is_closed(window: Window, dumpable: bool) -> None:
    memory = buffer()
    with child(memory, window, dumpable=dumpable) as pid:
        given = window.receive()[pid]
        assert given.read(ctypes.addressof(memory), len(TEXT)) == TEXT
        assert memory.value == b"", "ours is another one"
    wait_until(lambda: given.read(ctypes.addressof(memory), 1) == b"", what="nothing is left of it")
    given.close()


def test_memory_is_given_to_nobody_twice(window: Window) -> None:
    with child(buffer(), window, dumpable=False) as pid:
        window.receive().pop(pid).close()
        assert window.receive() == {}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look")
def test_memory_of_others_is_read_by_who_may() -> None:
    memory = buffer()
    with child(memory, None, dumpable=False) as pid:
        assert Foreign(pid).read(ctypes.addressof(memory), len(TEXT)) == TEXT
    with pytest.raises(Unreadable):
        Foreign(pid).read(ctypes.addressof(memory), 1)


@pytest.mark.parametrize("address", [0, 8, 2**63])
def test_where_there_is_no_memory_nothing_is_read(window: Window, address: int) -> None:
    with child(buffer(), window, dumpable=True) as pid:
        given: Given = window.receive()[pid]
        ways: list[Memory] = [given, Foreign(pid)]
        assert [way.read(address, 8) for way in ways] == [b"", b""]
        given.close()
