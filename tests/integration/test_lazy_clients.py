"""Clients that send half of a request, or nothing, and go on holding their connection.

They cost nobody a worker, and are bounded in time, number and memory.
"""

import os
import resource
import selectors
import signal
import time
from contextlib import ExitStack

import pytest

from kraal.unix.process import Pid, own_memory
from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, Type, begin, chunks, packet, record
from tests.support.lazy import LENGTH, SMALL, Lazy, head
from tests.support.wait import wait_until
from tests.support.workers import Held, ask_again, wait_workers

PID = "echo getmypid();"
TWO = {"pm.max_children": "2"}
LARGE = 300_000
# More of them than workers.
MANY = 6


# ---------------------------------------------------------------- nobody waits for them


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body", "kept and idle"])
def test_lazy_clients_cost_nobody_a_worker(start_server: StartServer, kind: str) -> None:
    server = start_server(pool=TWO)
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        lazy = Lazy(server, kind, stack, MANY)
        for _ in range(20):
            assert server.fetch(uri, timeout=2).text
        assert lazy.finish()


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body"])
def test_clients_that_send_byte_after_byte_cost_nobody_a_worker(start_server: StartServer, kind: str) -> None:
    server = start_server(pool=TWO)
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        lazy = Lazy(server, kind, stack, MANY)
        for _ in range(20):
            lazy.trickle()
            assert server.fetch(uri, timeout=2).text
        assert lazy.finish()


def test_more_kept_connections_than_workers_are_served_alike(start_server: StartServer) -> None:
    """None starves, and the shares of the workers become equal."""
    server = start_server(pool={"pm.max_children": "4"})
    request = packet(server.params(server.script("pid.php", PID)), keep=True)
    with ExitStack() as stack:
        kept = [stack.enter_context(Connection(server.address, timeout=5)) for _ in range(64)]

        def is_fair() -> bool:
            counts = rounds(kept, request, 64 * 40)
            assert min(counts) > 0
            return max(counts) <= 2 * min(counts)

        wait_until(is_fair, what="each has half as many answers as any other, at least")


def rounds(kept: list[Connection], request: bytes, number: int) -> list[int]:
    """Ask so often in all, on each connection again as soon as it has answered; returns how often on each."""
    counts = [0] * len(kept)
    with selectors.DefaultSelector() as selector:
        for index, connection in enumerate(kept):
            selector.register(connection.socket, selectors.EVENT_READ, index)
            connection.send(request)
        while sum(counts) < number:
            ready = selector.select(5)
            assert ready, f"nobody is answered any more: {counts}"
            for key, _events in ready:
                assert kept[key.data].response().text
                counts[key.data] += 1
                kept[key.data].send(request)
        for connection in kept:
            assert connection.response().text
    return counts


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body"])
def test_lazy_clients_do_not_fill_a_worker_that_serves_so_many_requests(
    start_kind: StartKind, kind: str
) -> None:
    server = start_kind("kraal", pool={"pm.max_requests": str(MANY)})
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        lazy = Lazy(server, kind, stack, 2 * MANY)
        for _ in range(2 * MANY):
            assert server.fetch(uri, timeout=5).text
        assert lazy.finish()


# ---------------------------------------------------------------- nor do they wait for others


@pytest.mark.parametrize("kind", ["half a head", "half a body"])
def test_rest_of_a_request_does_not_wait_for_the_long_request_of_its_worker(
    start_kind: StartKind, kind: str
) -> None:
    server = start_kind("kraal", pool=TWO)
    uri = server.script("pid.php", PID)
    first = Held(server, "first")
    with Connection(server.address, timeout=5) as kept, ExitStack() as stack:
        # Only one worker is free, so it has all of them.
        busy = ask_again(kept, server, uri)
        lazy = Lazy(server, kind, stack, MANY)
        assert server.fetch(uri).text == busy
        first.release()
        held = Held(server, connection=kept)
        assert lazy.finish()
        assert held.release().text == busy


@pytest.mark.parametrize("kind", ["half a head", "half a body"])
def test_half_a_request_outlives_its_worker(start_kind: StartKind, kind: str) -> None:
    server = start_kind("kraal")
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        lazy = Lazy(server, kind, stack, MANY)
        old = int(server.fetch(uri).text)
        os.kill(old, signal.SIGQUIT)
        wait_workers(server, 1, without={old})
        assert lazy.finish()


def test_pool_grows_for_connections_that_busy_workers_give_away(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=TWO | {"pm": "ondemand"})
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        kept = [stack.enter_context(Connection(server.address, timeout=5)) for _ in range(3)]
        (busy,) = {ask_again(connection, server, uri) for connection in kept}
        held = Held(server, connection=kept[0])
        assert busy not in {ask_again(connection, server, uri) for connection in kept[1:]}
        held.release()


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("kind", ["silent", "half a head"])
def test_head_that_does_not_come_in_time_closes_its_connection(start_kind: StartKind, kind: str) -> None:
    """However much of it still comes."""
    server = start_kind("kraal", pool={"connection.header_timeout": "1s"})
    with ExitStack() as stack:
        lazy = Lazy(server, kind, stack, MANY)
        kept = Lazy(server, "kept and idle", stack, 1)

        def closed() -> bool:
            lazy.trickle()
            return bool(server.log_lines(r"WARNING: \[pool www\] \d+ connections? closed: no whole request"))

        wait_until(closed, what="the log tells")
        assert all(client.closed() for client in lazy.clients)
        assert kept.finish()


