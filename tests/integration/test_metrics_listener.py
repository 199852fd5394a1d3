"""`metrics.listen`: figures, health and readiness over HTTP, served by a process that has no rights."""

import os
import random
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support import metrics, processes, reloads
from tests.support.attacks import ANY_CODE, VANDALISM
from tests.support.fastcgi import Address
from tests.support.metrics import figures
from tests.support.servers import FpmServer, free_port
from tests.support.wait import wait_until
from tests.support.workers import ask, manager, titled
from tests.support.workspace import ROOT, workspace

READER, FRONT = "kraal: metrics (reader)", "kraal: metrics (front)"


def exchange(address: Address, content: bytes, *, timeout: float = 20.0) -> bytes:
    """Send something and read until the end."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        received = b""
        try:
            connection.sendall(content)
            while more := connection.recv(1 << 16):
                received += more
        except (BrokenPipeError, ConnectionResetError):
            pass
        return received


def get(address: Address, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and the body."""
    whole = exchange(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = whole.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), whole
    return int(head.split(b" ")[1]), body.decode()


def status(address: Address, path: str) -> int:
    return get(address, path)[0]


def listening(address: tuple[str, int]) -> dict[str, str]:
    return {"metrics.listen": f"{address[0]}:{address[1]}"}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FpmServer, Address]]:
    """A server that comes to no harm, and where it answers."""
    address = ("127.0.0.1", free_port())
    with workspace() as directory:
        server = FpmServer.start("kraal", directory, options=listening(address))
        yield server, address
        server.stop()


Shared = tuple[FpmServer, Address]


def test_figures_are_those_of_the_command_and_how_pools_are(shared: Shared) -> None:
    server, address = shared
    more = {("kraal_up", ()): 1, ("kraal_pool_up", ("www",)): 1}

    def alike() -> bool:
        """Those of OPcache come a second after the start: between two looks, perhaps."""
        code, text = get(address, "/metrics")
        assert code == 200
        assert more.items() <= figures(text).items()
        return figures(text).keys() == figures(metrics.text(server)).keys() | more.keys()

    wait_until(alike, what="both show the same figures")


def test_health_and_readiness_are_said_without_a_worker(shared: Shared) -> None:
    _server, address = shared

    assert get(address, "/health") == get(address, "/ready") == (200, "ok\n")
    assert get(address, "/ready", "HEAD") == (200, "")
    assert status(address, "/other") == 404
    assert get(address, "/metrics", "POST")[0] == 405


def test_process_that_strangers_talk_to_has_no_rights(shared: Shared) -> None:
    server, _address = shared
    (front,), (reader,) = titled(server, FRONT), titled(server, READER)
    found = processes.status(front)

    assert found["PPid"] == str(reader)
    assert found["NoNewPrivs"] == "1"
    if ROOT:
        assert set(found["Uid"].split()) == {"65534"}
        assert set(found["Gid"].split()) == {"65534"}
        assert found["Groups"].split() == []
        assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == 0
    opened = {os.readlink(path) for path in Path(f"/proc/{front}/fd").iterdir()}
    assert [name for name in opened if "memfd" in name] == []


def test_silent_clients_keep_nobody_out(shared: Shared) -> None:
    _server, address = shared
    crowd = [socket.create_connection(address) for _ in range(150)]  # type: ignore[arg-type]
    try:
        for each in crowd[::2]:
            each.sendall(b"GET /metrics HTT")
        assert status(address, "/health") == 200
    finally:
        for each in crowd:
            each.close()


def test_nothing_that_is_sent_harms_it(shared: Shared) -> None:
    server, address = shared
    chance = random.Random(7)
    before = titled(server, FRONT) | titled(server, READER)
    words = [
        b"GET ",
        b"/metrics",
        b" HTTP/1.1",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff\xfe",
        b"A" * 9000,
        b"%00",
    ]
    for _ in range(60):
        content = b"".join(chance.choices([*words, chance.randbytes(20)], k=8)) + b"\r\n\r\n"
        answer = exchange(address, content)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")

    assert status(address, "/health") == 200
    assert titled(server, FRONT) | titled(server, READER) == before


LIES = {
    "everything": VANDALISM["ones in shared memory"],
    # What says whose memory it is is left as it was, so that the rest is read.
    "figures": VANDALISM["ones in shared memory"]
    .replace("- $from", "- $from - 16")
    .replace("', $from", "', $from + 16"),
}


@pytest.mark.skipif(not ROOT, reason="pools have users of their own under root only")
@pytest.mark.parametrize("what", LIES)
def test_pool_that_writes_nonsense_into_its_memory_lies_of_itself_only(
    start_kind: StartKind, what: str
) -> None:
    address = ("127.0.0.1", free_port())
    victim = {"user": "games", "group": "games"}
    server = start_kind("kraal", options=listening(address), pool=ANY_CODE, more={"victim": victim})
    uri = server.script("plain.php", "echo 1;")
    assert ask(f"{server.directory}/victim.sock", server, uri) == "1"
    wait_until(lambda: metrics.answers(metrics.now(server.pid), "victim") == {"2xx": 1}, what="it is counted")
    honest = {key for key in metrics.now(server.pid) if key[1][:1] == ("victim",)}
    with suppress(AssertionError, ConnectionError, EOFError, TimeoutError):
        server.fetch(server.script("vandal.php", LIES[what] + "echo 'done';"), timeout=2)

    code, text = get(address, "/metrics")
    found = figures(text)
    assert code == 200
    assert honest <= found.keys()
    assert metrics.answers(found, "victim") == {"2xx": 1}
    assert (found.get(("kraal_requests_total", ("www", "5xx")), 0) > 1e19) is (what == "figures")
    assert all(0 <= value < 1e21 for (_name, labels), value in found.items() if labels[:1] == ("victim",))
    assert status(address, "/ready") == 200
    assert status(address, "/health") == 200


