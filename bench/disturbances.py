"""What an operator does with a kraal that serves, again and again."""

import os
import shlex
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EVERY = {"reopen": 1.0, "metrics": 1.0, "scrape": 1.0, "reload": 5.0}  # seconds


@dataclass(frozen=True)
class Operator:
    """Who may disturb one master."""

    command: str
    master: int
    metrics: str  # the address of `metrics.listen`

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """For the time of a block; "" is nothing.  The last deed is over at the end."""
        if not what:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=_repeat, args=(EVERY[what], self._deed(what), over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _deed(self, what: str) -> Callable[[], object]:
        if what == "reopen":
            return lambda: os.kill(self.master, signal.SIGUSR1)
        if what == "scrape":
            return lambda: urllib.request.urlopen(f"http://{self.metrics}/metrics").read()
        command = [*shlex.split(self.command), what, "--pid", str(self.master)]
        return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _repeat(every: float, deed: Callable[[], object], over: threading.Event) -> None:
    pause = every / 2
    while not over.wait(pause):
        deed()
        pause = every
