"""An overlay of the machine, with processes, /run and /tmp of its own: what changes in it is gone with it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.wait import wait_until
from tests.support.workspace import workspace

CHECKOUT = Path(__file__).parents[2]

# The first process of it: it does nothing but to reap what the others leave behind.
_REAPER = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
open('/run/sandbox', 'w').close()
while signal.sigwait({signal.SIGCHLD}):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
# $1 is a folder, $2 and $3 are what has to be where it is, to be read only.
_BUILD = """
set -e
mount -t tmpfs -o mode=755 none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
for folder in /dev /sys; do mount --rbind "$folder" "$1/root$folder"; done
mount -t proc none "$1/root/proc"
mount -t tmpfs -o mode=1777 none "$1/root/tmp"
mount -t tmpfs -o mode=755 none "$1/root/run"
for folder in "$2" "$3"; do
    mkdir -p "$1/root$folder"
    mount --bind "$folder" "$1/root$folder"
    mount -o remount,bind,ro "$1/root$folder"
done
exec chroot "$1/root" /usr/bin/python3 -c "$4"
"""


class Sandbox:
    """A sandbox that stands; `root` is its root, as seen from outside."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    @cached_property
    def root(self) -> Path:
        """Asked for before the sandbox has its first process, it fails."""
        (first,) = processes.children(self.process.pid)
        return Path(f"/proc/{first}/root")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in the folder of the checkout; it ends with the first command that fails."""
        first = self.root.parts[2]
        enter = ("nsenter", "--target", first, "--mount", "--pid", "--root", f"--wd={self.root}{CHECKOUT}")
        return subprocess.run(
            [*enter, "sh", "-euc", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Build one, or skip the test where that is not permitted."""
    with workspace() as directory:
        unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        words = (str(directory), str(CHECKOUT), sys.prefix, _REAPER)
        process = subprocess.Popen([*unshare, "sh", "-c", _BUILD, "sh", *words], stderr=subprocess.PIPE)
        made = Sandbox(process)
        assert process.stderr
        try:
            wait_until(lambda: process.poll() is not None or _stands(made), at_most=60, what="it stands")
            if process.poll() is not None:
                pytest.skip(f"not permitted here: {process.stderr.read().decode(errors='replace')}")
            yield made
        finally:
            below = processes.descendants(process.pid) | {process.pid}
            processes.kill(below)
            process.wait()
            process.stderr.close()
            processes.check_gone(below, before=set())


def _stands(made: Sandbox) -> bool:
    return bool(processes.children(made.process.pid)) and (made.root / "run/sandbox").exists()
