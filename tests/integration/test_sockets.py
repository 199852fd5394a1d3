"""Sockets: addresses, owners, and who may connect."""

import grp
import pwd
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.support.running import PING, needs_ipv6, ping, running
from tests.support.servers import READY, Kind, free_port
from tests.support.workspace import ROOT, give

needs_root = pytest.mark.skipif(not ROOT, reason="only root may give files away and become others")


# ---------------------------------------------------------------- addresses


@needs_ipv6
@pytest.mark.parametrize(
    ("listen", "hosts"),
    [
        ("127.0.0.1:{}", ["127.0.0.1"]),
        ("[::1]:{}", ["::1"]),
        ("[::]:{}", ["::1", "127.0.0.1"]),
        ("0.0.0.0:{}", ["127.0.0.1", "127.0.0.2"]),
        ("{}", ["::1", "127.0.0.1", "127.0.0.2"]),
    ],
)
def test_server_listens_on(server_kind: Kind, directory: Path, listen: str, hosts: list[str]) -> None:
    port = free_port()
    with running(server_kind, directory, {"listen": listen.format(port)}) as server:
        server.wait_log(READY)
        assert [ping((host, port)) for host in hosts] == ["pong"] * len(hosts)


def test_name_is_resolved(server_kind: Kind, directory: Path) -> None:
    port = free_port()
    with running(server_kind, directory, {"listen": f"localhost:{port}"}) as server:
        server.wait_log(READY)
        with socket.create_connection(("localhost", port)):
            pass
        found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
        lines = [line for line in server.log().splitlines() if "Found multiple addresses" in line]
        assert len(lines) == len({address for *_rest, address in found}) - 1


def test_name_that_nobody_knows_is_told(server_kind: Kind, directory: Path) -> None:
    with running(server_kind, directory, {"listen": "no-such-host.invalid:9000"}) as server:
        assert "ERROR: getaddrinfo: " in server.failure()


def test_port_that_is_taken_on_all_addresses_is_told(server_kind: Kind, directory: Path) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        with running(server_kind, directory, {"listen": str(port)}) as server:
            said = server.failure()
    assert "NOTICE: Failed implicitly binding to ::, retrying with 0.0.0.0" in said
    assert f"ERROR: unable to bind listening socket for address '{port}': Address already in use (98)" in said


def test_one_address_for_two_pools_is_refused(server_kind: Kind, directory: Path) -> None:
    other = {"b": {"listen": f"{directory}/fpm.sock"}}
    with running(server_kind, directory, {}, more=other) as server:
        text = "[pool b] unable to set listen address as it's already used in another pool 'www'"
        assert text in server.failure()


# ---------------------------------------------------------------- socket files


def owners(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@needs_root
@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({}, (0, 0, 0o666)),
        ({"listen.mode": ""}, (0, 0, 0o660)),
        ({"listen.mode": "0600", "listen.owner": "1234", "listen.group": "4321"}, (1234, 4321, 0o600)),
        ({"listen.owner": "1234"}, (1234, 0, 0o666)),
        ({"listen.group": "4321"}, (0, 4321, 0o666)),
        ({"listen.owner": "nobody"}, (65534, 65534, 0o666)),
        ({"listen.owner": "nobody", "listen.group": "root"}, (65534, 0, 0o666)),
    ],
)
def test_socket_file_has_owner_group_and_mode(
    start_server: StartServer, directives: dict[str, str], expected: tuple[int, int, int]
) -> None:
    assert owners(start_server(pool=directives).socket_file) == expected


@needs_root
def test_owner_whom_only_root_may_name_is_told(server_kind: Kind, directory: Path) -> None:
    give(directory, "nobody")
    pool = {"user": "", "group": "", "listen.owner": "root"}
    with running(server_kind, directory, pool, user="nobody") as server:
        text = f"failed to chown() the socket '{directory}/fpm.sock': Operation not permitted (1)"
        assert f"ERROR: [pool www] {text}" in server.failure()


