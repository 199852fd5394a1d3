"""The sockets of a master: which pool gets which."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraal.config.model import LogLevel, Pool
from kraal.errors import Place, StartError
from kraal.fields import replace
from kraal.logs.error import ErrorLog
from kraal.master.listeners import Listeners, Retired
from kraal.reload.estate import Socket
from kraal.unix.inherited import Giver, Passed
from tests.support.servers import free_port

POOL = Pool(name="www", at=Place("pool.conf"))


class Log(ErrorLog):
    """Keeps lines."""

    def __init__(self) -> None:
        super().__init__(LogLevel.DEBUG)
        self.lines: list[str] = []

    def write(self, level: LogLevel, text: str) -> None:
        self.lines.append(f"{level.name}: {text}")


class Scene:
    """Listeners, their log, and a parent that opened sockets before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.listeners = Listeners(self.log)
        self.parents: list[socket.socket] = []

    def parent(self, name: str = "fpm.sock") -> socket.socket:
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(f"{self.folder}/{name}")
        opened.listen()
        self.parents.append(opened)
        return opened

    def passed(self, opened: socket.socket, name: str | None = None) -> Passed:
        return Passed(os.dup(opened.fileno()), Giver.SYSTEMD, name=name)

    def pool(self, name: str = "www", file: str = "fpm.sock") -> Pool:
        return replace(POOL, name=name, listen=f"{self.folder}/{file}")

    def refusal(self, *pools: Pool) -> str:
        with pytest.raises(StartError) as caught:
            self.listeners.open(pools)
        return str(caught.value)

    def where(self, pool: str) -> object:
        with socket.socket(fileno=os.dup(self.listeners.descriptors(pool)[0])) as opened:
            return opened.getsockname()

    def said(self, pattern: str) -> list[str]:
        return [line for line in self.log.lines if re.search(pattern, line)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.listeners.close()
    for opened in scene.parents:
        opened.close()


def tcp(listen: str, name: str = "www") -> Pool:
    return replace(POOL, name=name, listen=listen)


# ---------------------------------------------------------------- opened


def test_each_pool_has_its_socket_and_none_is_left(scene: Scene) -> None:
    scene.listeners.open([scene.pool("a", "a.sock"), scene.pool("b", "b.sock")])

    assert [scene.where(name) for name in "ab"] == [f"{scene.folder}/a.sock", f"{scene.folder}/b.sock"]
    scene.listeners.close()
    assert os.listdir(scene.folder) == []
    assert scene.log.lines == []


def test_failure_leaves_none_of_the_sockets_before_it(scene: Scene) -> None:
    scene.refusal(scene.pool("a", "a.sock"), scene.pool("b", "none/b.sock"))
    scene.listeners.close()

    assert os.listdir(scene.folder) == []


def test_name_of_several_addresses_is_had_at_the_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answer)

    with socket.create_server((hosts[0], port)):
        scene.listeners.open([tcp(f"many:{port}")])

    assert scene.where("www") == (hosts[1], port)
    assert scene.log.lines == [
        f"ERROR: unable to bind listening socket for address 'many:{port}': Address already in use (98)",
        f"WARNING: Found multiple addresses for many, {hosts[2]} ignored",
    ]


def test_name_of_which_no_address_can_be_had_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"198.51.100.{n}", 9000)) for n in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answer)
    text = "unable to bind listening socket for address 'far:9000': Cannot assign requested address (99)"

    assert scene.refusal(tcp("far:9000")) == text
    assert scene.log.lines == [f"ERROR: {text}"]


def test_name_and_address_of_one_place_are_refused_to_the_second_pool(scene: Scene) -> None:
    port = free_port()
    first = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)[0][4][0]
    written = f"[{first}]" if ":" in str(first) else first

    text = "[pool b] unable to set listen address as it's already used in another pool 'a'"
    assert scene.refusal(tcp(f"localhost:{port}", "a"), tcp(f"{written}:{port}", "b")) == text
    scene.listeners.close()
    assert scene.refusal(tcp(f"{written}:{port}", "a"), tcp(f"localhost:{port}", "b")) == text


def test_port_alone_falls_back_to_ipv4(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoIPv6(socket.socket):
        def __init__(self, family: int = -1, *rest: object, **more: object) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *rest, **more)  # type: ignore[arg-type]

    port = free_port()
    monkeypatch.setattr(socket, "socket", NoIPv6)
    scene.listeners.open([tcp(str(port))])

    assert scene.where("www") == ("0.0.0.0", port)
    assert scene.log.lines == ["NOTICE: Failed implicitly binding to ::, retrying with 0.0.0.0"]