def test_client_that_leaves_is_forgotten(shared: Shared) -> None:
    server, address = shared
    (front,) = titled(server, FRONT)
    for _ in range(20):
        with socket.create_connection(address) as connection:  # type: ignore[arg-type]
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")

    def sockets() -> int:
        return sum(name.startswith("socket:") for name in processes.descriptors(front).values())

    wait_until(lambda: sockets() == 2, what="only the listener and the line to the reader are open")


@pytest.mark.parametrize("which", [FRONT, READER])
def test_process_that_dies_is_replaced(start_kind: StartKind, which: str) -> None:
    address = ("127.0.0.1", free_port())
    server = start_kind("kraal", options=listening(address))
    (before,) = wait_until(lambda: titled(server, which), what="it runs")
    assert status(address, "/health") == 200
    os.kill(before, signal.SIGKILL)

    wait_until(lambda: titled(server, which) - {before}, what="another one runs")
    assert status(address, "/health") == 200
    server.wait_log(r"metrics: process \d+ exited .*; starting another")


def test_nothing_of_it_outlives_the_master(start_kind: StartKind) -> None:
    server = start_kind("kraal", options=listening(("127.0.0.1", free_port())))
    wait_until(lambda: titled(server, FRONT), what="it runs")
    below = processes.descendants(server.pid)
    assert titled(server, FRONT) | titled(server, READER) <= below
    server.send(signal.SIGKILL)
    server.process.wait()

    wait_until(lambda: not any(map(processes.alive, below)), what="all have ended")


def test_readiness_names_the_pool_that_nobody_serves(start_kind: StartKind, directory: Path) -> None:
    preloaded = directory / "preloaded.php"
    preloaded.write_text("<?php")
    preloaded.chmod(0o644)
    address = ("127.0.0.1", free_port())
    more = {
        "broken": {"php_admin_value[opcache.preload]": str(preloaded)},
        "asleep": {"pm": "ondemand"},
    }
    server = start_kind("kraal", options=listening(address), more=more)
    assert get(address, "/ready") == (200, "ok\n")
    preloaded.unlink()
    os.kill(manager(server, "broken"), signal.SIGKILL)

    wait_until(lambda: status(address, "/ready") == 503, what="it is not ready")
    assert get(address, "/ready") == (503, "pool broken is not served\n")
    found = figures(get(address, "/metrics")[1])
    assert [found["kraal_pool_up", (pool,)] for pool in ("asleep", "broken", "www")] == [1, 0, 1]
    assert status(address, "/health") == 200
    preloaded.write_text("<?php")
    wait_until(lambda: status(address, "/ready") == 200, what="it is ready again")


def test_master_that_is_stuck_is_not_healthy(start_kind: StartKind) -> None:
    address = ("127.0.0.1", free_port())
    server = start_kind("kraal", options=listening(address))
    assert status(address, "/health") == 200
    server.send(signal.SIGSTOP)
    try:
        assert get(address, "/health") == (503, "the master does not answer\n")
    finally:
        server.send(signal.SIGCONT)
    assert status(address, "/health") == 200


def test_nobody_is_turned_away_while_the_master_reloads(start_kind: StartKind) -> None:
    address = ("127.0.0.1", free_port())
    server = start_kind("kraal", options=listening(address))
    wait_until(lambda: titled(server, FRONT), what="it runs")
    before = titled(server, FRONT) | titled(server, READER)
    stop = threading.Event()
    seen: list[tuple[int, int]] = []

    def scrape() -> None:
        while not stop.is_set():
            seen.append((status(address, "/health"), status(address, "/metrics")))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        reloads.reload(server)
        reloads.reload(server)
    finally:
        stop.set()
        scraper.join()
    assert set(seen) == {(200, 200)}
    assert figures(get(address, "/metrics")[1])["kraal_reloads_total", ("succeeded",)] == 2
    wait_until(lambda: not titled(server, FRONT) & before, what="the old ones have left")
    assert not titled(server, READER) & before


def test_reload_can_begin_and_end_it(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    path = f"{server.directory}/metrics.sock"
    reloads.configure(server, options={"metrics.listen": path, "metrics.listen.mode": "0600"})
    reloads.reload(server)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert status(path, "/ready") == 200

    reloads.configure(server)
    reloads.reload(server)
    wait_until(lambda: not titled(server, FRONT), what="nothing serves there")
    assert not os.path.exists(path)


def test_strangers_are_not_let_in(start_kind: StartKind) -> None:
    address = ("127.0.0.1", free_port())
    server = start_kind(
        "kraal", options=listening(address) | {"metrics.listen.allowed_clients": "10.0.0.0/8"}
    )
    wait_until(lambda: titled(server, FRONT), what="it runs")

    assert exchange(address, b"GET /health HTTP/1.1\r\n\r\n") == b""
