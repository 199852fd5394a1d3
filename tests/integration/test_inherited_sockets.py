"""Sockets that a parent opened: systemd, or a php-fpm that executes the server in its place."""

import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.fastcgi import Connection, cgi_params, packet
from tests.support.running import PING, Running, needs_ipv6, ping, running
from tests.support.servers import READY, Kind, executable
from tests.support.wait import wait_until

# Hands open sockets on as a parent does that executes the server: from descriptor 3 on, by its environment.
PARENT = """
import os, sys
count = int(sys.argv[1])
environ = dict(os.environ)
environ.pop('LISTEN_PID', None)
if 'LISTEN_FDS' in environ:
    environ['LISTEN_PID'] = str(os.getpid())
copies = [os.dup(int(fd)) for fd in sys.argv[2:2 + count]]
high = [os.dup2(fd, 100 + index) for index, fd in enumerate(copies)]
for index, fd in enumerate(high):
    os.dup2(fd, 3 + index)
os.closerange(3 + count, 200)
os.execve(sys.argv[2 + count], sys.argv[2 + count:], environ)
"""


class Parent:
    """Opens sockets and passes them on."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def unix(self, path: str) -> None:
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(path)
        os.chmod(path, 0o666)
        opened.listen()
        self.sockets.append(opened)

    def tcp(self, host: str, port: int = 0) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets.append(socket.create_server((host, port), family=family))
        return int(self.sockets[-1].getsockname()[1])

    @contextmanager
    def start(
        self, kind: Kind, directory: Path, pool: Mapping[str, str], environ: Mapping[str, str], **more: object
    ) -> Iterator[Running]:
        numbers = [str(opened.fileno()) for opened in self.sockets]
        for opened in self.sockets:
            opened.set_inheritable(True)
        before = [sys.executable, "-c", PARENT, str(len(numbers)), *numbers]
        with ExitStack() as stack:
            stack.enter_context(keeping(self.sockets))
            yield stack.enter_context(
                running(kind, directory, pool, before=before, environ=environ, **more)  # type: ignore[arg-type]
            )

    def close(self) -> None:
        for opened in self.sockets:
            opened.close()


@contextmanager
def keeping(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Let `subprocess` leave descriptors open, which it closes otherwise."""
    original = subprocess.Popen.__init__

    def open_all(self: object, *args: object, **named: object) -> None:
        original(self, *args, **named, pass_fds=[each.fileno() for each in sockets])  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", open_all)
        yield


@pytest.fixture
def parent() -> Iterator[Parent]:
    with closing(Parent()) as parent:
        yield parent


def test_sockets_of_a_php_fpm_before_are_used(server_kind: Kind, directory: Path, parent: Parent) -> None:
    path = f"{directory}/fpm.sock"
    parent.unix(path)
    port = parent.tcp("127.0.0.1")
    environ = {"FPM_SOCKETS": f"{path}=3", "FPM_SOCKETS_1": f"127.0.0.1:{port}=4"}
    more = {"b": PING | {"listen": f"127.0.0.1:{port}"}}

    with parent.start(server_kind, directory, {}, environ, more=more) as server:
        server.wait_log(READY)
        assert f'NOTICE: using inherited socket fd=3, "{path}"' in server.log()
        assert f'NOTICE: using inherited socket fd=4, "127.0.0.1:{port}"' in server.log()
        assert [ping(path), ping(("127.0.0.1", port))] == ["pong", "pong"]
    assert not os.path.exists(path)


@needs_ipv6
def test_port_of_a_php_fpm_before_is_used(server_kind: Kind, directory: Path, parent: Parent) -> None:
    port = parent.tcp("::")
    environ = {"FPM_SOCKETS": f":::{port}=3"}

    with parent.start(server_kind, directory, {"listen": str(port)}, environ) as server:
        server.wait_log(READY)
        assert f'NOTICE: using inherited socket fd=3, ":::{port}"' in server.log()
        assert ping(("::1", port)) == "pong"


def test_socket_of_a_pool_that_is_gone_is_closed(server_kind: Kind, directory: Path, parent: Parent) -> None:
    path = f"{directory}/gone.sock"
    parent.unix(path)

    with parent.start(server_kind, directory, {}, {"FPM_SOCKETS": f"{path}=3"}) as server:
        server.wait_log(READY)
        assert not os.path.exists(path)
        assert ping(f"{directory}/fpm.sock") == "pong"


def test_systemd_passes_sockets_by_address(server_kind: Kind, directory: Path, parent: Parent) -> None:
    path = f"{directory}/fpm.sock"
    parent.unix(path)

    with parent.start(server_kind, directory, {}, {"LISTEN_FDS": "1"}) as server:
        server.wait_log(READY)
        assert f'NOTICE: using inherited socket fd=3, "{path}"' in server.log()
        assert ping(path) == "pong"
    assert os.path.exists(path), "systemd goes on listening"


