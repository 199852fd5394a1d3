"""The nursery of a pool: a process that does nothing but bear workers.

What Python touches becomes a copy of its own for the process that does, and a manager touches much between
one worker and the next.  A nursery is in native code (native/nursery.c) as long as it lives, and so are its
workers but for rare events: what they share stays shared.
"""

import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence
from struct import Struct
from typing import NoReturn

from kraal.manager.side_processes import SideProcesses
from kraal.unix import parcels, process
from kraal.unix.process import Pid

# Signals that mean one thing to a manager and another to a worker.
_HANDLED = {signal.SIGQUIT, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_REPLY = Struct("i")
# For the birth of one worker, on a machine that has no time.
_PATIENCE = 30.0


class Nursery:
    """The one owner of the process and of the line to it."""

    def __init__(self, side_processes: SideProcesses, become: Callable[[int], NoReturn]) -> None:
        """`become` is what the process does, with its end of the line."""
        self._side_processes = side_processes
        self._become = become
        self._pid: Pid | None = None
        self._line: socket.socket | None = None

    def open(self) -> None:
        """Start it, if there is none.  It keeps what is open now: what is for one worker is opened later."""
        if not self._line:
            self._start()

    def bear(self, birth: bytes, descriptors: Sequence[int]) -> Pid:
        """A new worker, a child of ours, after `open`.  Raises OSError."""
        assert self._line
        # Who bears a worker ends at once, and we are its parent then.  At other times we adopt nobody.
        process.adopt_grandchildren(wanted=True)
        try:
            parcels.send_one(self._line, birth, descriptors)
            reply = self._line.recv(_REPLY.size)
        except TimeoutError:
            self.end()
            raise TimeoutError(errno.ETIMEDOUT, "the nursery does not answer") from None
        finally:
            process.adopt_grandchildren(wanted=False)
        if len(reply) < _REPLY.size:
            self.end()
            raise ConnectionResetError(errno.ECONNRESET, "the nursery has ended")
        (pid,) = _REPLY.unpack(reply)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return Pid(pid)

    @property
    def pid(self) -> Pid | None:
        """Of the process, if there is one."""
        return self._pid

    def leave(self) -> None:
        """Have it end in its own time, as what it does may not be cut short."""
        if self._pid is not None:
            self._side_processes.mind(self._pid, lambda: None)
            process.send(self._pid, signal.SIGTERM)
            self._forget()

    def end(self) -> None:
        """There are to be no more workers for now."""
        if self._pid is not None:
            self._side_processes.dismiss(self._pid)
            self._forget()

    def close_in_child(self) -> None:
        """After fork."""
        if self._line:
            self._line.close()

    def _forget(self) -> None:
        """It is gone; another one bears the next worker."""
        self._pid = None
        if self._line:
            self._line.close()
            self._line = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A signal between a worker's birth and its own set-up would be lost: it waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._become(theirs.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ours.settimeout(_PATIENCE)
        self._pid, self._line = Pid(pid), ours
        self._side_processes.mind(self._pid, self._forget)
