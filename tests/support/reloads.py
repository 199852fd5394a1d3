"""Let servers reload, and count what their clients lose."""

import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kraal
from tests.support.fastcgi import Connection, packet
from tests.support.servers import READY, FpmServer, configuration, executable
from tests.support.wait import wait_until

# A successor of a master and its PHP, on a busy machine.
PATIENCE = 60.0


def configure(server: FpmServer, **settings: Any) -> None:
    """Write another configuration for a server."""
    (server.directory / "fpm.conf").write_text(configuration(server.directory, server.address, **settings))


def start_command(server: FpmServer, *arguments: str, pid: str | None = None) -> "subprocess.Popen[str]":
    """Run `kraal reload` for a server."""
    return subprocess.Popen(
        [*executable("kraal"), "reload", "--pid", pid or str(server.pid_file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(command: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code, and what it said."""
    output, errors = command.communicate(timeout=PATIENCE)
    return command.returncode, output + errors


def command(server: FpmServer, *arguments: str) -> tuple[int, str]:
    """Run `kraal reload` to its end."""
    return finish(start_command(server, *arguments))


def reload(server: FpmServer) -> None:
    """Let a server of any kind reload, and wait until it has."""
    if server.kind == "kraal":
        assert command(server) == (0, ""), server.log()
        return
    before = len(server.log_lines(READY))
    server.send(signal.SIGUSR2)
    server.wait_log(READY, times=before + 1, at_most=PATIENCE)


class Clients:
    """Threads that ask without pause, and note what they lose."""

    def __init__(self, server: FpmServer, uri: str, *, keep: bool) -> None:
        self._packet = packet(server.params(uri), keep=keep)
        self._server = server
        self._keep = keep
        self._stop = threading.Event()
        self.answered = 0
        self.lost: list[str] = []

    @contextmanager
    def asking(self, number: int) -> Iterator["Clients"]:
        """So many of them, until the end of the block."""
        threads = [threading.Thread(target=self._ask_on) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait(self, more: int) -> None:
        """Wait until so many more have been answered, or one was lost."""
        enough = self.answered + more
        wait_until(lambda: self.answered >= enough or self.lost, at_most=PATIENCE, what="more answers")

    def _ask_on(self) -> None:
        connection: Connection | None = None
        while not self._stop.is_set():
            try:
                connection = connection or Connection(self._server.address)
                connection.send(self._packet)
                response = connection.response()
                assert response.status == 200
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.lost.append(repr(error))
                if connection:
                    connection.close()
                connection = None
                continue
            if not self._keep:
                connection.close()
                connection = None
        if connection:
            connection.close()


class Installation:
    """A copy of kraal in an environment of its own, whose files a test may change."""

    def __init__(self, directory: Path) -> None:
        packages = directory / f"lib/python{sysconfig.get_python_version()}/site-packages"
        (directory / "bin").mkdir(parents=True)
        self.python = directory / "bin/python"
        self.python.symlink_to(Path(sys._base_executable))  # type: ignore[attr-defined]
        (directory / "pyvenv.cfg").write_text(f"home = {Path(self.python).resolve().parent}\n")
        others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        self.package = packages / "kraal"
        shutil.copytree(
            Path(kraal.__file__).parent, self.package, ignore=shutil.ignore_patterns("__pycache__")
        )
        # After its own: what is copied comes first.
        (packages / "others.pth").write_text("".join(f"{path}\n" for path in others))

    @property
    def command(self) -> str:
        return f"{self.python} -m kraal"

    def change(self, module: str, change: Callable[[str], str]) -> None:
        """Replace a file as installers do: another one of the same name."""
        path = self.package / module
        text = change(path.read_text())
        path.unlink()
        path.write_text(text)