def test_port_alone_that_is_taken_is_named_without_a_host(scene: Scene) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert scene.refusal(tcp(str(port))) == (
            f"unable to bind listening socket for address '{port}': Address already in use (98)"
        )


# ---------------------------------------------------------------- access control lists


@pytest.mark.parametrize("names", ["no-such-name", "root,no-such-name", "0", "root,", ","])
def test_member_that_nobody_knows_is_told(scene: Scene, names: str) -> None:
    wrong = names.split(",")[-1] if names != "," else ""

    user = scene.refusal(replace(scene.pool(), listen_acl_users=names))
    assert user == f"[pool www] cannot get uid for user '{wrong}': no such user"
    group = scene.refusal(replace(scene.pool(), listen_acl_groups=names))
    assert group == f"[pool www] cannot get gid for group '{wrong}': no such group"
    assert os.listdir(scene.folder) == []


def test_owner_beside_a_list_is_ignored_with_a_warning(scene: Scene) -> None:
    pool = replace(scene.pool(), listen_acl_users="root", listen_owner="www-data", listen_group="33")
    scene.listeners.open([pool])

    assert scene.log.lines == [
        "WARNING: [pool www] ACL set, listen.owner = 'www-data' is ignored",
        "WARNING: [pool www] ACL set, listen.group = '33' is ignored",
    ]


def test_members_mean_nothing_for_a_port(scene: Scene) -> None:
    scene.listeners.open([replace(tcp(f"127.0.0.1:{free_port()}"), listen_acl_users="no-such-name")])

    assert scene.log.lines == []


# ---------------------------------------------------------------- inherited


def test_socket_of_the_right_address_is_used(scene: Scene) -> None:
    passed = scene.passed(scene.parent())
    scene.listeners.open([scene.pool()], [passed])

    assert scene.listeners.descriptors("www")[0] == passed.fd
    assert scene.log.lines == [f'NOTICE: using inherited socket fd={passed.fd}, "{scene.folder}/fpm.sock"']
    scene.listeners.close()
    assert os.listdir(scene.folder) == ["fpm.sock"]


def test_socket_of_the_right_name_is_used_wherever_it_listens(scene: Scene) -> None:
    passed = scene.passed(scene.parent("other.sock"), "www")
    scene.listeners.open([scene.pool()], [passed])

    assert scene.listeners.descriptors("www")[0] == passed.fd
    assert scene.said("of that name") == [
        f'NOTICE: [pool www] listens on "{scene.folder}/other.sock", the inherited socket of that name,'
        f" not on {scene.folder}/fpm.sock"
    ]


def test_of_two_sockets_of_a_name_the_one_of_the_right_address_is_used(scene: Scene) -> None:
    first = scene.passed(scene.parent("other.sock"), "www")
    second = scene.passed(scene.parent(), "www")
    scene.listeners.open([scene.pool()], [first, second])

    assert scene.listeners.descriptors("www")[0] == second.fd
    assert len(scene.said("wanted by no pool")) == 1


def test_name_counts_more_than_the_address(scene: Scene) -> None:
    passed = scene.passed(scene.parent("a.sock"), "b")

    with pytest.raises(StartError, match="already used in another pool 'b'"):
        scene.listeners.open([scene.pool("a", "a.sock"), scene.pool("b", "b.sock")], [passed])


def test_name_that_no_pool_has_leaves_the_address(scene: Scene) -> None:
    passed = scene.passed(scene.parent(), "kraal.socket")
    scene.listeners.open([scene.pool()], [passed])

    assert scene.listeners.descriptors("www")[0] == passed.fd


