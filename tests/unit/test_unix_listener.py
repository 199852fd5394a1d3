"""Listening sockets: who may connect, and what stands in the way."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kraal.errors import Exit, StartError
from kraal.unix.listener import Listener, Ownership, Place, describe, open_tcp, open_unix, resolve
from tests.support.running import needs_ipv6

ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "fpm.sock")


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A folder that every user can look into."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# ---------------------------------------------------------------- Unix


def test_socket_file_can_be_connected_to(path: str) -> None:
    with closing(open_unix(path, 5, Ownership())), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_accept_without_a_connection_does_not_wait(path: str) -> None:
    with closing(open_unix(path, 5, Ownership())) as opened, pytest.raises(BlockingIOError):
        opened.socket.accept()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o000])
def test_socket_file_has_its_mode_whatever_the_umask_is(path: str, mode: int) -> None:
    before = os.umask(0o077)
    try:
        open_unix(path, 5, Ownership(mode=mode)).socket.close()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(path).st_mode) == mode


def test_socket_file_has_its_mode_from_the_first_moment(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Watched(socket.socket):
        def bind(self, address: object) -> None:
            super().bind(address)  # type: ignore[arg-type]
            seen.append(stat.S_IMODE(os.stat(path).st_mode))

    monkeypatch.setattr(socket, "socket", Watched)
    open_unix(path, 5, Ownership(mode=0o600)).socket.close()

    assert seen == [0o600]


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_socket_file_belongs_to_whom_the_configuration_names(path: str) -> None:
    open_unix(path, 5, Ownership(uid=33, gid=34)).socket.close()

    found = os.stat(path)
    assert (found.st_uid, found.st_gid) == (33, 34)


def test_owner_who_cannot_be_set_leaves_no_socket(path: str) -> None:
    if ROOT:
        pytest.skip("root can set every owner")
    with pytest.raises(StartError, match="failed to chown"):
        open_unix(path, 5, Ownership(uid=0))

    assert not os.path.exists(path)


def test_socket_that_nobody_listens_on_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)

    with closing(open_unix(path, 5, Ownership())), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_socket_that_somebody_listens_on_is_left_to_him(path: str) -> None:
    with closing(open_unix(path, 5, Ownership())):
        with pytest.raises(StartError) as caught:
            open_unix(path, 5, Ownership())
        assert os.path.exists(path)

    assert str(caught.value) == f"Another FPM instance seems to already listen on {path}"


def test_socket_whose_queue_is_full_is_somebody_elses(path: str) -> None:
    with closing(open_unix(path, 0, Ownership())):
        waiting = []
        try:
            while True:
                client = socket.socket(socket.AF_UNIX)
                waiting.append(client)
                client.setblocking(False)
                client.connect(path)
        except BlockingIOError:
            pass
        with pytest.raises(StartError, match="Another FPM instance"):
            open_unix(path, 5, Ownership())
        for client in waiting:
            client.close()


def test_file_that_is_no_socket_is_not_removed(path: str) -> None:
    Path(path).write_text("precious")

    with pytest.raises(StartError) as caught:
        open_unix(path, 5, Ownership())

    assert str(caught.value) == (
        f"unable to bind listening socket for address '{path}': Address already in use (98)"
        ": there is a file of that name that is no socket"
    )
    assert Path(path).read_text() == "precious"


def test_link_to_something_else_is_not_followed(path: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", path)

    with pytest.raises(StartError, match="Address already in use"):
        open_unix(path, 5, Ownership())
    assert (tmp_path / "precious").read_text() == "precious"


def test_directory_that_is_missing_is_told(tmp_path: Path) -> None:
    path = f"{tmp_path}/missing/fpm.sock"

    with pytest.raises(StartError) as caught:
        open_unix(path, 5, Ownership())

    assert str(caught.value) == (
        f"unable to bind listening socket for address '{path}': No such file or directory (2)"
    )
    assert caught.value.exit == Exit.CONFIG


@pytest.mark.parametrize("backlog", [-(2**31), -2, -1, 0, 1, 511, 2**31 - 1, 2**31, 2**63])
def test_every_backlog_is_taken(path: str, backlog: int) -> None:
    with closing(open_unix(path, backlog, Ownership())), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_listener_is_not_handed_to_programs_by_accident(path: str) -> None:
    with closing(open_unix(path, 5, Ownership())) as unix, closing(tcp("127.0.0.1", 0)) as port:
        assert not unix.socket.get_inheritable()
        assert not port.socket.get_inheritable()


def test_umask_of_the_process_is_given_back_after_a_failure(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with pytest.raises(StartError):
            open_unix(f"{tmp_path}/missing/fpm.sock", 5, Ownership())
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_directory_in_its_place_is_told(path: str) -> None:
    os.mkdir(path)

    with pytest.raises(StartError, match=r"already in use \(98\): there is a directory of that name$"):
        open_unix(path, 5, Ownership())


@pytest.mark.parametrize("target", ["missing", "stale"])
def test_link_that_leads_to_nobody_is_replaced(path: str, tmp_path: Path, target: str) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{tmp_path}/stale")
    os.symlink(tmp_path / target, path)

    with closing(open_unix(path, 5, Ownership())):
        assert not os.path.islink(path)
    assert os.path.exists(f"{tmp_path}/stale")


def test_link_to_a_live_socket_is_left(path: str, tmp_path: Path) -> None:
    os.symlink(tmp_path / "live", path)

    with closing(open_unix(f"{tmp_path}/live", 5, Ownership())):
        with pytest.raises(StartError, match="Another FPM instance seems to already listen"):
            open_unix(path, 5, Ownership())
        assert os.path.islink(path)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_socket_of_another_kind_is_somebody_elses(path: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(path)
        if kind == socket.SOCK_SEQPACKET:
            other.listen()
        with pytest.raises(StartError, match="Protocol wrong type for socket"):
            open_unix(path, 5, Ownership())
        assert os.path.exists(path)


def as_nobody(path: str) -> str:
    """What a user without rights is told who wants to listen."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            open_unix(path, 5, Ownership())
            os.write(theirs, b"opened")
        except BaseException as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    with os.fdopen(ours) as file:
        return file.read()


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
def test_live_socket_of_another_user_is_not_stolen_though_he_owns_the_folder(workspace: Path) -> None:
    path = f"{workspace}/fpm.sock"
    os.chown(workspace, 65534, 65534)

    with closing(open_unix(path, 5, Ownership(mode=0o600))):
        assert as_nobody(path).endswith(f"'{path}': Permission denied (13)")
        assert os.path.exists(path)


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
def test_folder_that_is_not_writable_is_told(workspace: Path) -> None:
    assert as_nobody(f"{workspace}/fpm.sock").endswith("Permission denied (13)")


