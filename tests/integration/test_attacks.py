"""A pool in the hands of an attacker: what it cannot do to other pools, to managers and to the master.

The attacker runs any code as the pool's user.  What may be done to whom, and what php-fpm does not prevent
either, is in docs/security.md.
"""

import json
import os
import signal
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.attacks import ANY_CODE, CONNECT, FILES, INHERITED, LEAVE_MANY, READ, SEND, STOP, VANDALISM
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import ask, manager
from tests.support.workspace import ROOT

pytestmark = pytest.mark.skipif(not ROOT, reason="pools have users of their own under root only")

# Of another user, and of the attacker's.
VICTIM = {"user": "games", "group": "games", "listen.mode": "0600", "env[SECRET]": "victim"}
NEIGHBOUR = {"env[SECRET]": "neighbour"}
POOLS = {"pool": ANY_CODE, "more": {"victim": VICTIM, "neighbour": NEIGHBOUR}}
SHARED = POOLS


def try_(server: FpmServer, name: str, code: str, **query: object) -> list[str]:
    """Let the attacker's pool run this; what it tells was done."""
    path = server.root / name
    uri = f"/{name}" if path.exists() else server.script(name, code)
    done: list[str] = json.loads(server.fetch(f"{uri}?{urlencode(query, doseq=True)}").body)
    return done


def worker_of(server: FpmServer, pool: str) -> int:
    uri = "/pid.php" if (server.root / "pid.php").exists() else server.script("pid.php", "echo getmypid();")
    return int(ask(f"{server.directory}/{pool}.sock", server, uri))


def others(server: FpmServer) -> dict[str, int]:
    """The processes that the attacker has no business with."""
    found = {"master": server.pid} | {pool: worker_of(server, pool) for pool in ("victim", "neighbour")}
    if server.kind == "kraal":
        found |= {f"{pool}'s manager": manager(server, pool) for pool in ("www", "victim", "neighbour")}
    return found


def test_no_process_of_others_can_be_looked_into(shared_server: FpmServer) -> None:
    """Not even the pool's own manager, nor that of another pool of the same user."""
    for name, pid in others(shared_server).items():
        assert (name, try_(shared_server, "read.php", READ, pid=pid)) == (name, [])


def test_no_process_of_other_users_can_be_stopped_or_slowed_down(shared_server: FpmServer) -> None:
    """Those of its own user can be, in php-fpm as well."""
    for name, pid in others(shared_server).items():
        if name in ("master", "victim", "victim's manager"):
            assert (name, try_(shared_server, "stop.php", STOP, pid=pid)) == (name, [])
            assert processes.alive(pid)


def test_files_of_the_master_are_out_of_reach(shared_server: FpmServer) -> None:
    files = [f"{shared_server.directory}/error.log", f"{shared_server.directory}/victim.sock"]
    assert try_(shared_server, "files.php", FILES, **{"files[]": files}) == []


def test_pid_file_can_be_read_and_nothing_else(shared_server: FpmServer) -> None:
    path = str(shared_server.pid_file)
    assert try_(shared_server, "pidfile.php", FILES, **{"files[]": [path]}) == [f"r {path}"]


def test_socket_lets_in_whom_its_mode_lets(shared_server: FpmServer) -> None:
    sockets = [f"{shared_server.directory}/{pool}.sock" for pool in ("victim", "neighbour")]
    assert try_(shared_server, "connect.php", CONNECT, **{"sockets[]": sockets}) == sockets[1:]


def identities(pid: int) -> set[tuple[int, int]]:
    """Of all open files but devices and folders, and what has no identity of its own."""
    found = set()
    for fd, name in processes.descriptors(pid).items():
        if not name.startswith(("/dev/", "anon_inode:")):
            with suppress(FileNotFoundError):
                status = os.stat(f"/proc/{pid}/fd/{fd}")
                if not stat.S_ISDIR(status.st_mode):
                    found.add((status.st_dev, status.st_ino))
    return found


def test_workers_have_nothing_open_that_is_another_pool_s(start_server: StartServer) -> None:
    """At the start, and when a reload has passed everything from master to master."""
    server = start_server(**POOLS)
    for round_ in range(2):
        own = identities(
            int(server.fetch("/pid.php" if round_ else server.script("pid.php", "echo getmypid();")).text)
        )
        strangers = [pid for name, pid in others(server).items() if name not in ("master", "www's manager")]
        assert all(not own & identities(pid) for pid in strangers)
        if server.kind == "kraal":
            # The socket, the two ends of the pair for kept connections, the scoreboard and the ledger.
            assert len(own & identities(server.pid)) == 5
            assert not identities(manager(server, "victim")) & identities(manager(server, "www"))
        if not round_:
            server.send(signal.SIGUSR2)
            server.wait_log("ready to handle connections", times=2)
            wait_until(lambda: len(processes.children(server.pid)) == 3, what="the old ones are gone")