def entries(path: Path) -> list[str]:
    command = shutil.which("getfacl")
    if command is None:
        pytest.skip("getfacl is not installed: apt-get install acl")
    done = subprocess.run([command, "-cpn", path], capture_output=True, text=True, check=True)
    return done.stdout.split()


@needs_root
def test_users_and_groups_of_a_list_may_connect(start_server: StartServer) -> None:
    server = start_server(
        pool={
            "listen.acl_users": "nobody,daemon",
            "listen.acl_groups": "adm",
            "listen.mode": "0600",
            "listen.owner": "www-data",
            "listen.group": "www-data",
        }
    )
    user, group = pwd.getpwnam("daemon").pw_uid, grp.getgrnam("adm").gr_gid

    assert entries(server.socket_file) == [
        "user::rw-",
        f"user:{user}:rw-",
        "user:65534:rw-",
        "group::---",
        f"group:{group}:rw-",
        "mask::rw-",
        "other::---",
    ]
    assert owners(server.socket_file)[:2] == (0, 0)
    for name in ("owner", "group"):
        text = rf"WARNING: \[pool www\] ACL set, listen\.{name} = 'www-data' is ignored$"
        assert len(server.log_lines(text)) == 1


@pytest.mark.parametrize("name", ["no-such-name", "0"])
def test_member_of_a_list_that_nobody_knows_is_told(server_kind: Kind, directory: Path, name: str) -> None:
    with running(server_kind, directory, {"listen.acl_users": name}) as server:
        assert f"ERROR: [pool www] cannot get uid for user '{name}': " in server.failure()
    with running(server_kind, directory, {"listen.acl_groups": name}) as server:
        assert f"ERROR: [pool www] cannot get gid for group '{name}': " in server.failure()


def test_socket_that_nobody_listens_on_is_replaced(server_kind: Kind, directory: Path) -> None:
    path = f"{directory}/fpm.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with running(server_kind, directory, {}) as server:
        server.wait_log(READY)
        assert ping(path) == "pong"


def test_link_that_leads_nowhere_is_replaced(server_kind: Kind, directory: Path) -> None:
    path = directory / "fpm.sock"
    path.symlink_to(directory / "missing")
    with running(server_kind, directory, {}) as server:
        server.wait_log(READY)
        assert ping(str(path)) == "pong"
        assert not path.is_symlink()


def test_socket_that_somebody_listens_on_is_left_to_him(server_kind: Kind, directory: Path) -> None:
    path = f"{directory}/fpm.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()
        with running(server_kind, directory, {}) as server:
            text = f"ERROR: Another FPM instance seems to already listen on {path}"
            assert text in server.failure()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


@needs_root
def test_live_socket_that_may_not_be_asked_is_left(server_kind: Kind, directory: Path) -> None:
    path = directory / "fpm.sock"
    give(directory, "nobody")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        path.chmod(0o600)
        pool = {"user": "", "group": ""}
        with running(server_kind, directory, pool, user="nobody") as server:
            assert "Permission denied (13)" in server.failure()
        assert path.exists()


def test_file_that_is_no_socket_is_left(server_kind: Kind, directory: Path) -> None:
    path = directory / "fpm.sock"
    path.write_text("precious")
    with running(server_kind, directory, {}) as server:
        assert f"address '{path}': Address already in use (98)" in server.failure()
    assert path.read_text() == "precious"


def test_directory_in_the_place_of_a_socket_is_told(server_kind: Kind, directory: Path) -> None:
    (directory / "fpm.sock").mkdir()
    with running(server_kind, directory, {}) as server:
        assert f"address '{directory}/fpm.sock': Address already in use (98)" in server.failure()


def test_folder_that_is_missing_is_told(server_kind: Kind, directory: Path) -> None:
    path = f"{directory}/missing/fpm.sock"
    with running(server_kind, directory, {"listen": path}) as server:
        text = f"ERROR: unable to bind listening socket for address '{path}': No such file or directory (2)"
        assert text in server.failure()


