"""Run a master for the HTTP front: start it, wait until PHP answers, stop it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kraal.errors import Exit, RemoteProtocolError, StartError
from kraal.fastcgi import client

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMAND = (sys.executable, "-m", "kraal", "-F", "-O", "-y")

_START_TIMEOUT = 30.0
_PATIENCE = 1.0  # a worker that is being started does not answer yet
_POLL = 0.02
# How long each signal may take before the next, harder one is sent.  Short: by then the front has
# finished its answers, or given them up.
_STOP_LADDER = ((signal.SIGQUIT, 2.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0))
_PING = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/ping",
    "SCRIPT_NAME": "/ping",
    "SCRIPT_FILENAME": "/ping",
}


class Master:
    """A master process that does not outlive us."""

    def __init__(self, command: Sequence[str], configuration: str) -> None:
        # In a process group of its own: Ctrl-C reaches us alone, and we stop the master gently.
        self._process = subprocess.Popen(
            [*command, configuration],
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_us(),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise if the master has ended; it has said itself why."""
        code = self._process.poll()
        if code is None:
            return
        if code < 0:
            raise StartError(f"the master was killed by {signal.Signals(-code).name}", exit=Exit.SOFTWARE)
        known = code in set(Exit) - {Exit.OK}
        raise StartError(f"the master ended with code {code}", exit=Exit(code) if known else Exit.SOFTWARE)

    def wait_until_ready(self, socket: str) -> None:
        """Return when a worker answers."""
        deadline = time.monotonic() + _START_TIMEOUT
        while not _answers(socket):
            self.check()
            if time.monotonic() > deadline:
                raise StartError(f"PHP did not answer within {_START_TIMEOUT:g} seconds", exit=Exit.SOFTWARE)
            time.sleep(_POLL)

    def stop(self) -> None:
        """Quit gently, then less so."""
        for number, patience in _STOP_LADDER:
            if self._process.poll() is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def running(command: Sequence[str], configuration: str) -> Iterator[Master]:
    """A master for the time of a block."""
    master = Master(command, configuration)
    try:
        yield master
    finally:
        # Nobody may interrupt the tidying up: it ends by itself within the time of the stop ladder.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        master.stop()


def _answers(socket: str) -> bool:
    try:
        return client.request(socket, _PING, timeout=_PATIENCE).status == 200
    except (OSError, RemoteProtocolError):
        return False


def _die_with_us() -> Callable[[], None]:
    """What the master does between fork and exec, so that it gets SIGTERM even if we are killed."""
    from kraal.unix.process import die_with_parent

    return lambda: die_with_parent(signal.SIGTERM)