def test_chrooted_workers_have_no_folder_outside_open(start_server: StartServer, directory: Path) -> None:
    """It would be a way out."""
    site = directory / "jail" / "site"
    site.mkdir(parents=True)
    server = start_server(pool={"chroot": str(site.parent)}, root=site)
    params = server.params(server.script("own.php", "echo getmypid();")) | {
        "SCRIPT_FILENAME": "/site/own.php"
    }
    with Connection(server.address) as connection:
        connection.send(packet(params))
        pid = int(connection.response().text)
    names = {os.readlink(f"/proc/{pid}/cwd"), *processes.descriptors(pid).values()}
    folders = {name for name in names if name.startswith("/") and Path(name).is_dir()}
    assert folders
    assert all(f"{name}/".startswith(f"{site.parent}/") for name in folders)


def test_programs_that_scripts_start_inherit_nothing(shared_server: FpmServer) -> None:
    """Neither descriptors, but for the script itself that PHP has open, nor rights."""
    lines = shared_server.fetch(shared_server.script("inherited.php", INHERITED)).text.splitlines()
    files = {line.partition(" -> ")[2] for line in lines if " -> " in line}
    assert [name for name in files if "socket:" in name or "memfd:" in name or "anon_inode:" in name] == []
    assert {line.split()[1] for line in lines if line.startswith("Cap")} == {"0" * 16}


def test_script_cannot_free_itself_through_the_socket_of_its_pool(start_server: StartServer) -> None:
    """PHP_ADMIN_VALUE comes from whoever can connect, and that may be the pool itself."""
    server = start_server(pool={"pm.max_children": "2", "php_admin_value[open_basedir]": "/tmp"})
    free = server.params(
        server.script("free.php", "echo @file_get_contents('/etc/passwd') ? 'free' : 'caught';")
    )
    free |= {
        "PHP_ADMIN_VALUE": "open_basedir=/",
        "PHP_VALUE": "open_basedir=/",
    }
    uri = server.script("send.php", SEND)
    query = urlencode({"to": f"unix://{server.address}", "packet": packet(free).hex()})
    assert b"caught" in server.fetch(f"{uri}?{query}").body


@pytest.mark.parametrize("what", VANDALISM)
def test_what_a_pool_does_to_itself_no_other_pool_notices(start_server: StartServer, what: str) -> None:
    server = start_server(**POOLS)
    before = others(server)
    with suppress(AssertionError, ConnectionError, EOFError, TimeoutError):
        server.fetch(server.script("vandal.php", VANDALISM[what] + "echo 'done';"), timeout=2)
    if server.kind == "kraal" and what == "its manager killed":
        server.wait_log(r"\[pool www\] manager \d+ exited on signal 9")
    after = others(server)
    for name in ("victim", "victim's manager", "master"):
        assert after.get(name) == before.get(name)
    assert server.log_lines(r"^\[[^]]*\] \w+: \[pool victim\]") == []
    if server.kind == "kraal":
        os.kill(after["www's manager"], signal.SIGCONT)


def test_processes_that_a_pool_leaves_behind_do_not_use_up_the_master_s_descriptors(
    start_kind: StartKind,
) -> None:
    """It looks after what managers that were killed leave behind."""
    server = start_kind("kraal", options={"rlimit_files": "128"}, **POOLS)
    before, old = others(server), manager(server, "www")
    with suppress(AssertionError, ConnectionError, EOFError, TimeoutError):
        server.fetch(server.script("many.php", LEAVE_MANY), timeout=2)
    server.wait_log(r"\[pool www\] manager \d+ exited on signal 9")
    assert manager(server, "www") != old
    assert {name: others(server)[name] for name in ("victim", "master")} == {
        name: before[name] for name in ("victim", "master")
    }
    left = {pid for pid in processes.orphans() if processes.command_line(pid) == "kraal: pool www"}
    processes.kill(left)
    wait_until(lambda: not left & processes.orphans(), what="what was left behind is gone")