def test_kept_connection_without_a_request_is_closed_in_time_and_others_are_not(
    start_kind: StartKind,
) -> None:
    server = start_kind("kraal", pool={"connection.idle_timeout": "1s"})
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        busy = stack.enter_context(Connection(server.address))
        silent = Lazy(server, "silent", stack, 1)
        idle = Lazy(server, "kept and idle", stack, MANY)
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(idle.clients[-1].socket, selectors.EVENT_READ)
        while not selector.select(0.05):
            assert ask_again(busy, server, uri)
        assert all(client.closed() for client in idle.clients)
        assert silent.finish()
    assert not server.log_lines("closed")


def test_client_that_is_silent_in_a_small_body_is_not_run(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"connection.body_timeout": "1s"})
    with ExitStack() as stack:
        lazy = Lazy(server, "half a body", stack, MANY)
        assert all(client.closed() for client in lazy.clients)
    server.wait_log("connections? closed: no whole request came in time")


def test_client_that_is_silent_in_a_large_body_gives_its_worker_back(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"connection.body_timeout": "1s"})
    uri = server.script("pid.php", PID)
    done = server.directory / "uploads" / "done"
    code = f"file_put_contents('{done}', strlen(file_get_contents('php://input'))); echo 'answer';"
    with Connection(server.address) as lazy:
        lazy.send(head(server, server.script("upload.php", code), LARGE))
        lazy.send(b"".join(record(Type.STDIN, piece) for piece in chunks(bytes(LARGE // 2))))
        assert server.fetch(uri).text
        assert lazy.closed()
    wait_until(done.exists, what="the script runs, as when a client leaves")
    assert int(done.read_text()) == LARGE // 2


def test_large_body_that_comes_slowly_is_read_to_its_end(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"connection.body_timeout": "1s"})
    with Connection(server.address) as slow:
        slow.send(head(server, server.script("length.php", LENGTH), LARGE))
        for piece in chunks(bytes(LARGE), LARGE // 6):
            slow.send(record(Type.STDIN, piece))
            time.sleep(0.3)  # more than a second in all
        slow.send(record(Type.STDIN))
        assert slow.response().text == str(LARGE)


def test_script_can_run_before_its_body_is_there(start_kind: StartKind) -> None:
    """Where nothing is to be gathered: PHP reads so much at a time."""
    server = start_kind("kraal", pool={"connection.body_buffer": "0"})
    code = "ob_end_clean(); echo strlen(fread(fopen('php://input', 'r'), 8192)); flush();"
    uri = server.script("begin.php", "if (ob_get_level()) " + code)
    with Connection(server.address) as slow:
        slow.send(head(server, uri, SMALL, method="PUT") + record(Type.STDIN, bytes(16_384)))
        answer = slow.read()
        assert answer
        assert answer.content.endswith(b"8192")


# ---------------------------------------------------------------- number and memory


def test_laziest_is_closed_when_there_are_too_many(start_kind: StartKind) -> None:
    """Half of the open files are for connections."""
    server = start_kind("kraal", pool={"rlimit_files": "64"})
    uri = server.script("pid.php", PID)
    with ExitStack() as stack:
        kept = Lazy(server, "kept and idle", stack, 4)
        lazy = Lazy(server, "half a head", stack, 27)
        assert server.fetch(uri).text
        time.sleep(1.1)  # so long a request may take to come, before its client is lazy
        more = Lazy(server, "half a head", stack, 4)
        assert server.fetch(uri).text
        assert all(client.closed() for client in lazy.clients[:4])
        assert kept.finish()
        assert more.finish()
    server.wait_log("connections? closed: there are too many of them")


def test_half_sent_heads_of_any_size_take_bounded_memory(start_kind: StartKind) -> None:
    number, size = 1024, 1_000_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    server = start_kind("kraal", pool={"rlimit_files": "4096"})
    uri = server.script("pid.php", PID)
    worker = Pid(int(server.fetch(uri).text))
    before = own_memory(worker)
    sent = begin() + b"".join(record(Type.PARAMS, piece) for piece in chunks(bytes(size)))
    with ExitStack() as stack:
        for count in range(number):
            stack.enter_context(Connection(server.address)).send_if_possible(sent)
            if count % 64 == 0:
                assert server.fetch(uri).text == str(worker)
                assert own_memory(worker) - before < 32 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.wait_log("connections? closed: there are too many of them, or they take too much memory")
