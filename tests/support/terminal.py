"""A program in a terminal of its own, and what its screen shows."""

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping, Sequence

import pyte

from tests.support import processes
from tests.support.wait import wait_until

# `pyte` does not know how an xterm repeats letters.
KIND = {"TERM": "screen-256color", "LC_ALL": "C.UTF-8"}


class Terminal:
    """A pseudo terminal, whose screen is drawn as a real one would draw it."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        rows: int = 24,
        columns: int = 80,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._ours, self._theirs = pty.openpty()
        self._set_size(rows, columns)
        os.set_blocking(self._ours, False)
        self.before = termios.tcgetattr(self._theirs)
        self.received = b""
        # Who leads a session and opens a terminal has it as its own.
        self.process = processes.spawn(
            ["sh", "-c", 'exec "$@" < "$0" > "$0" 2>&1', os.ttyname(self._theirs), *argv],
            output=self._theirs,
            environ=KIND | dict(environ or {}),
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            processes.kill(processes.descendants(self.process.pid) | {self.process.pid})
        self.process.wait()
        for fd in (self._ours, self._theirs):
            os.close(fd)

    def read(self) -> list[str]:
        """The lines of the screen, as they are now."""
        try:
            while content := os.read(self._ours, 1 << 16):
                self.received += content
                self._stream.feed(content)
        except BlockingIOError:
            pass
        return list(self.screen.display)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        self.read()
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_for(self, text: str) -> list[str]:
        """Wait until the screen shows this text somewhere."""
        try:
            wait_until(lambda: text in "\n".join(self.read()), what=f"{text!r} is shown", at_most=20)
        except AssertionError as error:
            shown = "\n".join(self.read())
            raise AssertionError(f"{error}\n{shown}") from None
        return self.read()

    def wait_end(self) -> int:
        """Wait until the program ends.  Returns its code, and what it wrote is read."""

        def ended() -> bool:
            self.read()
            return self.process.poll() is not None

        wait_until(ended, what="the program has ended", at_most=20)
        self.read()
        return self.process.returncode

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal has the modes that it had, and shows the screen that it showed."""
        modes = termios.tcgetattr(self._theirs)
        left_other_screen = self.received.rfind(b"\x1b[?1049l") > self.received.rfind(b"\x1b[?1049h")
        return modes == self.before and left_other_screen

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
