"""Reading what workers write to standard output and standard error.

A worker must not wait for the log: its pipes are read whether or not whoever takes the text has room for it.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import mmap

from kraal.fields import Mutable, field
from kraal.logs.output import END_OF_REQUEST, Said, Stream, WorkerOutput
from kraal.unix import memory
from kraal.unix.loop import Loop

# With what is held of a line, a message to the master (see channel.py).
_CHUNK = 8192
# So many chunks of one stream, and then others have their turn.
_TURN = 16
_LAST_TURN = 1024
# Room for a burst while the manager is busy.  All pipes of a user together have a limit of 64 MB
# (pipe-user-pages-soft), beyond which even those of PHP's proc_open() get small: so no more than this,
# and for one stream.
_STDERR_SIZE = 1 << 18


class Pipes(Mutable):
    """The pipes of one worker that is about to be born.

    `unfinished` is a byte that the worker can see: not zero while the manager reads, or holds text of a
    line that has not ended.  A worker need not tell the end of a request that left nothing to end.
    """

    ours: dict[Stream, int] = field(default_factory=dict)
    theirs: list[int] = field(default_factory=list)  # in the order of Stream, and `unfinished` as a file
    unfinished: mmap | None = None

    @classmethod
    def open(cls, *, wanted: bool) -> "Pipes":
        """One pipe per stream, if they are wanted; our end never blocks."""
        pipes = cls()
        if not wanted:
            return pipes
        try:
            for stream in Stream:
                pipes.ours[stream], theirs = os.pipe2(os.O_CLOEXEC)
                pipes.theirs.append(theirs)
                os.set_blocking(pipes.ours[stream], False)
            pipes.theirs.append(memory.create("kraal-unfinished", 1))
            pipes.unfinished = memory.map_shared(pipes.theirs[-1])
        except OSError:
            pipes.close()
            raise
        with suppress(PermissionError):
            fcntl.fcntl(pipes.ours[Stream.STDERR], fcntl.F_SETPIPE_SZ, _STDERR_SIZE)
        return pipes

    def close(self) -> None:
        """There will be no worker."""
        self.hand_over()
        for fd in self.ours.values():
            os.close(fd)

    def attach(self) -> None:
        """In a process that we fork: put its ends where the streams belong."""
        for stream, fd in zip(Stream, self.theirs, strict=False):
            os.dup2(fd, stream)
        self.close()

    def hand_over(self) -> None:
        """The worker has its ends: close them here."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs.clear()


class _Worker:
    """Our ends of the pipes of one worker."""

    def __init__(self, write: Callable[[Said], None], unfinished: mmap, *, buffering: bool) -> None:
        self.fds: dict[Stream, int] = {}
        self.unfinished = unfinished
        self._output = WorkerOutput(buffering=buffering)
        self._write = write

    def read(self, stream: Stream, chunks: int) -> bool:
        """Take so many chunks at most.  Returns whether the stream is at its end."""
        # The worker relies on the order (see log.c).
        self.unfinished[0] = 1
        ended = self._read_chunks(stream, chunks)
        self.unfinished[0] = self._output.pending
        return ended

    def _read_chunks(self, stream: Stream, chunks: int) -> bool:
        with suppress(BlockingIOError):
            for _ in range(chunks):
                chunk = os.read(self.fds[stream], _CHUNK)
                if stream is Stream.STDERR and END_OF_REQUEST[-1:] in chunk:
                    # Perhaps the end of a request, and what it printed belongs before that.
                    self._read_stdout()
                self._show(self._output.feed(stream, chunk) if chunk else self._output.close(stream))
                if not chunk:
                    return True
        return False

    def _read_stdout(self) -> None:
        if Stream.STDOUT not in self.fds:
            return
        with suppress(BlockingIOError):
            # The end of the stream is left to the loop.
            self._show(self._output.feed(Stream.STDOUT, os.read(self.fds[Stream.STDOUT], _CHUNK)))

    def _show(self, said: list[Said]) -> None:
        for each in said:
            self._write(each)


class Capture:
    """The one owner of our ends."""

    def __init__(self, loop: Loop, write: Callable[[int, Said], None], *, buffering: bool) -> None:
        """`write` gets a worker's pid and what it said."""
        self._loop = loop
        self._write = write
        self._buffering = buffering
        self._workers: set[_Worker] = set()

    def add(self, pid: int, pipes: Pipes) -> None:
        """In the manager: read our ends until the worker and all its children have closed theirs."""
        if pipes.unfinished is None:
            return
        worker = _Worker(partial(self._write, pid), pipes.unfinished, buffering=self._buffering)
        self._workers.add(worker)
        for stream, ours in pipes.ours.items():
            worker.fds[stream] = ours
            self._loop.watch(ours, partial(self._read, worker, stream, _TURN))

    def look(self) -> None:
        """Read what is there already."""
        self._read_all(_TURN)

    def drain(self) -> None:
        """Read to the end: nothing that a worker wrote is lost when the manager leaves."""
        self._read_all(_LAST_TURN)

    def close_in_child(self) -> None:
        """After fork: other workers' pipes are none of our business."""
        for worker in self._workers:
            worker.unfinished.close()
            for fd in worker.fds.values():
                os.close(fd)

    def _read_all(self, chunks: int) -> None:
        for worker in list(self._workers):
            for stream in list(worker.fds):
                self._read(worker, stream, chunks)

    def _read(self, worker: _Worker, stream: Stream, chunks: int) -> None:
        if not worker.read(stream, chunks):
            return
        fd = worker.fds.pop(stream)
        self._loop.unwatch(fd)
        os.close(fd)
        if not worker.fds:
            self._workers.discard(worker)
