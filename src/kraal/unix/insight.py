"""Looking into the memory of another process, without stopping it.

A worker opens its own memory and gives the descriptor to its manager, before it serves anybody.  The kernel
asks who may look when a file is opened, so the manager needs no right to trace, and nobody else gets one: the
worker stays closed to debuggers.  Whoever has that right needs no descriptor (`Foreign`).
"""

import ctypes
import errno
import os
import socket
from contextlib import suppress
from typing import Protocol

from kraal.errors import Error

_PID_SIZE = 8
_NO_MEMORY = {errno.EFAULT, errno.EIO}


class Unreadable(Error):
    """The process is gone, or we may not look."""


class Memory(Protocol):
    """That of a process."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes from an address on; fewer, or none, where there is no memory.  Raises Unreadable."""


class Given:
    """Memory that a process has opened for us."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, address: int, size: int) -> bytes:
        """See Memory."""
        try:
            return os.pread(self._fd, size, address)
        except OverflowError:
            return b""
        except OSError as error:
            if error.errno in _NO_MEMORY:
                return b""
            raise Unreadable(str(error)) from error

    def close(self) -> None:
        """Look no more."""
        os.close(self._fd)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Foreign:
    """Memory of a process that we may trace.  It is not stopped, and needs no /proc."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._call = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._call.restype = ctypes.c_ssize_t

    def read(self, address: int, size: int) -> bytes:
        """See Memory."""
        buffer = ctypes.create_string_buffer(size)
        ours = _Vector(ctypes.addressof(buffer), size)
        theirs = _Vector(address, size)
        count = self._call(self._pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
        if count >= 0:
            return buffer.raw[:count]
        if ctypes.get_errno() in _NO_MEMORY:
            return b""
        raise Unreadable(os.strerror(ctypes.get_errno()))


class Window:
    """The way of those descriptors from workers to their manager."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Not by flags: what sends and receives descriptors in Python's library takes no notice of them.
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """For a loop to watch."""
        return self._ours.fileno()

    def close(self) -> None:
        """Give the descriptors back."""
        self._ours.close()
        self._theirs.close()

    def keep_in_child(self) -> int:
        """After fork: close what is not the worker's; returns the end that it sends its memory to."""
        self._ours.close()
        return self._theirs.fileno()

    def receive(self) -> dict[int, Given]:
        """What has arrived: memory by pid."""
        found: dict[int, Given] = {}
        with suppress(BlockingIOError):
            while True:
                message, fds, _flags, _address = socket.recv_fds(self._ours, _PID_SIZE, 1)
                for fd in fds:
                    os.set_inheritable(fd, False)
                    found[int.from_bytes(message)] = Given(fd)
        return found
