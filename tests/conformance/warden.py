"""Watches over one test: ends it when it takes too long, and tells what it left running.

    python -m tests.conformance.warden SECONDS REPORT COMMAND…

It is the first process of a process namespace where there is one, and everybody's new parent anyway.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.support import processes

# Who was told to end may need a moment.
_GRACE = 3.0
_POLL = 0.01


def main(seconds: float, report: Path, command: list[str]) -> int:
    """Run the command; what is wrong with its end is written into the report."""
    processes.adopt_orphans()
    own_network = os.getpid() == 1
    if own_network:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    test = os.posix_spawnp(command[0], command, os.environ, setsid=True)
    if not _ends(test, time.monotonic() + seconds):
        report.write_text(f"did not end within {seconds:g} seconds")
    elif left := _left(time.monotonic() + _GRACE):
        report.write_text("left running: " + ", ".join(map(processes.command_line, left)))
    while left := processes.descendants(os.getpid()):
        processes.kill(left)
        _reap()
    return 0


def _ends(test: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        if test in _reap():
            return True
        time.sleep(_POLL)
    return False


def _left(deadline: float) -> set[int]:
    while (left := processes.descendants(os.getpid())) and time.monotonic() < deadline:
        _reap()
        time.sleep(_POLL)
    return left


def _reap() -> set[int]:
    """The children that have ended since the last time."""
    ended = set()
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
