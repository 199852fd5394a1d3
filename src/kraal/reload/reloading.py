"""The master's side of a reload: starts a successor, and lets it take over when it can.

A reload that fails changes nothing.  Who asks while one goes on gets another one after it, as the first may
have read the configuration before it was changed.
"""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from kraal.config.model import LogLevel
from kraal.fields import Mutable, field, replace
from kraal.logs.error import ErrorLog, clean
from kraal.master import pidfile
from kraal.master.listeners import Retired
from kraal.reload import report, succession
from kraal.reload.estate import Estate, Inheritance, Task, restored, retired
from kraal.reload.report import Report
from kraal.unix import memory, notify, parcels, priority, process
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid

# Enough for a thousand pools that preload on a slow machine.
_PATIENCE = 300.0
SIGNALS = (
    signal.SIGCHLD,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGHUP,
)


class Attempt(Mutable):
    """A successor at work."""

    pid: Pid
    line: socket.socket
    errors: int
    timer: Timer
    descriptors: list[int] = field(default_factory=list)
    failure: str = ""
    found: Inheritance | None = None  # what it handed over


class Reloading:
    """At most one reload at a time."""

    def __init__(self, loop: Loop, log: ErrorLog, estate: Callable[[], Estate], reports: int) -> None:
        """`estate` is what the master has by then; to `reports` is written how reloads end."""
        self._loop = loop
        self._log = log
        self._estate = estate
        self._reports = reports
        self._attempt: Attempt | None = None
        self._again: bool | None = None  # another reload is wanted, and whether of changed pools only
        self._abandoned = False

    @property
    def is_going_on(self) -> bool:
        """Whether there is a successor."""
        return self._attempt is not None

    def ask(self, *, changed_only: bool) -> None:
        """Reload now, or when the reload that goes on has ended."""
        if self._abandoned:
            return
        if self._attempt:
            self._again = larger(self._again, changed_only)
            return
        self._log.notice("Reloading in progress ...")
        self._log.notice(f"reloading: {succession.shown_command()}")
        notify.reloading(os.environ)
        last = report.read(self._reports)
        report.write(self._reports, replace(last, going_on=last.number + 1))
        try:
            self._attempt = self._begin(changed_only)
        except OSError as error:
            self._fail(f"cannot start a new master: {error.strerror} ({error.errno})")

    def abandon(self) -> None:
        """The master stops: there is nothing to take over any more."""
        self._abandoned = True
        if self._attempt:
            process.send(self._attempt.pid, signal.SIGTERM)

    def reaped(self, gone: process.Exit) -> None:
        """A child that is no manager has ended."""
        if not self._attempt or gone.pid != self._attempt.pid:
            return
        attempt, self._attempt = self._attempt, None
        self._read(attempt)
        self._end(attempt)
        process.adopt_grandchildren(False)
        if attempt.found and not self._abandoned:
            attempt.failure = self._succeed(attempt.found)
        self._discard(attempt)
        reason = attempt.failure or _last_line(attempt.errors) or f"the new master ended {gone}"
        os.close(attempt.errors)
        if not self._abandoned:
            self._fail(reason)

    # ------------------------------------------------------------ the successor

    def _begin(self, changed_only: bool) -> Attempt:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = memory.create_filled("kraal-errors", b"")
        stderr = os.dup(2)
        try:
            task = Task(
                master=os.getpid(),
                estate=self._estate(),
                changed_only=changed_only,
                line=theirs.fileno(),
                stderr=stderr,
                nice=_nice(),
            )
            # Its managers become our children when it ends.
            process.adopt_grandchildren(True)
            pid = succession.spawn_successor(task, errors)
        except OSError:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(stderr)
        attempt = Attempt(pid, ours, errors, self._loop.call_later(_PATIENCE, self._give_up))
        self._loop.watch(ours.fileno(), lambda: self._read(attempt))
        return attempt

    def _read(self, attempt: Attempt) -> None:
        """What a successor says is foreign until it has shown that it works."""
        try:
            while True:
                message, descriptors = parcels.receive(attempt.line)
                attempt.descriptors += descriptors
                if message[:1] == succession.READY:
                    self._receive(attempt, message[1:])
                elif message[:1] == succession.FAILED:
                    attempt.failure = message[1:].decode("utf-8", "backslashreplace")
                elif not message:
                    if self._attempt:
                        self._loop.unwatch(attempt.line.fileno())
                    return
        except BlockingIOError:
            return

    def _receive(self, attempt: Attempt, count: bytes) -> None:
        if count != b"%d" % len(attempt.descriptors):
            attempt.failure = "too many open files: see rlimit_files"
            return
        try:
            attempt.found = succession.received(attempt.descriptors)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            attempt.failure = f"the new master is of a version that cannot follow this one: {error!r}"

    def _end(self, attempt: Attempt) -> None:
        attempt.timer.cancel()
        with suppress(KeyError):  # it had closed its end before
            self._loop.unwatch(attempt.line.fileno())
        attempt.line.close()

    def _give_up(self) -> None:
        if self._attempt:
            self._attempt.failure = f"the new master was not ready within {_PATIENCE:g} seconds"
            process.send(self._attempt.pid, signal.SIGKILL)

    # ------------------------------------------------------------ the end

    def _succeed(self, found: Inheritance) -> str:
        """Go on as the new master.  Returns, with the reason, only if that fails."""
        # What comes from here on is for the new master.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if self._again is not None:
            os.kill(os.getpid(), signal.SIGHUP if self._again else signal.SIGUSR2)
        for number in self._loop.undelivered():
            os.kill(os.getpid(), number)
        try:
            self._log.finish()
            succession.take_over(self._inheritance(found))
        except OSError as error:
            return f"cannot execute the new master: {error}"
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise AssertionError("a program that was executed does not return")

    def _discard(self, attempt: Attempt) -> None:
        """Let go of what a successor has started: its managers drain and leave when their channels close."""
        if attempt.found:
            new = attempt.found.new
            for each in new.sockets:
                if each.ours:  # it was not inherited
                    Retired(replace(each, fd=os.dup(each.fd), shared=())).close()
            if new.pid_file != self._estate().pid_file:
                pidfile.remove(new.pid_file)
        for fd in attempt.descriptors:
            os.close(fd)

    def _inheritance(self, found: Inheritance) -> Inheritance:
        old = self._estate()
        new = replace(found.new, sockets=restored(old.sockets, found.new.sockets))
        old = replace(old, sockets=retired(old.sockets, new.sockets))
        number = report.read(self._reports).number + 1
        return replace(found, old=old, new=new, number=number, nice=_nice())

    def _fail(self, reason: str) -> None:
        lines = [clean(line) for line in reason.split("\n")]
        for line in lines:
            self._log.write(LogLevel.ERROR, line)
        self._log.error("reload failed: everything goes on as before")
        last = report.read(self._reports)
        report.write(self._reports, Report(last.number + 1, "\n".join(lines), failed=last.failed + 1))
        notify.ready(os.environ, "The last reload failed, see the log")
        if self._again is not None:
            again, self._again = self._again, None
            self._loop.call_later(0, lambda: self.ask(changed_only=again))


def _nice() -> int | None:
    """The nice value of this process, if it may have any."""
    return priority.own() if priority.may_lower() else None


def larger(changed_only: bool | None, also: bool) -> bool:
    """Whether one reload for two wishes, of which the first may be none, is of changed pools only."""
    return also and changed_only is not False


def _last_line(errors: int) -> str:
    """What Python says last when it cannot start."""
    size = os.fstat(errors).st_size
    text = os.pread(errors, 4096, max(0, size - 4096)).decode("utf-8", "backslashreplace").strip()
    return f"the new master cannot start: {text.splitlines()[-1]}" if text else ""