def test_path_that_is_too_long_is_told(server_kind: Kind, directory: Path) -> None:
    name = "x" * 120
    with running(server_kind, directory, {"listen": f"{directory}/{name}"}) as server:
        assert "is longer than 107 bytes" in server.failure()


@pytest.mark.parametrize("backlog", [-1, 0, 1, 511, 2147483647])
def test_every_backlog_serves(server_kind: Kind, directory: Path, backlog: int) -> None:
    port = free_port()
    pool = {"listen": f"127.0.0.1:{port}", "listen.backlog": str(backlog)}
    with running(server_kind, directory, pool) as server:
        server.wait_log(READY)
        assert ping(("127.0.0.1", port)) == "pong"
        most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert queue_length(port) == (most if backlog < 0 else min(backlog, most))


def queue_length(port: int) -> int:
    """The length of the queue of a listening port."""
    command = shutil.which("ss")
    if command is None:
        pytest.skip("ss is not installed: apt-get install iproute2")
    done = subprocess.run([command, "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[2])


# ---------------------------------------------------------------- allowed clients


def drops(address: str) -> str:
    return f"ERROR: Connection disallowed: IP address '{address}' has been dropped."


@needs_ipv6
@pytest.mark.parametrize(
    ("clients", "allowed", "dropped"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["::1"]),
        ("::1", ["::1"], ["127.0.0.1"]),
        ("::1,127.0.0.1", ["::1", "127.0.0.1"], []),
        ("xxx,127.0.0.1", ["127.0.0.1"], ["::1"]),
        ("127.0.0.2", [], ["127.0.0.1", "::1"]),
        ("xxx", [], ["127.0.0.1", "::1"]),
        ('""', [], ["127.0.0.1", "::1"]),
    ],
)
def test_only_allowed_clients_are_served(
    server_kind: Kind, directory: Path, clients: str, allowed: list[str], dropped: list[str]
) -> None:
    port = free_port()
    pool = {"listen": f"[::]:{port}", "listen.allowed_clients": clients, "catch_workers_output": "yes"}
    with running(server_kind, directory, pool) as server:
        server.wait_log(READY)
        for host in allowed:
            assert ping((host, port)) == "pong"
        for host in dropped:
            assert ping((host, port)) == ""
            server.wait_log(f'said into stderr: "{drops(host)}"')
        for host in allowed:
            assert drops(host) not in server.log()
        if clients in ("xxx", '""'):
            name = clients.strip('"')
            server.wait_log(f"stderr: \"ERROR: Wrong IP address '{name}' in listen.allowed_clients\"")
            server.wait_log('stderr: "ERROR: There are no allowed addresses"')


@needs_ipv6
@pytest.mark.parametrize(
    ("clients", "allowed", "dropped"),
    [
        ("127.0.0.0/8", ["127.0.0.1"], ["::1"]),
        ("127.0.0.0/32, ::/127", ["::1"], ["127.0.0.1"]),
        ("::/0", ["::1"], ["127.0.0.1"]),
        ("0.0.0.0/0", ["127.0.0.1"], ["::1"]),
    ],
)
def test_networks_are_allowed_as_well(
    server_kind: Kind, directory: Path, clients: str, allowed: list[str], dropped: list[str]
) -> None:
    port = free_port()
    with running(
        server_kind, directory, {"listen": f"[::]:{port}", "listen.allowed_clients": clients}
    ) as server:
        server.wait_log(READY)
        assert [ping((host, port)) for host in (*allowed, *dropped)] == ["pong"] * len(allowed) + [""] * len(
            dropped
        )


def test_clients_over_a_socket_file_are_not_asked(start_server: StartServer) -> None:
    server = start_server(pool=PING | {"listen.allowed_clients": "127.0.0.2"})

    assert ping(server.address) == "pong"
