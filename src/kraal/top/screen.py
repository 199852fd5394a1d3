"""The screen of `kraal top`: it draws lines, waits for keys and signals, and gives the terminal back."""

import curses
import locale
import os
import select
import signal
import sys
import time
from contextlib import suppress

from kraal.errors import Exit, StartError
from kraal.top import panel
from kraal.top.command import Watch
from kraal.top.panel import Line, Style, View

_NAMES = {
    curses.KEY_LEFT: "Left",
    curses.KEY_RIGHT: "Right",
    curses.KEY_UP: "Up",
    curses.KEY_DOWN: "Down",
    curses.KEY_PPAGE: "PgUp",
    curses.KEY_NPAGE: "PgDn",
    curses.KEY_HOME: "Home",
    curses.KEY_ENTER: "Enter",
    curses.KEY_BACKSPACE: "Backspace",
}
_LETTERS = {
    "\t": "Tab",
    "\n": "Enter",
    "\r": "Enter",
    "\x1b": "Escape",
    "\x7f": "Backspace",
    "\b": "Backspace",
}
_STYLES = {
    Style.PLAIN: curses.A_NORMAL,
    Style.HEAD: curses.A_REVERSE,
    Style.STRONG: curses.A_BOLD,
    Style.FAINT: curses.A_DIM,
    Style.ALARM: curses.A_BOLD,
}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
_ESCAPE_MS = 50
# Lines that are no row of the lower table.
_FRAME = 6


def run(watch: Watch, view: View) -> int:
    """Show it until the user has seen enough.  Returns the exit code."""
    locale.setlocale(locale.LC_ALL, "")
    alarm = Alarm()
    try:
        screen = curses.initscr()
    except curses.error as error:
        text = f"this terminal cannot show it: {error}; --once and --batch print text"
        raise StartError(text, exit=Exit.SOFTWARE) from error
    try:
        curses.noecho()
        curses.cbreak()
        curses.set_escdelay(_ESCAPE_MS)
        screen.keypad(True)
        screen.nodelay(True)
        with suppress(curses.error):
            curses.curs_set(0)
        number = Screen(screen, alarm).watch(watch, view)
    finally:
        # Whatever happens, the terminal is as it was.
        curses.endwin()
    if number in (None, signal.SIGINT):
        return Exit.OK
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return Exit.OK


class Alarm:
    """Signals, as something to wait for."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*_ENDING, signal.SIGWINCH, signal.SIGCONT):
            signal.signal(number, lambda _number, _frame: None)

    def take(self) -> set[int]:
        """Those that have come."""
        with suppress(BlockingIOError):
            return set(os.read(self.reader, 1 << 10))
        return set()


class Screen:
    """A terminal that we have."""

    def __init__(self, screen: "curses.window", alarm: Alarm) -> None:
        self._screen = screen
        self._alarm = alarm
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._poll.register(alarm.reader, select.POLLIN)

    def watch(self, watch: Watch, view: View) -> int | None:
        """Draw and obey.  Returns the signal that ended it, or None."""
        following = time.monotonic() + min(view.interval, 1.0)
        picture = watch.picture()
        while True:
            self._draw(panel.lines(view, picture, *self._screen.getmaxyx()))
            numbers, keys = self._wait(following - time.monotonic())
            if ended := next((number for number in _ENDING if number in numbers), None):
                return ended
            if numbers:
                self._resize()
            for key in keys:
                view = panel.pressed(view, key, page=max(1, self._screen.getmaxyx()[0] - _FRAME))
            if view.ended:
                return None
            if time.monotonic() >= following:
                following = time.monotonic() + view.interval
                if not view.paused:
                    watch.look_again()
                    picture = watch.picture()

    def _wait(self, seconds: float) -> tuple[set[int], list[str]]:
        """Until a signal or a key comes, or the time is over."""
        ready = dict(self._poll.poll(max(0.0, seconds) * 1000))
        numbers = self._alarm.take()
        if ready.get(sys.stdin.fileno(), 0) & _GONE:
            numbers.add(signal.SIGHUP)
        return numbers, self._keys()

    def _keys(self) -> list[str]:
        keys = []
        with suppress(curses.error):
            while True:
                key = self._screen.get_wch()
                name = _NAMES.get(key, "") if isinstance(key, int) else _LETTERS.get(key, key)
                keys.append(name)
        return keys

    def _resize(self) -> None:
        with suppress(OSError, curses.error):
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
            curses.resizeterm(max(1, rows), max(1, columns))
        self._screen.clear()

    def _draw(self, lines: list[Line]) -> None:
        self._screen.erase()
        for row, line in enumerate(lines):
            # The last cell cannot be written without the cursor leaving the screen, which is an error.
            with suppress(curses.error):
                self._screen.addstr(row, 0, line.text, _STYLES[line.style])
        self._screen.refresh()
