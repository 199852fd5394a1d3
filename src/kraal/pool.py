"""A pool manager: loads PHP once, as the pool's user, and keeps its workers alive.

Executed by the master (`python -m kraal.pool`), never imported by it.  What it decides is in `sizing`
and `stopping`; what it does with the system is in `unix`.
"""

import gc
import locale
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from setproctitle import setproctitle

from kraal import phpini, sizing, stopping, worker
from kraal.boot import Descriptor, Order, Privileges
from kraal.bridge import Php
from kraal.errors import Exit, StartError
from kraal.logs.capture import Capture, Pipes
from kraal.logs.output import Said
from kraal.scoreboard import Scoreboard
from kraal.unix import memory, privileges, process
from kraal.unix.channel import Channel, Kind, Output
from kraal.unix.loop import Loop, Timer
from kraal.unix.outbox import Outbox
from kraal.unix.process import Pid

_DEBUG, _NOTICE, _WARNING, _ERROR = 1, 2, 3, 4  # enum kraal_level
_LOG_LINE = 2048
_LINES_AT_ONCE = 1000  # more than the socket holds
# Signals that mean one thing to a manager and another to a worker.
_HANDLED = {signal.SIGQUIT, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
# How long the last lines may take when the manager leaves.
_LAST_WORDS = 2.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that lives."""

    pid: Pid
    slot: int
    started: float


class Manager:
    """The one owner of the pool's workers."""

    def __init__(self, order: Order, php: Php, channel: Channel) -> None:
        self._order = order
        self._php = php
        self._pid = os.getpid()
        self._channel = channel
        self._loop = Loop()
        self._scoreboard = Scoreboard(memory.map_shared(Descriptor.SCOREBOARD))
        self._outbox = Outbox(channel, self._loop, _explain_dropped)
        self._capture = Capture(self._loop, self._pass_on, buffering=order.log_buffering)
        self._workers: dict[Pid, Worker] = {}
        self._failed_starts = 0
        self._filled = False  # the first workers are nothing to speak of
        self._respawn: Timer | None = None
        self._ladder: tuple[stopping.Step, ...] | None = None
        self._draining = False  # for a reload
        self._next_step: Timer | None = None
        # All workers write log lines into one socket; a datagram is a line, so they cannot mix.
        self._log_in, self._log_out = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def run(self, null: int) -> None:
        """Serve until told to leave, and until the last worker has left.  `null` is /dev/null."""
        self._scoreboard.initialize()
        self._loop.watch(self._channel.fileno(), self._on_channel)
        self._loop.watch(self._log_in.fileno(), self._on_log)
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        # The master's signals come over the channel.  From elsewhere these two mean the same.
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        self._loop.on_signal(signal.SIGINT, self._terminate)
        self._loop.on_signal(signal.SIGQUIT, self._quit)
        gc.freeze()
        _let_go_of_terminal(null)
        self._fill()
        self._filled = True
        self._outbox.send(Kind.READY)
        self._loop.run()

    # ------------------------------------------------------------ log

    def _log(self, level: int, text: str) -> None:
        self._outbox.send(Kind.LOG, _log_message(level, text))

    def _pass_on(self, pid: int, said: Said) -> None:
        output = Output(said.stream, pid, said.text, said.closed)
        self._outbox.send(Kind.OUTPUT, output.to_bytes(), lines=said.lines)

    def _on_log(self) -> None:
        with suppress(BlockingIOError):
            # Not without end: workers may write faster than this is read.
            for _ in range(_LINES_AT_ONCE):
                message = self._log_in.recv(_LOG_LINE, socket.MSG_DONTWAIT)
                if message:
                    level = min(max(message[0], _DEBUG), _ERROR)
                    self._log(level, message[1:].decode("utf-8", "backslashreplace"))

    # ------------------------------------------------------------ workers

    def _fill(self) -> None:
        self._respawn = None
        if self._ladder is not None:
            return
        try:
            for _ in range(sizing.missing(self._order.max_children, len(self._workers))):
                self._spawn()
        except OSError as error:
            # Too many processes or descriptors, or no memory: that may pass.
            self._failed_starts += 1
            self._log(_ERROR, f"cannot start a worker: {error.strerror} ({error.errno})")
            self._respawn = self._loop.call_later(sizing.respawn_delay(self._failed_starts + 1), self._fill)

    def _spawn(self) -> None:
        slot = self._scoreboard.free_slot()
        if slot is None:
            return
        self._scoreboard.prepare(slot)
        pipes = Pipes.open(wanted=self._order.catch_output)
        # A signal between fork and the child's own set-up would be lost: it waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = Pid(os.fork())
            if pid == 0:
                self._become_worker(slot, pipes, before)
        except OSError:
            pipes.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._scoreboard.occupy(slot, pid)
        self._workers[pid] = Worker(pid, slot, self._loop.now())
        self._capture.add(pid, pipes)
        self._log(_NOTICE if self._filled else _DEBUG, f"child {pid} started")

    def _become_worker(self, slot: int, pipes: Pipes, mask: set[int | signal.Signals]) -> NoReturn:
        """Runs in the child."""
        try:
            pipes.attach()
            self._capture.close_in_child()
            self._loop.close_in_child()
            self._channel.close()
            self._log_in.close()
            log = self._log_out.fileno()
            place = worker.Place(
                self._order,
                self._php,
                self._scoreboard,
                slot,
                log,
                Descriptor.POKE,
                self._pid,
                pipes.unfinished,
            )
        except BaseException:
            os._exit(Exit.SOFTWARE)
        worker.serve_and_exit(place, mask)

    def _reap(self) -> None:
        for gone in process.reap():
            dead = self._workers.pop(gone.pid, None)
            if dead:
                self._bury(dead, gone)
        if self._ladder is not None:
            if not self._workers:
                self._leave()
        elif len(self._workers) < self._order.max_children and not self._respawn:
            delay = sizing.respawn_delay(self._failed_starts)
            self._respawn = self._loop.call_later(delay, self._fill)

    def _bury(self, dead: Worker, gone: process.Exit) -> None:
        age = self._loop.now() - dead.started
        failed = gone.code != Exit.OK and sizing.is_failed_start(age, self._scoreboard.requests(dead.slot))
        self._failed_starts = self._failed_starts + 1 if failed else 0
        self._php.vacate(self._scoreboard.memory, dead.slot)
        os.eventfd_write(Descriptor.POKE, 1)
        level = _NOTICE if gone.code == Exit.OK or gone.signal == signal.SIGQUIT else _WARNING
        if self._ladder is not None:
            level = _DEBUG
        self._log(level, f"child {gone.pid} exited {gone} after {age:.6f} seconds from start")

    # ------------------------------------------------------------ leaving

    def _on_channel(self) -> None:
        try:
            for kind, _payload in self._channel.receive():
                if kind == Kind.QUIT:
                    self._quit()
                elif kind == Kind.DRAIN:
                    self._drain()
                elif kind == Kind.TERMINATE:
                    self._terminate()
                elif kind == Kind.SPEAK:
                    self._on_log()
                    self._capture.look()
                    self._outbox.send(Kind.SPOKEN)
        except EOFError:
            # The master is gone: nobody would replace us or stop us.
            self._loop.unwatch(self._channel.fileno())
            self._quit()

    def _drain(self) -> None:
        if self._ladder is None:
            self._draining = True
            self._climb(stopping.drain_ladder(self._order.drain_timeout))

    def _quit(self) -> None:
        # Draining may have no end; a stop has.
        if self._ladder is None or self._draining:
            self._draining = False
            self._climb(stopping.quit_ladder(self._order.quit_timeout))

    def _terminate(self) -> None:
        self._draining = False
        self._climb(stopping.terminate_ladder(self._order.control_timeout))

    def _climb(self, ladder: tuple[stopping.Step, ...]) -> None:
        """Send the first signal of the ladder; come back with the rest if that did not do."""
        self._ladder = ladder
        if self._next_step:
            self._next_step.cancel()
        if not self._workers:
            self._leave()
            return
        step, *rest = ladder
        for pid in self._workers:
            process.send(pid, step.signal)
        # The last step is repeated until it is true.
        following = tuple(rest) or ladder
        self._next_step = self._loop.call_later(step.patience, lambda: self._climb(following))

    def _leave(self) -> None:
        self._on_log()
        self._capture.drain()
        self._outbox.flush(_LAST_WORDS)
        self._loop.stop()


def _log_message(level: int, text: str) -> bytes:
    return bytes([level]) + text.encode("utf-8", "backslashreplace")


def _explain_dropped(lines: int) -> tuple[Kind, bytes]:
    return Kind.LOG, _log_message(_WARNING, f"{lines} lines were dropped: the log does not keep up")


def become(order: Privileges) -> None:
    """Take on the pool's limits, root folder, groups, user and working folder, in this order."""
    if order.files is not None:
        privileges.limit_files(order.files)
    if order.core is not None:
        privileges.limit_core(order.core)
    if order.nice is not None:
        privileges.set_priority(order.nice)
    if order.chroot is not None:
        os.chroot(order.chroot)
        os.chdir("/")
    if order.uid is not None and order.gid is not None:
        privileges.become(order.uid, order.gid, order.groups)
    if order.chdir is not None:
        os.chdir(order.chdir)
    if order.dumpable:
        process.allow_dumps()


def start_php(order: Order) -> Php:
    """Load PHP and start it with the pool's ini."""
    # PHP starts from the C locale, whatever Python made of the environment's.
    locale.setlocale(locale.LC_ALL, "C")
    os.environ.clear()
    os.environ.update(order.environment)
    if order.php.ini_scan_dir is not None:
        os.environ["PHP_INI_SCAN_DIR"] = order.php.ini_scan_dir
    php = Php()
    php.start(
        ini_path=order.php.ini_path,
        ini_ignore=order.php.ini_ignore,
        ini_entries=phpini.entries(order.php.defines, order.ini),
        executable=order.php.executable,
        extended_info=order.php.extended_info,
    )
    if order.php.ini_scan_dir is not None and "PHP_INI_SCAN_DIR" not in order.environment:
        del os.environ["PHP_INI_SCAN_DIR"]
    for name, _value, admin in order.ini:
        if admin:
            php.lock_ini(name)
    return php


def _prepare(order: Order) -> Php:
    if order.privileges.chroot is None:
        become(order.privileges)
        return start_php(order)
    # The library and PHP's ini files are outside the new root, so with chroot PHP comes first.
    php = start_php(order)
    become(order.privileges)
    return php


def _let_go_of_terminal(null: int) -> None:
    """What workers write goes nowhere unless it is caught, and nobody waits for us to close a terminal."""
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def main() -> int:
    """The manager's whole life.  Returns the exit code."""
    channel = Channel(Descriptor.CHANNEL)
    with os.fdopen(Descriptor.ORDER, "rb") as file:
        order = Order.from_bytes(file.read())
    for fd in (Descriptor.CHANNEL, Descriptor.LISTENER, Descriptor.SCOREBOARD, Descriptor.POKE):
        os.set_inheritable(fd, False)
    setproctitle(f"kraal: pool {order.pool} (manager)")
    # Now, because a root folder of the pool's own need not have it.
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        php = _prepare(order)
        manager = Manager(order, php, channel)
    except (StartError, OSError) as error:
        channel.send(Kind.FAILED, str(error).encode("utf-8", "backslashreplace"))
        return Exit.SOFTWARE
    if not php.has_opcache():
        text = "OPcache is not loaded: every request compiles its scripts anew"
        channel.offer(Kind.LOG, _log_message(_WARNING, text))
    try:
        manager.run(null)
    except Exception:
        # A defect of ours.  Standard error may be closed by now, so the log has to tell.
        for line in traceback.format_exc().splitlines():
            channel.offer(Kind.LOG, _log_message(_ERROR, line))
        return Exit.SOFTWARE
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