def test_other_way_to_the_folder_is_the_same_address(scene: Scene) -> None:
    (scene.folder / "var").symlink_to(scene.folder)
    passed = scene.passed(scene.parent())
    scene.listeners.open([scene.pool(file="var/fpm.sock")], [passed])

    assert scene.listeners.descriptors("www")[0] == passed.fd


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "localhost:{}"])
def test_inherited_port_is_found_by_address_and_by_name(scene: Scene, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        passed = scene.passed(server)
        scene.listeners.open([tcp(address.format(server.getsockname()[1]))], [passed])
        assert scene.listeners.descriptors("www")[0] == passed.fd


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")])
def test_inherited_port_of_any_address_does_for_the_port_alone(
    scene: Scene, family: socket.AddressFamily, host: str
) -> None:
    with socket.create_server((host, 0), family=family) as server:
        passed = scene.passed(server)
        scene.listeners.open([tcp(str(server.getsockname()[1]))], [passed])
        assert scene.listeners.descriptors("www")[0] == passed.fd
    assert scene.said("Failed") == []


def test_socket_that_no_pool_wants_is_closed(scene: Scene) -> None:
    passed = scene.passed(scene.parent("other.sock"))
    scene.listeners.open([scene.pool()], [passed])

    text = f'inherited socket fd={passed.fd}, "{scene.folder}/other.sock" is wanted by no pool, it is closed'
    assert scene.said("wanted") == [f"NOTICE: {text}"]
    assert "other.sock" in os.listdir(scene.folder)


def test_unwanted_socket_of_php_fpm_is_removed(scene: Scene) -> None:
    fd = os.dup(scene.parent("other.sock").fileno())
    scene.listeners.open([scene.pool()], [Passed(fd, Giver.FPM, address=f"{scene.folder}/other.sock")])

    assert os.listdir(scene.folder) == ["fpm.sock"]


def test_descriptor_that_is_no_socket_is_told(scene: Scene) -> None:
    with open(scene.folder / "file", "w") as file:
        scene.listeners.open([scene.pool()], [Passed(file.fileno(), Giver.FPM, address="/x")])
        text = f"inherited descriptor fd={file.fileno()} is no listening socket, it is ignored"
        assert scene.log.lines == [f"WARNING: {text}"]
        os.fstat(file.fileno())


# ---------------------------------------------------------------- from master to master


def handed(scene: Scene, *pools: Pool) -> tuple[Socket, ...]:
    """What a successor is told of the sockets that a master has for these pools."""
    scene.listeners.open(pools)
    return tuple(
        replace(each, fd=os.dup(each.fd), shared=tuple(os.dup(fd) for fd in each.shared))
        for each in scene.listeners.sockets()
    )


def test_socket_of_an_address_that_stays_is_kept_and_its_file_is_not_removed(scene: Scene) -> None:
    (old,) = handed(scene, scene.pool())
    successor = Listeners(scene.log)
    successor.inherit([old])
    successor.open([scene.pool()])

    assert successor.descriptors("www") == (old.fd, *old.shared)
    assert scene.log.lines == [f'NOTICE: using inherited socket fd={old.fd}, "{scene.folder}/fpm.sock"']
    successor.close()
    assert os.listdir(scene.folder) == ["fpm.sock"]


def test_successor_that_gives_up_removes_what_it_has_opened(scene: Scene) -> None:
    old = handed(scene, scene.pool())
    successor = Listeners(scene.log)
    successor.inherit(old)
    successor.open([scene.pool("new", "new.sock")])

    assert sorted(os.listdir(scene.folder)) == ["fpm.sock", "new.sock"]
    successor.close()
    assert os.listdir(scene.folder) == ["fpm.sock"]


def test_socket_whose_file_is_gone_is_opened_anew(scene: Scene) -> None:
    (old,) = handed(scene, scene.pool())
    os.unlink(old.key)
    successor = Listeners(scene.log)
    successor.inherit([old])
    successor.open([scene.pool()])

    assert os.listdir(scene.folder) == ["fpm.sock"]
    successor.close()
    assert os.listdir(scene.folder) == []


def test_systemd_s_socket_stays_with_the_pool_of_its_name(scene: Scene) -> None:
    (old,) = handed(scene, scene.pool(file="other.sock"))
    successor = Listeners(scene.log)
    successor.inherit([replace(old, ours=False)])
    successor.open([scene.pool()])

    assert successor.descriptors("www")[0] == old.fd
    successor.close()


def test_restored_sockets_are_owned_again(scene: Scene) -> None:
    old = handed(scene, scene.pool())
    heir = Listeners(scene.log)
    heir.restore(old)

    assert [each.key for each in heir.sockets()] == [f"{scene.folder}/fpm.sock"]
    heir.close()
    assert os.listdir(scene.folder) == []


def test_mode_of_a_socket_in_use_is_changed(scene: Scene) -> None:
    scene.listeners.open([scene.pool()])
    scene.listeners.adjust([replace(scene.pool(), listen_mode="0604")])

    assert os.stat(f"{scene.folder}/fpm.sock").st_mode & 0o777 == 0o604
    assert scene.log.lines == []


def test_retired_socket_has_no_file_and_still_tells_who_waits(scene: Scene) -> None:
    (old,) = handed(scene, scene.pool())
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(old.key)
        retired = Retired(old)
        assert os.listdir(scene.folder) == []
        assert retired.has_waiting()
        with socket.socket(fileno=os.dup(old.fd)) as listening:
            listening.accept()[0].close()
        assert not retired.has_waiting()
    retired.close()
