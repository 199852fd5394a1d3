"""A server that may listen anywhere, be started by anybody, or not start at all."""

import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.fastcgi import Address, Connection, cgi_params, packet
from tests.support.servers import READY, Kind, configuration, executable
from tests.support.wait import wait_until
from tests.support.workspace import make_directory

CONFIG = 78
PING = {"ping.path": "/ping"}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def ping(address: Address) -> str:
    """The answer of a pool to a ping; empty if the connection is closed."""
    params = cgi_params("/", "/ping", method="GET", body=b"", headers=None, extra=None)
    try:
        with Connection(address, timeout=10.0) as connection:
            connection.send_if_possible(packet(params))
            return connection.response().text
    except (ConnectionError, EOFError, AssertionError):
        return ""


class Running:
    """A server that may listen anywhere, or not start at all."""

    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]") -> None:
        self.directory = directory
        self.process = process

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def wait_log(self, text: str) -> None:
        def found() -> bool:
            return text in self.log() or self.process.poll() is not None

        wait_until(found, at_most=20, what=f"{text!r} in the log")
        assert text in self.log(), self.log()

    def failure(self) -> str:
        """What was said by a server that did not start."""

        def decided() -> bool:
            return self.process.poll() is not None or READY in self.log()

        wait_until(decided, at_most=20, what="the server has given up")
        assert self.process.poll() == CONFIG, self.log()
        assert "Traceback" not in self.log()
        return self.log()


@contextmanager
def running(
    kind: Kind,
    directory: Path,
    pool: Mapping[str, str],
    *,
    before: Sequence[str] = (),
    user: str | None = None,
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = ("-F", "-O"),
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Running]:
    """Start a server behind the words `before`, in the foreground."""
    for name in ("sessions", "uploads"):
        if not (directory / name).exists():
            make_directory(directory / name)
    text = configuration(directory, f"{directory}/fpm.sock", pool=PING | dict(pool), more=more)
    (directory / "fpm.conf").write_text(text)
    argv = [*before, *executable(kind), "-y", f"{directory}/fpm.conf", *arguments]
    with (directory / "log").open("wb") as log:
        process = processes.spawn(argv, output=log, environ=environ, user=user)
    server = Running(directory, process)
    try:
        yield server
    finally:
        if process.poll() is None:
            below = processes.descendants(process.pid)
            processes.end(process, signal.SIGTERM)
            processes.check_gone(below, before=set())
    assert "Traceback" not in server.log(), server.log()
