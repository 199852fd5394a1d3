"""`kraal serve` as a process, with kraal or php-fpm behind it.

Run as a program, this starts the front with php-fpm as its master: what the front does must not
depend on which of the two it is.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import processes
from tests.support.servers import Kind, executable
from tests.support.wait import wait_until

READY = re.compile(r"kraal serves (?P<directory>.*) on http://127\.0\.0\.1:(?P<port>\d+) \(Ctrl-C stops\)\n")
_TESTS = Path(__file__).parents[2]  # where the package of the tests is
PHP_FPM = ("-F", "-O", "-R", "-y")


def command(kind: Kind, *arguments: str | Path) -> list[str]:
    """How to call the front with this master."""
    if kind == "kraal":
        return [*executable("kraal"), "serve", *map(str, arguments)]
    return [sys.executable, "-m", "tests.support.front", *map(str, arguments)]


@dataclass
class Front:
    """A running front."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int
    bystanders: set[int] = field(default_factory=set)

    @classmethod
    def start(
        cls,
        kind: Kind,
        site: Path,
        output: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
    ) -> "Front":
        """Start on a free port and wait until it says that it serves."""
        bystanders = processes.orphans()
        with output.open("wb") as log:
            argv = command(kind, site, "--port", "0", *arguments)
            found = {"PYTHONPATH": str(_TESTS)} if kind == "php-fpm" else {}
            process = processes.spawn(argv, output=log, environ=found | dict(environ or {}))
        front = cls(process, output, 0, bystanders)
        wait_until(front._is_ready, at_most=30, what="the front is ready")
        return front

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the front did not start:\n{self.log()}"
        ready = READY.search(self.log())
        if ready:
            self.port = int(ready["port"])
        return ready is not None

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def master(self) -> int:
        [pid] = processes.children(self.process.pid)
        return pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop, and check that it ended well and that nothing is left of it."""
        if self.process.returncode is not None:
            return
        below = processes.descendants(self.process.pid)
        code = processes.end(self.process, number, at_most=20)
        self.check_gone(below)
        assert code == 0, f"the front ended with {code}:\n{self.log()}"

    def check_gone(self, pids: set[int]) -> None:
        processes.check_gone(pids, before=self.bystanders)
        assert "Traceback" not in self.log(), self.log()


def refused(kind: Kind, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and messages of a front that must not start."""
    ended = subprocess.run(command(kind, *arguments), capture_output=True, text=True, timeout=30)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


if __name__ == "__main__":
    from kraal.http import serve

    sys.exit(serve.main(sys.argv[1:], master=[*executable("php-fpm"), *PHP_FPM]))
