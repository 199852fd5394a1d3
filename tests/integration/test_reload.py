"""Reload: new pools beside the old ones, no request lost, and a way back."""

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.reloads import (
    PATIENCE,
    Clients,
    Installation,
    command,
    configure,
    finish,
    reload,
    start_command,
)
from tests.support.servers import LONG_AGO, READY, free_port, reachable
from tests.support.wait import wait_until
from tests.support.workers import Held, ask, titled, wait_workers
from tests.support.workspace import ROOT

SHOW = "echo getenv('VERSION');"
FAILED = r"ERROR: reload failed: everything goes on as before"


def version(number: str) -> dict[str, str]:
    return {"env[VERSION]": number}


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


# ---------------------------------------------------------------- what it does


def test_reload_puts_a_new_configuration_in_force_in_the_same_process(start_server: StartServer) -> None:
    server = start_server(pool=version("one"))
    uri, socket_file = server.script("show.php", SHOW), identity(server.socket_file)
    assert server.fetch(uri).text == "one"
    configure(server, pool=version("two"))
    reload(server)
    assert server.fetch(uri).text == "two"
    assert server.process.poll() is None
    assert server.pid_file.read_text() == str(server.pid)
    assert identity(server.socket_file) == socket_file
    server.wait_log(rf'NOTICE: using inherited socket fd=\d+, "{server.address}"')
    server.wait_log(rf"NOTICE: fpm is running, pid {server.pid}$", times=2)


def test_reload_empties_the_opcache(start_server: StartServer) -> None:
    server = start_server(arguments=("-d", "opcache.validate_timestamps=0"))
    uri = server.script("page.php", "echo 'old';")
    assert server.fetch(uri).text == "old"
    (server.root / "page.php").write_text("<?php echo 'new';")
    os.utime(server.root / "page.php", (LONG_AGO + 10, LONG_AGO + 10))
    assert server.fetch(uri).text == "old"
    reload(server)
    assert server.fetch(uri).text == "new"


def test_running_request_is_finished_while_others_see_the_new_configuration(
    start_server: StartServer,
) -> None:
    server = start_server(pool=version("one"))
    uri, held = server.script("show.php", SHOW), Held(server)
    try:
        old = server.workers()
        configure(server, pool=version("two"))
        reload(server)
        assert server.fetch(uri).text == "two"
        response = held.release()
    finally:
        held.give_up()
    assert {int(response.text)} == old
    wait_workers(server, 1, without=old)


def test_pools_come_and_go(start_server: StartServer) -> None:
    server = start_server(more={"second": {}})
    uri, kept = server.script("show.php", "echo 'shown';"), identity(server.socket_file)
    second, third = (server.directory / f"{name}.sock" for name in ("second", "third"))
    assert ask(str(second), server, uri) == "shown"
    configure(server, more={"third": {}})
    reload(server)
    wait_until(lambda: third.exists() and reachable(str(third)), what="the new pool listens")
    assert ask(str(third), server, uri) == "shown"
    assert not second.exists()
    assert identity(server.socket_file) == kept


def test_log_goes_on_in_another_file(start_server: StartServer, directory: Path) -> None:
    first, second = directory / "first.log", directory / "second.log"
    server = start_server(options={"error_log": str(first)}, log_file=first)
    configure(server, options={"error_log": str(second)})
    if server.kind == "kraal":
        reload(server)
    else:
        server.send(signal.SIGUSR2)
    wait_until(lambda: second.exists() and READY in second.read_text(), at_most=PATIENCE, what="it is used")
    assert first.read_text().count(READY) == 1


# ---------------------------------------------------------------- nothing is lost


def test_no_request_is_lost_under_load(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2", "listen.backlog": "100"})
    uri = server.script("work.php", "usleep(1000); echo 'done';")
    with (
        Clients(server, uri, keep=False).asking(3) as fresh,
        Clients(server, uri, keep=True).asking(2) as kept,
    ):
        for _ in range(3):
            for clients in (fresh, kept):
                clients.wait(20)
            reload(server)
        for clients in (fresh, kept):
            clients.wait(20)
    assert fresh.lost + kept.lost == []


def test_connections_that_wait_for_a_removed_pool_are_answered(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"second": {}})
    address = f"{server.directory}/second.sock"
    uri = server.script("show.php", "echo 'shown';")
    with ExitStack() as stack:
        held = Held(server, connection=stack.enter_context(Connection(address)))
        waiting = [stack.enter_context(Connection(address)) for _ in range(3)]
        for connection in waiting:
            connection.send(packet(server.params(uri)))
        configure(server)
        reload(server)
        assert not os.path.exists(address)
        assert held.release().status == 200
        assert [connection.response().text for connection in waiting] == ["shown"] * 3
    wait_until(lambda: not titled(server, "kraal: pool second"), what="the old pool has left")


