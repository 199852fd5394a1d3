"""An event loop: descriptors, timers and signals on one `selectors` object.

The manager forks from inside its loop all day, which a general loop makes delicate; this one holds
no thread and no hidden descriptor but its wakeup pipe.
"""

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import cast

Callback = Callable[[], None]


class Timer:
    """A call in the future.  `cancel` it, or forget it."""

    def __init__(self, when: float, order: int, callback: Callback) -> None:
        self.when = when
        self.order = order
        self.callback: Callback | None = callback

    def __lt__(self, other: "Timer") -> bool:
        return (self.when, self.order) < (other.when, other.order)

    def cancel(self) -> None:
        """Do not call."""
        self.callback = None


class Loop:
    """Calls back until somebody says `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._signals: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._running = False
        self._heard: list[int] = []  # signals, not dispatched yet
        self._wakeup, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self.watch(self._wakeup, self._dispatch_signals)

    @staticmethod
    def now() -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def watch(self, fd: int, callback: Callback) -> None:
        """Call whenever fd can be read."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        """Undo `watch`; call it before fd is closed."""
        self._writers.pop(fd, None)
        self._selector.unregister(fd)

    def watch_room(self, fd: int, callback: Callback) -> None:
        """Also call whenever fd, which is watched, can be written.  Raises KeyError if it is not."""
        key = self._selector.get_key(fd)
        self._writers[fd] = callback
        self._selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE, key.data)

    def unwatch_room(self, fd: int) -> None:
        """Undo `watch_room`, if there is anything to undo."""
        if self._writers.pop(fd, None):
            key = self._selector.get_key(fd)
            self._selector.modify(fd, selectors.EVENT_READ, key.data)

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call once after `delay` seconds."""
        timer = Timer(self.now() + delay, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def when_ended(self, pid: int, callback: Callback) -> None:
        """Call, once, when a process has ended that need not be our child; at once if it has."""
        try:
            process = os.pidfd_open(pid)
        except OSError:
            callback()
            return
        self.watch(process, partial(self._on_end, process, callback))

    def _on_end(self, process: int, callback: Callback) -> None:
        self.unwatch(process)
        os.close(process)
        callback()

    def on_signal(self, number: int, callback: Callback) -> None:
        """Call from the loop, not from the handler, when the signal came."""
        self._signals[number] = callback
        # The handler is empty: its being there makes Python write the number to the wakeup pipe.
        signal.signal(number, lambda _number, _frame: None)

    def undelivered(self) -> list[int]:
        """Signals that came and that nobody was called for; nobody will be."""
        self._hear_signals()
        return self._heard

    def run(self) -> None:
        """Call back until `stop`."""
        self._running = True
        while self._running:
            self._step()

    def stop(self) -> None:
        """Leave `run` after the current callback."""
        self._running = False

    def close_in_child(self) -> None:
        """After fork: give back signals and descriptors; nothing is ever called again."""
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        os.close(self._wakeup)
        os.close(self._wake)

    def _step(self) -> None:
        for key, events in self._selector.select(self._patience()):
            if events & selectors.EVENT_WRITE and self._running and key.fd in self._writers:
                self._writers[key.fd]()
            # An earlier callback of this step may have unwatched it.
            if events & selectors.EVENT_READ and self._running and key.fd in self._selector.get_map():
                cast(Callback, key.data)()
        self._run_timers()

    def _patience(self) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].when - self.now()) if self._timers else None

    def _run_timers(self) -> None:
        while self._running and self._timers and self._timers[0].when <= self.now():
            callback = heapq.heappop(self._timers).callback
            if callback:
                callback()

    def _dispatch_signals(self) -> None:
        self._hear_signals()
        while self._heard:
            number = self._heard.pop(0)
            if number in self._signals:
                self._signals[number]()

    def _hear_signals(self) -> None:
        with suppress(BlockingIOError):
            self._heard = _unique([*self._heard, *os.read(self._wakeup, 4096)])


def _unique(numbers: Iterable[int]) -> list[int]:
    """Each number once, in the order of their coming."""
    return list(dict.fromkeys(numbers))
