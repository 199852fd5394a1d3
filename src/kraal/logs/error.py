"""The error log: one line per event, in php-fpm's form, written by the master alone."""

import os
import sys
import time

from kraal.config.model import LogFormat, LogLevel
from kraal.errors import StartError
from kraal.logs.forms import JsonLines, LogForm, TextLines
from kraal.logs.lines import Origin, Speaker, clean
from kraal.logs.sinks import Descriptor, Syslog
from kraal.unix.files import duplicate_own, open_without_waiting, widen

__all__ = ["ErrorLog", "Origin", "Speaker", "clean"]


class ErrorLog:
    """Where lines go: to a file or to syslog, to standard error, or to both until the master is up."""

    def __init__(self, level: LogLevel = LogLevel.NOTICE) -> None:
        self.level = level
        self.echo = True  # to standard error
        self.record = True  # in the file or in syslog
        self._path: str | None = None
        self._file: Descriptor | None = None
        self._syslog: Syslog | None = None
        self._stderr = Descriptor(2, self._explain)
        self._same_place = False
        self._form: LogForm = TextLines()
        self._syslog_form: LogForm = TextLines(syslog=True)

    def limit(self, size: int, *, buffering: bool, form: LogFormat = LogFormat.TEXT) -> None:
        """Cut lines at so many bytes; without buffering unfinished lines of workers are written too."""
        # A line of syslog is sent as a whole.
        if form is LogFormat.JSON:
            self._form = JsonLines(os.getpid(), limit=size, buffering=buffering)
            self._syslog_form = JsonLines(os.getpid(), limit=size)
        else:
            self._form = TextLines(limit=size, buffering=buffering)
            self._syslog_form = TextLines(limit=size, syslog=True)

    # ------------------------------------------------------------ destinations

    def open(self, path: str) -> None:
        """Append to a file from now on.  Raises StartError."""
        try:
            own = duplicate_own(path)
            fd = own if own is not None else open_without_waiting(path)
        except OSError as error:
            reason = f"{error.strerror} ({error.errno})"
            raise StartError(f"failed to open error_log ({path}): {reason}") from error
        if own is None:
            # Nobody waits for the reader of a pipe: what it is to read has to have room.
            widen(fd)
        if self._file:
            self._emit(self._form.finish())
            os.close(self._file.fd)
        self._path, self._same_place = path, _is_stderr(fd)
        self._file = Descriptor(fd, self._explain, self._complain)

    def open_syslog(self, ident: str, facility: int) -> None:
        """Send lines to the system's log from now on."""
        self._syslog = Syslog(ident, facility)

    def reopen(self) -> None:
        """Go on in a new file of the same name, after the old one was moved away.  Raises StartError."""
        if self._path is not None:
            self.open(self._path)
        if self._syslog:
            self._syslog.open()

    def finish(self) -> None:
        """End a line that is not ended: whoever writes next is another program."""
        self._emit(self._form.finish())

    # ------------------------------------------------------------ lines

    def write(self, level: LogLevel, text: str) -> None:
        """Write one line if its level counts."""
        self.relay(level, text, None)

    def relay(self, level: LogLevel, text: str, origin: Origin | None) -> None:
        """Write a line of another process."""
        if level < self.level:
            return
        if self.level is LogLevel.DEBUG:
            origin = origin or _caller()
        elif not self._form.names_processes:
            origin = None
        now = time.time()
        self._emit(self._form.event(level, text, origin, now))
        if self._syslog and self.record:
            # What a worker left unfinished was said as a warning.
            self._syslog.write(LogLevel.WARNING, self._syslog_form.finish())
            self._syslog.write(level, self._syslog_form.event(level, text, origin, now))

    def say(self, speaker: Speaker, text: bytes, *, closed: bool = False) -> None:
        """Write what a worker said: lines that end with a newline, and perhaps the beginning of one.

        Undecorated output has no level and is always written.
        """
        if speaker.decorated and self.level > LogLevel.WARNING:
            return
        origin = Origin(os.getpid()) if self.level is LogLevel.DEBUG else None
        now = time.time()
        self._emit(self._form.say(speaker, text, origin, now, closed=closed))
        if self._syslog and self.record:
            said = self._syslog_form.say(speaker, text, origin, now, closed=closed)
            self._syslog.write(LogLevel.WARNING, said)

    def debug(self, text: str) -> None:
        """For whoever looks for a defect."""
        self.write(LogLevel.DEBUG, text)

    def notice(self, text: str) -> None:
        """Something ordinary happened."""
        self.write(LogLevel.NOTICE, text)

    def warning(self, text: str) -> None:
        """Something that an operator may want to look at."""
        self.write(LogLevel.WARNING, text)

    def error(self, text: str) -> None:
        """Something failed."""
        self.write(LogLevel.ERROR, text)

    # ------------------------------------------------------------ out

    def _emit(self, lines: bytes) -> None:
        if not lines:
            return
        file = self._file if self.record else None
        if file:
            file.write(lines)
        if (self.echo and not (file and self._same_place)) or not (file or self._syslog):
            self._stderr.write(lines)

    def _explain(self, text: str) -> bytes:
        return self._form.event(LogLevel.WARNING, text, None, time.time())

    def _complain(self, line: bytes) -> None:
        if not self._same_place:
            self._stderr.write(line)


def _is_stderr(fd: int) -> bool:
    """Whether lines in this file are seen on standard error anyway."""
    try:
        return os.path.sameopenfile(fd, 2)
    except OSError:
        return False


def _caller() -> Origin:
    """The function that has something to say."""
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return Origin(os.getpid(), frame.f_code.co_name, frame.f_lineno)
