"""The scribe of a pool: a process that writes the access log, so that workers never wait for a disk.

Workers put lines into a pipe.  The scribe (native/scribe.c) reads them by the batch and writes them to the
file that the master has opened.  It leaves when nobody has the pipe any more: manager and workers are gone.
"""

import fcntl
import os
import signal
import socket
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from struct import Struct

from kraal.manager.side_processes import SideProcesses
from kraal.unix import parcels
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# Room for what a busy pool logs while the disk is slow; an unprivileged user may have so much.
_PIPE_SIZE = 1 << 20
# How long the last lines may take when the manager leaves.
_LAST_LINES = 2.0
# After one that died, or could not be started; lines wait in the pipe.
_AGAIN = 0.1
_TOO_SLOW = "its reader or its disk does not keep up"
_INT = Struct("i")


class Scribe:
    """The one owner of the pipe and of the process."""

    def __init__(self, side_processes: SideProcesses, loop: Loop, write: Callable[[int, int], None]) -> None:
        """`write` is the native loop that writes."""
        self._side_processes = side_processes
        self._loop = loop
        self._write = write
        self._lines, self.pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with suppress(OSError):
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._file = -1
        self._pid: Pid | None = None
        self._finished = False

    def use(self, file: int) -> None:
        """Write to this file from now on; it is the scribe's to close."""
        if self._finished:
            os.close(file)
            return
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._hand()
        if self._pid is None:
            self._start()

    def _gone(self) -> None:
        """Another one goes on with what is left in the pipe."""
        self._pid = None
        self._loop.call_later(_AGAIN, self._start_again)

    def _start_again(self) -> None:
        # The one before may have taken its file or not: the next one finds it for sure.
        self._ours.close()
        self._theirs.close()
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._hand()
        self._start()

    def _hand(self) -> None:
        self._ours.setblocking(False)
        # One that has many files to take is stuck, and the manager is not to be.
        with suppress(BlockingIOError):
            parcels.send(self._ours, b"f", [self._file])

    def keep_in_child(self) -> int:
        """After fork: close what is not the worker's; returns the end that it writes to."""
        self._ours.close()
        self._theirs.close()
        os.close(self._lines)
        if self._file >= 0:
            os.close(self._file)
        return self.pipe

    def finish(self, untold: Callable[[], int]) -> str:
        """Let it write what is left, after the last worker.  Returns what there is to say for the error log.

        `untold` gives the number of lines that were lost, as far as the error log was not told.
        """
        self._finished = True
        self._write_last()
        lost, unread = untold(), self._unread()
        if unread:
            return f"{unread} bytes of the access log lost, and lines before ({lost}): {_TOO_SLOW}"
        return f"lines of the access log lost: {lost}" if lost else ""

    def _write_last(self) -> None:
        os.close(self.pipe)
        self._ours.close()
        deadline = time.monotonic() + _LAST_LINES
        while self._pid is not None and time.monotonic() < deadline:
            if os.waitpid(self._pid, os.WNOHANG) != (0, 0):
                return
            time.sleep(0.002)
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)

    def _unread(self) -> int:
        return int(_INT.unpack(fcntl.ioctl(self._lines, termios.FIONREAD, bytes(_INT.size)))[0])

    def _start(self) -> None:
        # Not the pipe's other end above all, or there would be no end.
        lines, files = self._lines, self._theirs.fileno()
        try:
            self._pid = self._side_processes.hire(
                "access log", (lines, files), lambda: self._write(lines, files), self._gone
            )
        except OSError:
            # Too many processes, or no memory: that may pass.
            self._loop.call_later(_AGAIN, self._start_again)