def test_workers_that_drain_have_as_long_as_they_like_but_for_a_stop(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    held = Held(server)
    (old,) = server.workers()
    for _ in range(2):
        reload(server)
    assert processes.alive(old)
    server.stop()
    held.give_up()
    assert not processes.alive(old)


def test_workers_that_drain_have_no_more_than_their_time_out(start_kind: StartKind) -> None:
    server = start_kind("kraal", options={"process_control_timeout": "1"})
    held = Held(server)
    old = server.workers()
    reload(server)
    wait_until(lambda: not any(map(processes.alive, old)), what="the old worker is ended")
    held.give_up()


# ---------------------------------------------------------------- when it fails


def broken(port: int) -> Iterator[tuple[Mapping[str, object], str]]:
    """Configurations that cannot be started, and what is said of them."""
    yield {"pool": {"nonsense": "1"}}, "unknown entry 'nonsense'"
    if ROOT:
        yield {"more": {"second": {"user": "vanished"}}}, "[pool second] cannot get uid for user 'vanished'"
    taken = {"listen": f"127.0.0.1:{port}"}
    text = f"unable to bind listening socket for address '127.0.0.1:{port}': Address already in use (98)"
    yield {"more": {"second": taken}}, text
    yield {"more": {"second": {}, "third": {"chdir": "/dev/null/none"}}}, "[pool third] "
    yield {"options": {"error_log": "/dev/null/none"}}, "failed to open error_log (/dev/null/none)"
    yield {"options": {"pid": "/dev/null/none"}}, "Unable to create the PID file (/dev/null/none)"


def test_reload_that_fails_changes_nothing_and_says_why(start_kind: StartKind) -> None:
    server = start_kind("kraal", log_file=None)
    uri, workers, before = server.script("pid.php", "echo getmypid();"), server.workers(), None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for number, (settings, reason) in enumerate(broken(taken.getsockname()[1]), start=1):
            configure(server, **settings)
            code, said = command(server)
            assert code == 70
            assert reason in said
            server.wait_log(FAILED, times=number)
            assert reason in server.log()
            assert {int(server.fetch(uri).text)} == workers
            before = before or processes.descriptors(server.pid).keys()
            assert processes.descriptors(server.pid).keys() == before
    assert not list(server.directory.glob("second.sock"))
    wait_until(lambda: processes.children(server.pid) == {_parent(workers)}, what="nothing else is left")
    configure(server)
    reload(server)
    assert {int(server.fetch(uri).text)} != workers


def _parent(workers: set[int]) -> int:
    (worker,) = workers
    return int(processes.status(worker)["PPid"])


def test_command_refuses_what_is_no_master(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    (worker,) = server.workers()
    for pid, code, reason in (
        (str(worker), 70, f"process {worker} is no master of kraal"),
        ("/nowhere", 70, "/nowhere: No such file or directory"),
        (str(server.directory / "fpm.conf"), 70, "there is no process id in it"),
    ):
        told, said = finish(start_command(server, pid=pid))
        assert (told, reason in said) == (code, True), said
    assert processes.alive(worker)
    assert finish(start_command(server, "--nonsense"))[0] == 64


def test_stop_during_a_reload_stops_everything(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"second": {}})
    configure(server, more={"third": {}})
    waiting = start_command(server)
    server.wait_log("using inherited socket")
    below = processes.descendants(server.pid)
    server.stop()
    server.check_gone(below)
    # Whether it had ended by then is a matter of luck.
    assert finish(waiting)[0] in (0, 70)
    assert not list(server.directory.glob("*.sock"))


# ---------------------------------------------------------------- at the same time


def test_reloads_that_overlap_end_with_the_last_configuration(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=version("zero"))
    uri = server.script("show.php", SHOW)
    commands = []
    for number in ("one", "two"):
        configure(server, pool=version(number))
        server.send(signal.SIGUSR2)
        commands.append(start_command(server))
    assert [finish(each) for each in commands] == [(0, "")] * 2
    assert server.fetch(uri).text == "two"
    reload(server)
    wait_until(lambda: len(processes.children(server.pid)) == 1, what="the old managers have left")


# ---------------------------------------------------------------- changed pools only


def test_pools_that_have_not_changed_stay_if_that_is_asked_for(
    start_kind: StartKind, directory: Path
) -> None:
    ini = directory / "more.ini"
    ini.write_text("precision = 10\n")
    environ = {"PHP_INI_SCAN_DIR": f":{directory}"}
    server = start_kind("kraal", environ=environ, pool={"pm.max_children": "2"}, more={"second": {}})
    uri = server.script("show.php", "echo getmypid(), ' ', ini_get('precision');")
    second = f"{server.directory}/second.sock"
    workers, before = wait_workers(server, 3), ask(second, server, uri)
    configure(server, pool={"pm.max_children": "2"}, more={"second": {"pm.max_requests": "1000"}})
    assert command(server, "--changed") == (0, "")
    assert ask(second, server, uri) != before
    wait_until(lambda: len(server.workers() & workers) == 2, what="the others are the same")
    ini.write_text("precision = 111\n")
    assert command(server, "--changed") == (0, "")
    assert server.fetch(uri).text.endswith(" 111")
    wait_workers(server, 3, without=workers)


def test_manager_that_was_kept_is_still_looked_after(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    (worker,) = server.workers()
    assert command(server, "--changed") == (0, "")
    manager = _parent({worker})
    os.kill(manager, signal.SIGKILL)
    server.wait_log(rf"WARNING: \[pool www\] manager {manager} exited .*; starting another$")
    wait_workers(server, 1, without={worker})


# ---------------------------------------------------------------- files


def test_owner_and_mode_of_a_socket_follow_the_configuration(start_server: StartServer) -> None:
    server = start_server()
    before = identity(server.socket_file)
    owner = {"listen.owner": "nobody", "listen.group": "nogroup"} if ROOT else {}
    configure(server, pool={"listen.mode": "0640", **owner})
    reload(server)
    assert server.socket_file.stat().st_mode & 0o777 == 0o640
    assert server.socket_file.owner() == ("nobody" if ROOT else Path(server.directory).owner())
    assert identity(server.socket_file) == before


def test_socket_file_that_somebody_removed_is_there_again(start_server: StartServer) -> None:
    server = start_server()
    server.socket_file.unlink()
    reload(server)
    assert server.fetch(server.script("show.php", "echo 'shown';")).text == "shown"


def test_pid_file_moves_with_the_configuration(start_server: StartServer) -> None:
    server = start_server()
    other = server.directory / "other.pid"
    configure(server, options={"pid": str(other)})
    reload(server)
    assert other.read_text() == str(server.pid)
    assert not server.pid_file.exists()
    server.stop()
    assert not other.exists()


# ---------------------------------------------------------------- upgrade


def test_reload_runs_what_was_installed_meanwhile_and_what_is_broken_never(
    start_kind: StartKind, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(directory / "installation")
    monkeypatch.setenv("KRAAL_EXECUTABLE", installation.command)
    server = start_kind("kraal")
    held = Held(server)
    (old,) = server.workers()
    for module in ("master/title.py", "worker/worker.py", "manager/manager.py"):
        installation.change(module, lambda text: text.replace('"kraal: ', '"renewed: '))
    reload(server)
    assert processes.command_line(server.pid).startswith("renewed: master process")
    wait_until(lambda: titled(server, "renewed: pool www"), what="the new worker has its title")
    assert processes.command_line(old) == "kraal: pool www"
    assert int(held.release().text) == old

    for module in ("master/master.py", "reload/successor.py"):
        good = (installation.package / module).read_text()
        installation.change(module, lambda text: text + "\nthis is no Python\n")
        code, said = command(server)
        assert code == 70, module
        assert "the new master cannot start: SyntaxError" in said
        assert server.fetch(server.script(f"{Path(module).stem}.php", "echo 'shown';")).text == "shown"
        installation.change(module, lambda _text, good=good: good)  # type: ignore[misc]
    reload(server)


# ---------------------------------------------------------------- systemd


def test_systemd_hears_of_start_reload_and_stop(start_kind: StartKind, directory: Path) -> None:
    heard: list[str] = []
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(f"{directory}/notify")
        line.settimeout(PATIENCE)

        def listen() -> None:
            while not heard or "STOPPING" not in heard[-1]:
                heard.append(line.recv(4096).decode())

        listener = threading.Thread(target=listen)
        listener.start()
        environ = {"NOTIFY_SOCKET": f"{directory}/notify"}
        server = start_kind("kraal", environ=environ, pool={"clear_env": "no"})
        assert server.fetch(server.script("show.php", "var_dump(getenv('NOTIFY_SOCKET'));")).text == (
            "bool(false)\n"
        )
        reload(server)
        configure(server, pool={"nonsense": "1"})
        assert command(server)[0] == 70
        server.stop()
        listener.join()
    words = [message.split("\n")[0] for message in heard]
    assert words == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert all("MONOTONIC_USEC=" in each for each in heard if each.startswith("RELOADING"))


def test_port_is_kept(start_server: StartServer) -> None:
    server = start_server(tcp=True)
    uri = server.script("show.php", "echo 'shown';")
    configure(server, more={"second": {"listen": f"127.0.0.1:{free_port()}"}})
    reload(server)
    assert server.fetch(uri).text == "shown"


@pytest.mark.skipif(not ROOT, reason="only root may lower a nice value")
def test_nice_values_after_a_reload_are_those_of_the_configuration(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    everywhere = {"process.priority": "3"}
    for options, pool in (
        ({}, {}),
        ({}, {"process.priority": "7"}),
        (everywhere, {}),
        (everywhere, {}),
        ({}, {}),
    ):
        configure(server, options=options, pool=pool)
        workers = server.workers()
        reload(server)
        wait_workers(server, 1, without=workers)
        priority = int(options.get("process.priority", 0)), int(pool.get("process.priority", 0))
        assert os.getpriority(os.PRIO_PROCESS, server.pid) == priority[0]
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in server.workers()} == {max(priority)}