def test_file_goes_when_the_listener_closes(path: str) -> None:
    open_unix(path, 5, Ownership()).close()

    assert not os.path.exists(path)


def test_file_of_another_one_stays_when_the_listener_closes(path: str) -> None:
    first = open_unix(path, 5, Ownership())
    os.unlink(path)
    with closing(open_unix(path, 5, Ownership())):
        first.close()
        assert os.path.exists(path)


def test_folder_that_is_gone_does_not_keep_the_listener_from_closing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    opened = open_unix(f"{folder}/fpm.sock", 5, Ownership())
    (folder / "fpm.sock").unlink()
    folder.rmdir()

    opened.close()


# ---------------------------------------------------------------- TCP


def tcp(host: str, port: int) -> Listener:
    return open_tcp(resolve(host, port)[0], 5, f"{host}:{port}")


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(listener.socket.getsockname()[:2])


def test_port_on_one_address_can_be_connected_to() -> None:
    with closing(tcp("127.0.0.1", 0)) as opened:
        connect(opened).close()
        assert opened.key == f"127.0.0.1:{opened.socket.getsockname()[1]}"


def test_connections_inherit_that_nothing_is_held_back() -> None:
    with closing(tcp("127.0.0.1", 0)) as opened, connect(opened):
        opened.socket.setblocking(True)
        accepted, _peer = opened.socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_port_that_is_taken_is_told(taken: int) -> None:
    with pytest.raises(StartError) as caught:
        tcp("127.0.0.1", taken)

    address = f"127.0.0.1:{taken}"
    assert str(caught.value) == (
        f"unable to bind listening socket for address '{address}': Address already in use (98)"
    )


def test_address_of_another_machine_is_told() -> None:
    with pytest.raises(StartError, match=r"192\.0\.2\.1:9000': Cannot assign requested address"):
        tcp("192.0.2.1", 9000)


def test_port_of_root_is_told_to_who_is_not_root() -> None:
    if ROOT or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("this user may bind every port")
    with pytest.raises(StartError, match="Permission denied"):
        tcp("127.0.0.1", 1)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 64 + ".invalid"])
def test_name_that_nobody_knows_is_told(name: str) -> None:
    with pytest.raises(StartError, match=rf"getaddrinfo: .*: '{name}:9000'"):
        resolve(name, 9000)


def test_place_that_a_name_stands_for_twice_is_named_once() -> None:
    places = resolve("localhost", 9000)

    assert len(places) == len(set(places))
    assert {place.key for place in places} <= {"127.0.0.1:9000", "::1:9000"}


def test_name_of_an_interface_is_not_part_of_the_key() -> None:
    assert Place(socket.AF_INET6, ("fe80::1%lo", 9000, 0, 1)).key == "fe80::1:9000"


@needs_ipv6
def test_ipv6_address_can_be_connected_to() -> None:
    with closing(tcp("::1", 0)) as opened:
        connect(opened).close()
        assert describe(opened.socket) == opened.key == f"::1:{opened.socket.getsockname()[1]}"


@needs_ipv6
def test_any_address_of_ipv6_serves_ipv4() -> None:
    with closing(tcp("::", 0)) as opened:
        port = opened.socket.getsockname()[1]
        for host in ("::1", "127.0.0.1"):
            socket.create_connection((host, port)).close()


def test_kernel_without_ipv6_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoIPv6(socket.socket):
        def __init__(self, family: int = -1, *rest: int) -> None:
            raise OSError(97, "Address family not supported by protocol")

    place = Place(socket.AF_INET6, ("::1", 9000, 0, 0))
    monkeypatch.setattr(socket, "socket", NoIPv6)
    with pytest.raises(StartError, match=r"socket\(\): Address family not supported by protocol \(97\)"):
        open_tcp(place, 5, "9000")
