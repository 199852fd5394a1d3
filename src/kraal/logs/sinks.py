"""Where the lines of the log go.  No failure to write one is an error of whoever had something to say."""

import os
import syslog
from collections.abc import Callable

from kraal.config.model import LogLevel
from kraal.logs.lines import clean

_PRIORITIES = {
    LogLevel.DEBUG: syslog.LOG_DEBUG,
    LogLevel.NOTICE: syslog.LOG_NOTICE,
    LogLevel.WARNING: syslog.LOG_WARNING,
    LogLevel.ERROR: syslog.LOG_ERR,
    LogLevel.ALERT: syslog.LOG_ALERT,
}


class Descriptor:
    """A file or standard error.  What cannot be written is lost, counted, and told when it works again."""

    def __init__(
        self, fd: int, explain: Callable[[str], bytes], complain: Callable[[bytes], None] = lambda _line: None
    ) -> None:
        """`explain` makes a line for the log of what happened to others; `complain` has it written elsewhere.

        Nobody could be told here that lines begin to be lost.
        """
        self.fd = fd
        self._explain = explain
        self._complain = complain
        self._lost = 0
        self._reason = ""
        self._torn = False

    def write(self, lines: bytes) -> None:
        """Write whole lines, or what there is of one."""
        if self._lost:
            said = f"{self._lost} lines could not be written to the log: {self._reason}"
            if not self._put(self._explain(said)):
                self._lost += lines.count(b"\n")
                return
            self._lost = 0
        if not self._put(lines):
            self._lost += lines.count(b"\n") or 1
            self._complain(self._explain(f"the log cannot be written, lines are lost: {self._reason}"))

    def _put(self, content: bytes) -> bool:
        if self._torn:
            content = b"\n" + content
        view, done = memoryview(content), 0
        try:
            while done < len(content):
                done += os.write(self.fd, view[done:])
        except OSError as error:
            self._reason = str(error.strerror)
            if done:
                self._torn = content[done - 1 : done] != b"\n"
            return False
        self._torn = False
        return True


class Syslog:
    """The system's log, written a line at a time."""

    def __init__(self, ident: str, facility: int) -> None:
        self._ident, self._facility = ident, facility
        self.open()

    def open(self) -> None:
        """Connect, again if need be."""
        syslog.closelog()
        syslog.openlog(self._ident, syslog.LOG_PID | syslog.LOG_CONS, self._facility)

    def write(self, level: LogLevel, lines: bytes) -> None:
        """Send whole lines."""
        for line in lines.splitlines():
            syslog.syslog(_PRIORITIES[level], clean(line.decode("utf-8", "backslashreplace")))
