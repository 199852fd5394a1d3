"""Many requests through a real web server: none is lost, and workers do not grow."""

import http.client
import itertools
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.http import HOST
from tests.support.nginx import nginx
from tests.support.servers import FpmServer
from tests.support.workers import titled, wait_workers

pytestmark = pytest.mark.slow

CLIENTS = 8
REQUESTS = 2000
POOL = {"pm.max_children": "4", "pm.status_path": "/status"}
NUMBER = "echo getmypid(), ' ', $_GET['number'];"

Answer = tuple[int, bytes]


class Crowd:
    """Clients that share out the numbers from 0 on among them, each on one connection to the web server."""

    def __init__(self, port: int, uri: str, *, after: Callable[[int], None] = lambda number: None) -> None:
        """`after` is called when the request of that number has been answered."""
        self._port = port
        self._uri = uri
        self._after = after
        self._numbers = iter(range(REQUESTS))
        self._lock = Lock()
        self._answers: dict[int, Answer] = {}

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while (number := self._next()) is not None:
                connection.request("GET", f"{self._uri}?number={number}", headers={"Host": HOST})
                response = connection.getresponse()
                self._answers[number] = (response.status, response.read())
                self._after(number)
        finally:
            connection.close()

    def run(self) -> dict[int, Answer]:
        """Send all requests; gives the answers by number."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            for done in [clients.submit(self._work) for _ in range(CLIENTS)]:
                done.result()
        return self._answers


def failed(answers: dict[int, Answer]) -> list[Answer]:
    """The answers that are not those of the script to the request of that number."""
    assert len(answers) == REQUESTS
    return [
        (status, body)
        for number, (status, body) in answers.items()
        if status != 200 or body.split()[1] != str(number).encode()
    ]


def accepted(server: FpmServer) -> int:
    count: int = json.loads(server.fetch("/status?json").body)["accepted conn"]
    return count


# Idle connections that nginx keeps: fewer than workers, as php-fpm's belong to their connections.
few_kept = pytest.mark.parametrize("kept", [0, 3], ids=["new connections", "kept connections"])
all_kept = pytest.mark.parametrize("kept", [0, CLIENTS], ids=["new connections", "kept connections"])


@few_kept
def test_every_request_of_a_crowd_is_answered(start_server: StartServer, kept: int) -> None:
    server = start_server(pool=POOL)
    uri = server.script("number.php", NUMBER)
    with nginx(server.directory, server.root, server.address, kept=kept) as port:
        assert not failed(Crowd(port, uri).run())


@few_kept
def test_every_request_of_a_crowd_is_counted(start_server: StartServer, kept: int) -> None:
    server = start_server(pool=POOL)
    uri = server.script("number.php", NUMBER)
    before = accepted(server)
    with nginx(server.directory, server.root, server.address, kept=kept) as port:
        Crowd(port, uri).run()
    more = accepted(server) - before - 1
    # php-fpm also counts the connection by which it was found ready, perhaps only now.
    assert more == REQUESTS or (server.kind == "php-fpm" and more == REQUESTS + 1)


def test_crowd_may_keep_more_connections_than_there_are_workers(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool=POOL)
    uri = server.script("number.php", NUMBER)
    with nginx(server.directory, server.root, server.address, kept=CLIENTS) as port:
        answers = Crowd(port, uri).run()
    assert not failed(answers)
    assert {int(body.split()[0]) for _, body in answers.values()} == titled(server, "kraal: pool www")


@all_kept
def test_crowd_does_not_notice_that_workers_are_replaced(start_kind: StartKind, kept: int) -> None:
    server = start_kind("kraal", pool=POOL | {"pm.max_requests": "50"})
    uri = server.script("number.php", NUMBER)
    with nginx(server.directory, server.root, server.address, kept=kept) as port:
        answers = Crowd(port, uri).run()
    assert not failed(answers)
    served = Counter(body.split()[0] for _, body in answers.values())
    assert max(served.values()) <= 50


def test_request_that_kills_its_worker_is_the_only_one_that_fails(start_server: StartServer) -> None:
    server = start_server(pool=POOL)
    uri = server.script(
        "number.php", "if ($_GET['number'] % 200 == 100) { posix_kill(getmypid(), 9); } " + NUMBER
    )
    with nginx(server.directory, server.root, server.address) as port:
        answers = Crowd(port, uri).run()
    lost = {number for number, (status, _) in answers.items() if status == 502}
    assert lost == set(range(100, REQUESTS, 200))
    assert len(failed(answers)) == len(lost)


@all_kept
def test_worker_that_is_killed_takes_no_other_request_along(start_kind: StartKind, kept: int) -> None:
    server = start_kind("kraal", pool=POOL)
    uri = server.script("number.php", NUMBER)
    killed: list[int] = []

    def kill(number: int) -> None:
        if number % 200 == 100:
            # One that was killed may take a moment to be gone.
            worker = min(titled(server, "kraal: pool www") - set(killed))
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    with nginx(server.directory, server.root, server.address, kept=kept) as port:
        lost = failed(Crowd(port, uri, after=kill).run())
    assert len(killed) == REQUESTS // 200
    assert {status for status, _ in lost} <= {502}
    assert len(lost) <= len(killed)
    wait_workers(server, 4, without=set(killed))


# ---------------------------------------------------------------- growth

WORK = """
    session_start();
    $_SESSION['visits'][] = str_repeat('x', 100);
    $rows = array_map(fn ($number) => ['number' => $number, 'text' => md5((string) $number)], range(1, 200));
    ob_start();
    echo preg_replace('/\\d+/', '#', json_encode($rows));
    echo strlen(ob_get_clean()), ' ', strlen(file_get_contents('php://input'));
    if (isset($_GET['fail'])) { throw new LogicException(str_repeat('why ', 100)); }
"""


class Visitor:
    """Requests of all kinds, now and then on a new connection."""

    def __init__(self, server: FpmServer) -> None:
        self._server = server
        uri = server.script("work.php", WORK)
        self._kinds = itertools.cycle(
            [
                (200, server.params(uri), b""),
                (200, server.params(uri, body=b"a=" + b"b" * 5000), b"a=" + b"b" * 5000),
                (500, server.params(f"{uri}?fail"), b""),
                (404, server.params("/nothing-here.php"), b""),
                (200, server.params("/status"), b""),
            ]
        )

    def visit(self, times: int) -> None:
        assert times % 100 == 0
        for _ in range(times // 100):
            with Connection(self._server.address) as connection:
                for expected, params, body in itertools.islice(self._kinds, 100):
                    connection.send(packet(params, body, keep=True))
                    assert connection.response().status == expected

    def look(self, worker: int) -> tuple[int, Counter[str]]:
        """The worker's memory in KB and its descriptors, while it keeps this one connection."""
        with Connection(self._server.address) as connection:
            # By the last answer the worker has looked at the end of the connection before.
            for _ in range(3):
                connection.send(packet(self._server.params("/status"), keep=True))
                connection.response()
            kinds = Counter(re.sub(r"\d+", "", name) for name in processes.descriptors(worker).values())
            return int(processes.status(worker)["VmRSS"].removesuffix("kB")), kinds


def test_worker_does_not_grow_with_its_requests(start_server: StartServer) -> None:
    server = start_server(pool=POOL | {"pm.max_children": "1"})
    (worker,) = wait_workers(server, 1)
    visitor = Visitor(server)
    visitor.visit(1000)
    memory, descriptors = visitor.look(worker)
    visitor.visit(2000)
    more_memory, more_descriptors = visitor.look(worker)
    assert more_descriptors == descriptors
    assert more_memory - memory < 256
    assert server.workers() == {worker}
