"""kraal and php-fpm, started from the same configuration and asked the same things."""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import pytest

from tests.support import processes
from tests.support.fastcgi import Address, Connection, Response, cgi_params, packet
from tests.support.wait import wait_until
from tests.support.workspace import POOL_USER, ROOT, make_directory

Kind = Literal["kraal", "php-fpm"]
KINDS: tuple[Kind, ...] = ("kraal", "php-fpm")

READY = "ready to handle connections"
# Scripts are dated back: OPcache does not keep a file that changed within the last two seconds.
LONG_AGO = 1_700_000_000


def executable(kind: Kind) -> list[str]:
    """How to call the server; a test run without one of the two fails."""
    if kind == "php-fpm":
        found = shutil.which("php-fpm8.2", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
        return [found] if found else pytest.fail("php-fpm8.2 is not installed: apt-get install php8.2-fpm")
    if named := os.environ.get("KRAAL_EXECUTABLE"):
        return shlex.split(named)
    beside = Path(sys.executable).parent / "kraal"
    return [str(beside)] if beside.exists() else pytest.fail(f"{beside} does not exist: install kraal first")


def free_port() -> int:
    """A port that nobody listens on, from below those that the kernel gives to clients."""
    while True:
        port = random.randint(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def configuration(
    directory: Path,
    address: Address,
    *,
    pool: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """A configuration with one static pool named www, and perhaps `more`, each at NAME.sock.

    `options` go to [global].  An empty value takes a directive out.
    """
    general = {
        "pid": f"{directory}/fpm.pid",
        "error_log": f"{directory}/error.log",
        **(options or {}),
    }
    common = {
        **({"user": POOL_USER, "group": POOL_USER} if ROOT else {}),
        "listen.mode": "0666",
        "pm": "static",
        "pm.max_children": "1",
        "php_value[session.save_path]": f"{directory}/sessions",
        "php_admin_value[upload_tmp_dir]": f"{directory}/uploads",
        "php_admin_value[sendmail_path]": "/bin/true",
    }
    text = _section("global", general) + _section(
        "www", common | {"listen": listen(address)} | dict(pool or {})
    )
    for name, own in (more or {}).items():
        text += _section(name, common | {"listen": f"{directory}/{name}.sock"} | dict(own))
    return text


def _section(name: str, directives: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in directives.items() if value)


def listen(address: Address) -> str:
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"


def reachable(address: Address) -> bool:
    try:
        Connection(address).close()
    except OSError:
        return False
    return True


@dataclass
class FpmServer:
    """A server in the foreground, with a directory of its own."""

    kind: Kind
    directory: Path
    address: Address
    process: subprocess.Popen[bytes]
    root: Path
    log_file: Path
    bystanders: set[int] = field(default_factory=set)

    @classmethod
    def start(
        cls,
        kind: Kind,
        directory: Path,
        *,
        tcp: bool = False,
        pool: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        more: Mapping[str, Mapping[str, str]] | None = None,
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        root: Path | None = None,
        log_file: Path | None = None,
        awaited: str = READY,
    ) -> Self:
        """Start with such a `configuration` and wait until it serves, and its log says what is awaited.

        It logs to standard error, or else as configured to a file, which has to be given then.
        """
        address: Address = ("127.0.0.1", free_port()) if tcp else f"{directory}/fpm.sock"
        for name in ("sessions", "uploads"):
            make_directory(directory / name)
        www = directory / "www"
        www.mkdir()
        file = directory / "fpm.conf"
        file.write_text(configuration(directory, address, pool=pool, options=options, more=more))
        argv = [*executable(kind), "-y", str(file), "-F", *([] if log_file else ["-O"]), *arguments]
        output = directory / "log"
        bystanders = processes.orphans()
        with output.open("wb") as stream:
            process = processes.spawn(argv, output=stream, environ=environ)
        server = cls(kind, directory, address, process, root or www, log_file or output, bystanders)
        try:
            server.wait_ready(awaited)
        except BaseException:
            processes.kill(processes.descendants(process.pid) | {process.pid})
            process.wait()
            raise
        return server

    def wait_ready(self, awaited: str = READY) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"{self.kind} did not start:\n{self.log()}"
            return awaited in self.log() and reachable(self.address)

        try:
            wait_until(ready, at_most=20, what=f"{self.kind} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def socket_file(self) -> Path:
        assert isinstance(self.address, str)
        return Path(self.address)

    @property
    def pid_file(self) -> Path:
        return self.directory / "fpm.pid"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_lines(self, pattern: str) -> list[str]:
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern: str, *, times: int = 1, at_most: float = 10.0) -> list[str]:
        """Wait until as many lines of the log match; return all that do."""

        def found() -> list[str] | None:
            lines = self.log_lines(pattern)
            return lines if len(lines) >= times else None

        try:
            return wait_until(found, at_most=at_most, what=f"{times} x {pattern!r} in the log") or []
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def workers(self) -> set[int]:
        """The processes that answer requests.  Whoever starts has no title yet, or another one."""
        titles = {pid: processes.command_line(pid) for pid in processes.descendants(self.pid)}
        pools = {pid for pid, title in titles.items() if re.match("(kraal|php-fpm): pool ", title)}
        others = ("(manager)", "(nursery)", "(access log)")
        return {pid for pid in pools if not titles[pid].endswith(others)}

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def script(self, name: str, code: str) -> str:
        """Write a script and return its URI.  A name is used once: OPcache checks for changes late."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), f"{name} was written before"
        path.write_text("<?php\n" + code)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return f"/{name}"

    def fetch(
        self,
        uri: str,
        *,
        method: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Response:
        """Ask for a page on a connection of its own."""
        params = self.params(uri, method=method, body=body, headers=headers, extra=extra)
        with Connection(self.address, timeout=timeout) as connection:
            connection.send_if_possible(packet(params, body))
            return connection.response()

    def params(
        self,
        uri: str,
        *,
        method: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        method = method or ("POST" if body else "GET")
        return cgi_params(str(self.root), uri, method=method, body=body, headers=headers, extra=extra)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, at_most: float = 15.0) -> None:
        """Stop, and check that it ended well and that nothing is left of it."""
        if self.process.returncode is not None:
            return
        below = processes.descendants(self.pid)
        code = processes.end(self.process, number, at_most=at_most)
        self.check_gone(below)
        assert code == 0, f"{self.kind} ended with {code}:\n{self.log()}"

    def check_gone(self, pids: set[int]) -> None:
        processes.check_gone(pids, before=self.bystanders)
        if isinstance(self.address, str):
            assert not self.socket_file.exists(), "the socket is left"
        assert not self.pid_file.exists(), "the pid file is left"
        # Whoever fuzzes beside us has folders there.
        left = [path for path in Path("/dev/shm").glob("*kraal*") if not path.name.startswith("kraal-fuzz-")]
        assert not left, "a memory file is left"
        assert "Traceback" not in self.log(), self.log()
