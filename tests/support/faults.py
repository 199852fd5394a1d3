"""What a machine may do to a server: a full disk, no more descriptors or processes, too little memory."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.workspace import ROOT

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


class Disk:
    """A small file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no room on it."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 512)

    def clear(self) -> None:
        """Make room again."""
        self._filler.unlink()


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """One of 256 KB, for the time of a test; skips where none may be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "kraal-test", str(path)]
    if not ROOT or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def limited(pid: int, what: str, limit: int) -> Iterator[None]:
    """A process has a lower soft limit of something, in the words of prlimit."""
    before = _prlimit(pid, f"--{what}", "--output=SOFT", "--noheadings", "--raw")
    _prlimit(pid, f"--{what}={limit}:")
    try:
        yield
    finally:
        if processes.alive(pid):
            _prlimit(pid, f"--{what}={before}:")


def _prlimit(pid: int, *words: str) -> str:
    # Its own user has the right to; root may lack it, without CAP_SYS_RESOURCE.
    user = int(processes.status(pid)["Uid"].split()[0])
    done = subprocess.run(
        ["prlimit", f"--pid={pid}", *words],
        user=user,
        group=pwd.getpwuid(user).pw_gid,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class ControlGroup:
    """Processes with a common limit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, pid: int) -> None:
        """Take a process in."""
        (self._path / "cgroup.procs").write_text(str(pid))

    def limit(self, *names: str, to: object) -> None:
        """Set the limit, which is called differently in the two versions of control groups."""
        for name in names:
            if (self._path / name).exists():
                (self._path / name).write_text(str(to))
                return
        raise FileNotFoundError(f"none of {names} in {self._path}")


@contextmanager
def control_group(controller: str) -> Iterator[ControlGroup]:
    """A group below our own; skips where none may be made.  Its processes are back in ours afterwards."""
    parent, name = _own_group(controller), f"kraal-test-{os.getpid()}"
    path = parent / name
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for {controller}: {error.strerror}")
    try:
        if not list(path.glob(f"{controller}.*max*")):
            pytest.skip(f"control groups do not limit {controller} here")
        yield ControlGroup(path)
    finally:
        for pid in (path / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (parent / "cgroup.procs").write_text(pid)
        path.rmdir()


def _own_group(controller: str) -> Path:
    found = _CONTROL_GROUPS
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            return _CONTROL_GROUPS / controllers / group.lstrip("/")
        if not controllers:
            found = _CONTROL_GROUPS / group.lstrip("/")
    return found


# For a shell in a mount namespace of its own: go on in a tree that has a /tmp of its own, below the folder
# that is the first word, and execute the other words there.
OWN_TREE = """
root=$1
shift
mount -t tmpfs kraal-test "$root"
for entry in /*; do
    if [ -L "$entry" ]; then
        cp -P "$entry" "$root$entry"
    elif [ -d "$entry" ]; then
        mkdir "$root$entry"
        [ "$entry" = /tmp ] || mount --rbind "$entry" "$root$entry"
    fi
done
chmod 1777 "$root/tmp"
exec chroot "$root" "$@"
"""
