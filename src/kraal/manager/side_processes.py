"""A manager's processes that are not workers: each is a fork that does one thing."""

import os
import signal
from collections.abc import Callable, Iterable
from typing import NoReturn

from setproctitle import setproctitle

from kraal.errors import Exit
from kraal.unix import process
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

# They end with their manager, or after it; nobody else is to stop them.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGHUP, signal.SIGPIPE)
_LAST_DESCRIPTOR = (1 << 31) - 1


class SideProcesses:
    """The one owner of these processes."""

    def __init__(self, pool: str, loop: Loop) -> None:
        self._pool = pool
        self._loop = loop
        self._gone: dict[int, Callable[[], None]] = {}

    def hire(self, what: str, keep: Iterable[int], run: Callable[[], None], gone: Callable[[], None]) -> Pid:
        """Have a process call `run`, with no other descriptors than 0 to 2 and `keep`.

        `what` is for its title, `gone` is called when it has ended.  Raises OSError.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
        try:
            pid = Pid(os.fork())
            if pid == 0:
                self._attend(what, keep, run, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.mind(pid, gone)
        return pid

    def mind(self, pid: Pid, gone: Callable[[], None]) -> None:
        """Call `gone` when this one, which was forked elsewhere, has ended."""
        self._gone[pid] = gone

    def dismiss(self, pid: Pid) -> None:
        """End one at once, and call nobody."""
        del self._gone[pid]
        process.send(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def buried(self, pid: int) -> None:
        """This process, whoever it was, has ended."""
        gone = self._gone.pop(pid, None)
        if gone:
            gone()

    def _attend(
        self, what: str, keep: Iterable[int], run: Callable[[], None], mask: set[int | signal.Signals]
    ) -> NoReturn:
        """Runs in the child."""
        try:
            setproctitle(f"kraal: pool {self._pool} ({what})")
            self._loop.close_in_child()
            for number in _IGNORED:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # Whoever waits for the end of something is not to wait for us.
            first = 3
            for fd in sorted(keep):
                os.closerange(first, fd)
                first = fd + 1
            os.closerange(first, _LAST_DESCRIPTOR)
            run()
        finally:
            os._exit(Exit.OK)
