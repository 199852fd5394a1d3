"""OPcache's locks: whoever dies with one stalls nobody.

They are record locks on a file without a name, which the kernel frees when their process ends:
byte 0 is held for writing by who changes the shared memory, byte 1 for reading by who uses it.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, wait_workers

HOLD = """
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX, 1, 0)
print("held", flush=True)
sys.stdin.read()
"""
CACHED = "echo json_encode(opcache_is_script_cached($_GET['file']));"
STATUS = "echo json_encode(opcache_get_status(false));"


def lock_file(worker: int) -> Path:
    """Where the kernel shows a worker's descriptor of the file."""
    found = processes.descriptors(worker)
    (fd,) = {fd for fd, name in found.items() if ".ZendSem." in name}
    return Path(f"/proc/{worker}/fd/{fd}")


@contextmanager
def holder(worker: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the lock of who changes the shared memory."""
    argv = [sys.executable, "-I", "-c", HOLD, str(lock_file(worker))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def waiting_for_lock(pids: set[int]) -> set[int]:
    """Those of the processes that wait for a record lock."""
    waiting = set()
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "->":
            waiting.add(int(words[5]))
    return waiting & pids


def opcache(server: FpmServer, uri: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(server.fetch(uri).body)
    return status


def test_death_of_who_holds_the_lock_lets_the_others_go_on(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "2"})
    workers = wait_workers(server, 2)
    known, fresh = server.script("known.php", "echo 'known';"), server.script("fresh.php", "echo 'fresh';")
    assert server.fetch(known).text == "known"
    with holder(min(workers)) as process, Connection(server.address) as connection:
        connection.send(packet(server.params(fresh)))
        wait_until(lambda: waiting_for_lock(workers), what="a worker waits for the lock")
        assert [server.fetch(known).text for _ in range(5)] == ["known"] * 5
        assert waiting_for_lock(workers)
        process.kill()
        assert connection.response().text == "fresh"


def test_worker_that_is_killed_while_it_waits_for_the_lock_hurts_nobody(start_server: StartServer) -> None:
    server = start_server(pool={"pm.max_children": "2"})
    workers = wait_workers(server, 2)
    fresh = server.script("fresh.php", "echo 'fresh';")
    with holder(min(workers)) as process:
        with Connection(server.address) as connection:
            connection.send(packet(server.params(fresh)))
            (victim,) = wait_until(lambda: waiting_for_lock(workers), what="a worker waits for the lock")
            os.kill(victim, signal.SIGKILL)
            assert connection.closed()
        process.kill()
    assert server.fetch(fresh).text == "fresh"
    wait_workers(server, 2, without={victim})


def test_sigterm_waits_until_the_shared_memory_is_whole(start_server: StartServer) -> None:
    """What the worker was about to add is added, and then it is gone."""
    server = start_server(pool={"pm.max_children": "2"})
    workers = wait_workers(server, 2)
    fresh = server.script("fresh.php", "sleep(60);")
    cached = f"{server.script('cached.php', CACHED)}?file={server.root}{fresh}"
    assert server.fetch(cached).text == "false"
    with holder(min(workers)) as process, Connection(server.address) as connection:
        connection.send(packet(server.params(fresh)))
        (victim,) = wait_until(lambda: waiting_for_lock(workers), what="a worker waits for the lock")
        os.kill(victim, signal.SIGTERM)
        process.kill()
        assert connection.closed()
    assert server.fetch(cached).text == "true"


@pytest.mark.slow
def test_worker_that_keeps_a_restart_waiting_is_ended_after_the_timeout(start_server: StartServer) -> None:
    """OPcache sends SIGTERM by itself; a new worker takes the place."""
    server = start_server(pool={"pm.max_children": "2"}, arguments=["-d", "opcache.force_restart_timeout=1"])
    wait_workers(server, 2)
    status = server.script("status.php", STATUS)
    reset = server.script("reset.php", "opcache_reset();")
    held = Held(server)
    server.fetch(reset)
    assert opcache(server, status)["restart_pending"]

    def restarted() -> bool:
        return bool(opcache(server, status)["opcache_statistics"]["manual_restarts"])

    wait_until(restarted, at_most=20, what="the cache has restarted")
    assert held.connection.closed()
    held.give_up()
    server.wait_log(r"WARNING: \[pool www\] child \d+ exited on signal 15 \(SIGTERM\)")
    wait_workers(server, 2)
    assert not opcache(server, status)["restart_pending"]


KILLS = 20
SCRIPTS = 200
FUNCTIONS = 100


def big(number: int) -> str:
    """A script that takes OPcache a while."""
    body = "".join(
        f"function f{i}($a) {{ return strrev($a) . '{number} {i}' . {i}; }}\n" for i in range(FUNCTIONS)
    )
    return body + f"echo f{FUNCTIONS - 1}('x'), ' ', getmypid();"


@pytest.mark.slow
def test_workers_that_are_killed_while_they_compile_leave_a_pool_that_answers_all(
    start_server: StartServer,
) -> None:
    """As long as nobody empties the cache meanwhile: PHP itself has defects there."""
    server = start_server(pool={"pm.max_children": "3"}, arguments=["-d", "opcache.memory_consumption=256"])
    uris = [server.script(f"big{number}.php", big(number)) for number in range(SCRIPTS)]
    right = [f"x{number} {FUNCTIONS - 1}{FUNCTIONS - 1}" for number in range(SCRIPTS)]
    status = server.script("status.php", STATUS)
    reset = server.script("reset.php", "echo json_encode(opcache_reset());")
    numbers = itertools.count()
    answered: set[int] = set()  # the workers that did
    stop = False

    def client() -> None:
        """Ask for one script after the other.  An answer is right; a worker that is killed gives none."""
        while not stop:
            number = next(numbers) % SCRIPTS
            with Connection(server.address) as connection:
                connection.send_if_possible(packet(server.params(uris[number])))
                try:
                    text = connection.response().text
                except AssertionError:  # the connection ended before the request did
                    continue
            answer, _, worker = text.rpartition(" ")
            assert answer == right[number]
            answered.add(int(worker))

    def victim() -> int:
        """One that has answered: those that die at once, again and again, are replaced after a pause."""
        return next(iter(answered & server.workers()), 0)

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(client) for _ in range(4)]
        try:
            for _ in range(KILLS):
                pid = wait_until(victim, what="a worker has answered")
                os.kill(pid, signal.SIGKILL)
                wait_workers(server, 3, without={pid})
        finally:
            stop = True
    for each in running:
        each.result()

    def answers() -> list[str]:
        return [server.fetch(uri).text.rpartition(" ")[0] for uri in uris]

    assert answers() == right
    assert server.fetch(reset).text == "true"

    def restarted() -> bool:
        statistics: dict[str, int] = opcache(server, status)["opcache_statistics"]
        return (statistics["manual_restarts"], statistics["oom_restarts"]) == (1, 0)

    wait_until(restarted, what="the cache has restarted")
    assert answers()[:50] == right[:50]