def test_systemd_passes_sockets_by_name(server_kind: Kind, directory: Path, parent: Parent) -> None:
    parent.unix(f"{directory}/elsewhere.sock")
    port = parent.tcp("127.0.0.1")
    environ = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "b:www"}

    with parent.start(server_kind, directory, {}, environ, more={"b": PING}) as server:
        server.wait_log(READY)
        assert [ping(f"{directory}/elsewhere.sock"), ping(("127.0.0.1", port))] == ["pong", "pong"]
        assert not os.path.exists(f"{directory}/fpm.sock")


def test_systemd_s_socket_that_no_pool_wants_is_closed(
    server_kind: Kind, directory: Path, parent: Parent
) -> None:
    path = f"{directory}/other.sock"
    parent.unix(path)

    with parent.start(server_kind, directory, {}, {"LISTEN_FDS": "1"}) as server:
        server.wait_log(READY)
        assert f'NOTICE: inherited socket fd=3, "{path}" is wanted by no pool, it is closed' in server.log()
        assert path not in processes.descriptors(server.process.pid).values()
    assert os.path.exists(path)


def test_connections_that_wait_in_a_passed_socket_are_served(
    server_kind: Kind, directory: Path, parent: Parent
) -> None:
    path = f"{directory}/fpm.sock"
    parent.unix(path)
    params = cgi_params("/", "/ping", method="GET", body=b"", headers=None, extra=None)

    with Connection(path, timeout=20.0) as early:
        early.send(packet(params))
        with parent.start(server_kind, directory, {}, {"LISTEN_FDS": "1"}):
            assert early.response().text == "pong"


def test_passed_sockets_survive_the_way_to_the_background(
    server_kind: Kind, directory: Path, parent: Parent
) -> None:
    path = f"{directory}/fpm.sock"
    parent.unix(path)

    with parent.start(server_kind, directory, {}, {"LISTEN_FDS": "1"}, arguments=["-D"]) as server:
        assert server.process.wait(20) == 0, server.log()
        pid = int((directory / "fpm.pid").read_text())
        assert ping(path) == "pong"
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not processes.alive(pid), at_most=10, what="the server is gone")
        processes.orphans()
    assert os.path.exists(path)


def test_workers_do_not_hear_of_passed_sockets(server_kind: Kind, directory: Path, parent: Parent) -> None:
    path = f"{directory}/fpm.sock"
    parent.unix(path)
    script = directory / "environ.php"
    script.write_text("<?php echo json_encode([getenv('LISTEN_FDS'), getenv('LISTEN_PID')]);")
    script.chmod(0o644)
    params = cgi_params(str(directory), "/environ.php", method="GET", body=b"", headers=None, extra=None)

    with parent.start(server_kind, directory, {"clear_env": "no"}, {"LISTEN_FDS": "1"}) as server:
        server.wait_log(READY)
        with Connection(path) as connection:
            connection.send(packet(params))
            assert connection.response().text == "[false,false]"


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd is not installed")
def test_systemd_s_own_tool_starts_the_server_on_the_first_connection(
    server_kind: Kind, directory: Path
) -> None:
    path = f"{directory}/fpm.sock"
    before = ["systemd-socket-activate", "-l", path, "--fdname=www"]

    with running(server_kind, directory, {}, before=before) as server:
        # The file alone is there before it listens.
        server.wait_log(f"Listening on {path}")
        assert READY not in server.log()
        assert ping(path) == "pong"
        assert f'using inherited socket fd=3, "{path}"' in server.log()


def test_example_for_systemd_fits_debian_s_pool(directory: Path) -> None:
    folder = Path(__file__).parents[2] / "packaging"
    unit = configparser.RawConfigParser(strict=False)
    unit.read(folder / "kraal.socket")
    pool = Path("/etc/php/8.2/fpm/pool.d/www.conf")
    if not pool.exists():
        pytest.skip("Debian's php8.2-fpm is not installed")
    listen = [line.split("=")[1].strip() for line in pool.read_text().splitlines() if line[:8] == "listen ="]

    assert [unit["Socket"]["ListenStream"]] == listen
    assert f"[{unit['Socket']['FileDescriptorName']}]\n" in pool.read_text()
    assert (folder / unit["Socket"]["Service"]).exists()
    if command := shutil.which("systemd-analyze"):
        for name in ("kraal.socket", "kraal.service"):
            text = (folder / name).read_text().replace("/opt/kraal/bin/kraal", executable("kraal")[0])
            (directory / name).write_text(text)
        done = subprocess.run(
            [command, "verify", directory / "kraal.socket"], capture_output=True, text=True, check=False
        )
        assert [line for line in done.stderr.splitlines() if "kraal" in line] == []
        assert done.returncode == 0
