"""kraal in namespaces of its own, as in a container: its own users and process ids, and no CAP_SYS_PTRACE."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.servers import FpmServer, configuration, executable
from tests.support.wait import wait_until
from tests.support.workspace import make_directory, workspace

_WITHOUT = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
_PROCESSES = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
# It waits until its users are there.
_USERS = ("unshare", "--user", "sh", "-c", 'read -r ready && exec "$@"', "sh")
SYS_PTRACE = 1 << 19
MOST_USERS = 65536


class Contained(FpmServer):
    """A server whose `process` is outside of the namespaces."""

    @property
    def pid(self) -> int:
        """The master, as seen from outside."""
        found = processes.descendants(self.process.pid)
        return next(pid for pid in found if processes.command_line(pid).startswith("kraal: master"))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of kraal inside, as root without the right to trace."""
        enter = ("nsenter", "--target", str(self.pid), "--user", "--pid", "--mount", "--preserve-credentials")
        argv = [*enter, *_WITHOUT, *executable("kraal"), *arguments, "-g", "1"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def _begin(argv: list[str], users: int) -> "subprocess.Popen[bytes]":
    """Start a program in such namespaces; skips the test where the kernel does not permit it."""
    process = subprocess.Popen([*_USERS, *argv], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    assert process.stderr
    try:
        wait_until(lambda: process.poll() is not None or _own_users(process.pid), what="it has its own users")
        if os.getuid() != 0:
            Path(f"/proc/{process.pid}/setgroups").write_text("deny")
        Path(f"/proc/{process.pid}/uid_map").write_text(f"0 {os.getuid()} {users}")
        Path(f"/proc/{process.pid}/gid_map").write_text(f"0 {os.getgid()} {users}")
        process.stdin.write(b"go\n")
        process.stdin.close()
    except OSError as error:
        process.kill()
        process.wait()
        pytest.skip(f"namespaces are not permitted here: {error}")
    return process


def _own_users(pid: int) -> bool:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    return False


def _try(users: int) -> None:
    process = _begin([*_PROCESSES, *_WITHOUT, "true"], users)
    assert process.stderr
    with process.stderr as stream:
        complaint = stream.read()
    if process.wait():
        pytest.skip(f"namespaces are not permitted here: {complaint.decode(errors='replace')}")


@contextmanager
def contained(pool: Mapping[str, str], *, users: int) -> Iterator[Contained]:
    """A server with so many users, the first of which is its root.  DIRECTORY is its directory."""
    with workspace() as directory:
        address, file, root = f"{directory}/www.sock", directory / "fpm.conf", directory / "www"
        for name in ("sessions", "uploads"):
            make_directory(directory / name)
        root.mkdir()
        settings = {name: value.replace("DIRECTORY", str(directory)) for name, value in pool.items()}
        file.write_text(configuration(directory, address, pool=settings))
        kraal = [*executable("kraal"), "-F", "-R", "-y", str(file)]
        _try(users)
        process = _begin([*_PROCESSES, *_WITHOUT, *kraal], users)
        server = Contained("kraal", directory, address, process, root, directory / "error.log")
        try:
            server.wait_ready()
            yield server
        finally:
            below = processes.descendants(process.pid) | {process.pid}
            processes.kill(below)
            process.wait()
            assert process.stderr
            process.stderr.close()
            processes.check_gone(below, before=set())
