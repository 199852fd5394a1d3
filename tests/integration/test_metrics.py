"""`kraal metrics`: figures of a running master, held against what clients have counted."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kraal.memory.ledger import Ending
from tests.integration.conftest import StartKind
from tests.support import metrics, reloads
from tests.support.fastcgi import Connection, packet
from tests.support.metrics import Figures, answers, drops, figures
from tests.support.residents import application
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, manager, wait_workers

RESTARTS = ("out_of_memory", "hash", "manual")
CODES = (200, 201, 302, 404, 418, 500, 503)
# All of them outlive generations; what comes from scoreboards begins anew with each.
LASTING = ("kraal_requests_total", "kraal_request_duration_seconds", "kraal_workers_ended_total")


class Crowd:
    """Clients that ask for answers of all kinds without pause, and count what they got."""

    def __init__(self, server: FpmServer) -> None:
        code = "http_response_code((int) $_GET['code']); echo 'here';"
        uri = server.script("codes.php", code)
        self._packets = [packet(server.params(f"{uri}?code={code}"), keep=True) for code in CODES]
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []

    @contextmanager
    def asking(self, number: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask_on, args=(index,)) for index in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait(self, more: int) -> None:
        enough = sum(self.answered.values()) + more
        wait_until(lambda: sum(self.answered.values()) >= enough, at_most=60, what="more answers")

    def _ask_on(self, index: int) -> None:
        while not self._stop.is_set():
            try:
                with Connection(self._server.address) as connection:
                    for _ in range(20):
                        index += 1
                        connection.send(self._packets[index % len(CODES)])
                        self._note(f"{connection.response().status // 100}xx")
            except OSError as error:
                self.lost.append(repr(error))

    def _note(self, kind: str) -> None:
        with self._lock:
            self.answered[kind] += 1


def now(server: FpmServer) -> Figures:
    return metrics.now(server.pid)


def ended(server: FpmServer, why: Ending) -> float:
    return now(server)["kraal_workers_ended_total", ("www", why.name.lower())]


def test_every_answer_is_counted_once_however_workers_come_and_go(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "3", "pm.max_requests": "40"})
    crowd = Crowd(server)
    seen = [now(server)]
    with crowd.asking(4):
        crowd.wait(200)
        seen.append(now(server))
        reloads.reload(server)
        crowd.wait(200)
        seen.append(now(server))
        os.kill(manager(server), signal.SIGKILL)
        crowd.wait(200)
        seen.append(now(server))
        assert reloads.command(server, "--changed") == (0, "")
        crowd.wait(200)
        seen.append(now(server))
    assert crowd.lost == []
    wait_until(lambda: answers(now(server)) == dict(crowd.answered), what="all answers are counted")
    last = now(server)
    assert last["kraal_request_duration_seconds_count", ("www",)] == sum(crowd.answered.values())
    for before, after in zip(seen, [*seen[1:], last], strict=True):
        assert [key for key in drops(before, after) if key[0].startswith(LASTING)] == []
    assert last["kraal_workers_ended_total", ("www", "max_requests")] > 0
    assert last["kraal_reloads_total", ("succeeded",)] == 2


def test_requests_whose_worker_dies_are_not_answered(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    before = answers(now(server))
    held = Held(server)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: ended(server, Ending.SIGNAL) == 1, what="the death is counted")
    held.give_up()

    wait_workers(server, 1, without={worker})
    assert answers(now(server)) == before


def test_answer_that_was_finished_early_counts_at_once(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    gate = server.directory / "gate"
    code = f"echo 1; fastcgi_finish_request(); while (!file_exists('{gate}')) {{ usleep(2000); }}"
    assert server.fetch(server.script("early.php", code)).status == 200

    wait_until(lambda: answers(now(server)) == {"2xx": 1}, what="the answer is counted")
    assert now(server)["kraal_request_duration_seconds_count", ("www",)] == 0
    assert now(server)["kraal_workers", ("www", "finishing")] == 1
    gate.touch()
    wait_until(lambda: now(server)["kraal_workers", ("www", "idle")] == 1, what="the worker is idle")
    assert answers(now(server)) == {"2xx": 1}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("header('Status: 404 Gone');", "4xx"),
        ("header('HTTP/1.1 503 Busy');", "5xx"),
        ("header('Location: /');", "3xx"),
        ("nonsense();", "5xx"),
        ("exit(1);", "2xx"),
    ],
)
def test_status_is_the_one_that_the_web_server_is_told(start_kind: StartKind, code: str, status: str) -> None:
    server = start_kind("kraal")
    answer = server.fetch(server.script("status.php", code))

    assert f"{answer.status // 100}xx" == status
    wait_until(lambda: answers(now(server)) == {status: 1}, what="the answer is counted")


def test_requests_of_residents_are_counted_like_others() -> None:
    with application() as app:
        other = app.server.script("other.php", "http_response_code(404);")
        for code in ("echo 1;", "http_response_code(302);", "nonsense();", "echo 1; exit;"):
            app.run(code)
        app.server.fetch(other)
        expected = {"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 1}
        wait_until(lambda: answers(now(app.server)) == expected, what="all are counted")
        found = now(app.server)
        assert found["kraal_request_duration_seconds_count", ("www",)] == 5


def test_ends_of_workers_are_told_apart(start_kind: StartKind) -> None:
    pool = {"request_terminate_timeout": "1", "request_terminate_grace": "0", "pm.max_requests": "2"}
    server = start_kind("kraal", pool=pool)
    uri = server.script("plain.php", "echo 1;")
    for _ in range(2):
        assert server.fetch(uri).status == 200
    wait_until(lambda: ended(server, Ending.MAX_REQUESTS) == 1, what="one had served enough")
    sleeper = server.script("long.php", "while (true) {}")
    with Connection(server.address) as connection:
        connection.send(packet(server.params(sleeper)))
        wait_until(lambda: ended(server, Ending.TIMEOUT) == 1, what="one took too long")
    assert {why.name for why in Ending if ended(server, why)} == {"MAX_REQUESTS", "TIMEOUT"}


def test_time_before_a_worker_began_is_what_the_web_server_says(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    uri = server.script("plain.php", "echo 1;")
    server.fetch(uri)
    server.fetch(uri, extra={"HTTP_X_REQUEST_START": f"t={time.time() - 2:.3f}"})

    wait_until(lambda: answers(now(server)) == {"2xx": 2}, what="both are counted")
    found = now(server)
    assert found["kraal_request_queue_seconds_count", ("www",)] == 1
    assert found["kraal_request_queue_seconds_bucket", ("www", "1.0")] == 0
    assert 1.9 < found["kraal_request_queue_seconds_sum", ("www",)] < 60


def test_failed_reload_is_counted_and_changes_nothing(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    server.fetch(server.script("plain.php", "echo 1;"))
    (server.directory / "fpm.conf").write_text("[www]\nnonsense = 1\n")
    assert reloads.command(server)[0] != 0

    found = now(server)
    assert found["kraal_reloads_total", ("failed",)] == 1
    assert found["kraal_reloads_total", ("succeeded",)] == 0
    assert found["kraal_last_reload_successful", ()] == 0
    assert answers(found) == {"2xx": 1}
    reloads.configure(server)
    reloads.reload(server)
    assert now(server)["kraal_reloads_total", ("succeeded",)] == 1
    assert now(server)["kraal_last_reload_successful", ()] == 1


HOSTILE = [
    '/a"b\\c',
    "/a\nkraal_requests_total 99",
    '/{x="1"} 7\n# EOF',
    "/\x00\x1b[2J\x7f",
    "/\u202e\ud7ff" * 99,
]


def test_nothing_that_clients_say_gets_into_the_figures(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"})
    uri = server.script("plain.php", "http_response_code(299); header('X-Said: ' . $_GET['said']);")
    before = figures(metrics.text(server)).keys()
    for said in HOSTILE:
        names = dict.fromkeys(
            ("SCRIPT_NAME", "QUERY_STRING", "REQUEST_METHOD", "REMOTE_USER", "HTTP_USER_AGENT"), said
        )
        server.fetch(uri, extra=names | {"HTTP_X_REQUEST_START": said, "CONTENT_LENGTH": said})
        server.fetch(uri, extra={"HTTP_AUTHORIZATION": "Basic " + said})

    assert figures(metrics.text(server)).keys() == before
    wait_until(lambda: sum(answers(now(server)).values()) == 2 * len(HOSTILE), what="all are counted")


def test_memory_of_workers_is_theirs(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"pm.max_children": "2"}, more={"shop": {"pm": "ondemand"}})
    found = now(server)

    assert 1 << 20 < found["kraal_workers_pss_bytes", ("www",)] < 1 << 30
    assert found["kraal_workers_limit", ("www",)] == 2
    assert ("kraal_workers", ("shop", "idle")) not in found or found["kraal_workers", ("shop", "idle")] == 0


def test_who_is_no_master_is_told(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    (worker,) = server.workers()
    argv = [*executable("kraal"), "metrics", "--pid", str(worker)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr == f"kraal metrics: process {worker} is no master of kraal\n"


@pytest.mark.parametrize("restricted", ["", "/nowhere"])
def test_opcache_is_as_it_says_itself(start_kind: StartKind, restricted: str) -> None:
    server = start_kind("kraal", pool={"php_admin_value[opcache.restrict_api]": restricted})
    page = server.script("plain.php", "echo 1;")
    for _ in range(20):
        server.fetch(page)
    wait_until(lambda: now(server).get(("kraal_opcache_scripts", ("www",))) == 1, what="it was asked")
    found = now(server)
    assert found["kraal_opcache_hits_total", ("www",)] == 19
    assert found["kraal_opcache_misses_total", ("www",)] == 1
    assert sum(found["kraal_opcache_restarts_total", ("www", why)] for why in RESTARTS) == 0
    assert server.log_lines("restrict") == []
    if restricted:
        return
    code = "['memory_usage' => $m, 'opcache_statistics' => $s] = opcache_get_status(false);"
    code += "echo $m['used_memory'], ' ', $m['free_memory'], ' ', $s['max_cached_keys'];"
    used, free, keys = map(int, server.fetch(server.script("opcache.php", code)).text.split())
    wait_until(lambda: now(server)["kraal_opcache_scripts", ("www",)] == 2, what="it was asked again")
    found = now(server)
    assert found["kraal_opcache_keys_limit", ("www",)] == keys
    kinds = [found["kraal_opcache_memory_bytes", ("www", kind)] for kind in ("used", "free", "wasted")]
    assert sum(kinds) == used + free


def test_opcache_is_new_after_a_reload(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    page = server.script("plain.php", "echo 1;")
    server.fetch(page)
    wait_until(lambda: now(server).get(("kraal_opcache_scripts", ("www",))) == 1, what="it was asked")
    server.fetch(server.script("reset.php", "opcache_reset();"))
    server.fetch(page)
    key = "kraal_opcache_restarts_total", ("www", "manual")
    wait_until(lambda: now(server)[key] == 1, what="it was emptied")
    reloads.reload(server)

    assert ("kraal_opcache_scripts", ("www",)) not in now(server)
    server.fetch(page)
    wait_until(lambda: now(server).get(key) == 0, what="it was asked")
