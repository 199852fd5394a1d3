"""The error log: one line per event, in php-fpm's form, written by the master alone."""

import os
import sys
import time

from kraal.config.model import LogLevel
from kraal.errors import StartError
from kraal.logs.lines import PIPE_CLOSED, Frame, Origin, Speaker, Writer, clean, heading, syslog_heading
from kraal.logs.sinks import Descriptor, Syslog

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
        self._writer = Writer()
        self._syslog_writer = Writer()

    def limit(self, size: int, *, buffering: bool) -> None:
        """Cut lines at so many bytes; without buffering unfinished lines of workers are written too."""
        self._writer = Writer(limit=size, buffering=buffering)
        # A line of syslog is sent as a whole.
        self._syslog_writer = Writer(limit=size)

    # ------------------------------------------------------------ destinations

    def open(self, path: str) -> None:
        """Append to a file from now on.  Raises StartError."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = f"{error.strerror} ({error.errno})"
            raise StartError(f"failed to open error_log ({path}): {reason}") from error
        if self._file:
            self._emit(self._writer.finish())
            os.close(self._file.fd)
        self._path, self._file, self._same_place = path, Descriptor(fd, self._explain), _is_stderr(fd)

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
        self._emit(self._writer.finish())

    # ------------------------------------------------------------ lines

    def write(self, level: LogLevel, text: str) -> None:
        """Write one line if its level counts."""
        self.relay(level, text, None)

    def relay(self, level: LogLevel, text: str, origin: Origin | None) -> None:
        """Write a line of another process."""
        if level < self.level:
            return
        if self.level > LogLevel.DEBUG:
            origin = None
        elif origin is None:
            origin = _caller()
        content = text.encode("utf-8", "backslashreplace")
        frame = Frame(heading(level, now=time.time(), origin=origin).encode())
        self._emit(self._writer.line(frame, content))
        if self._syslog and self.record:
            frame = Frame(syslog_heading(level, origin).encode())
            # What a worker left unfinished was said as a warning.
            self._syslog.write(LogLevel.WARNING, self._syslog_writer.finish())
            self._syslog.write(level, self._syslog_writer.line(frame, content))

    def say(self, speaker: Speaker, text: bytes, *, closed: bool = False) -> None:
        """Write what a worker said: lines that end with a newline, and perhaps the beginning of one.

        Undecorated output has no level and is always written.
        """
        if speaker.decorated and self.level > LogLevel.WARNING:
            return
        origin = Origin(os.getpid()) if self.level is LogLevel.DEBUG else None
        frame = speaker.frame(heading(LogLevel.WARNING, now=time.time(), origin=origin))
        self._emit(_lines(self._writer, speaker, frame, text, closed))
        if self._syslog and self.record:
            frame = speaker.frame(syslog_heading(LogLevel.WARNING, origin))
            self._syslog.write(LogLevel.WARNING, _lines(self._syslog_writer, speaker, frame, text, closed))

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
        return f"{heading(LogLevel.WARNING, now=time.time())}{text}\n".encode()


def _lines(writer: Writer, speaker: Speaker, frame: Frame, text: bytes, closed: bool) -> bytes:
    *whole, rest = text.split(b"\n")
    done = []
    for line in whole:
        shown = speaker.show(line.removesuffix(b"\r") if speaker.decorated else line)
        if shown or writer.belongs_to(speaker):
            done += [writer.add(speaker, frame, shown), writer.finish()]
    if rest:
        done.append(writer.add(speaker, frame, speaker.show(rest)))
    if closed and writer.belongs_to(speaker):
        done.append(writer.finish(PIPE_CLOSED if speaker.decorated else b""))
    return b"".join(done)


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
