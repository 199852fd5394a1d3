"""pm = static, dynamic and ondemand: pools grow and shrink, and no request notices."""

import json
import os
import signal
from collections import Counter
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import count
from threading import Event
from typing import Any

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, wait_workers
from tests.support.workspace import make_directory

STATUS = {"pm.status_path": "/status"}
DYNAMIC = STATUS | {
    "pm": "dynamic",
    "pm.max_children": "2",
    "pm.start_servers": "1",
    "pm.min_spare_servers": "1",
    "pm.max_spare_servers": "1",
}
ONDEMAND = STATUS | {"pm": "ondemand", "pm.max_children": "2", "pm.process_idle_timeout": "1s"}
DEBUG = {"log_level": "debug"}


def status(server: FpmServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.fetch("/status?json&full").body)
    return found


def consistent(found: dict[str, Any]) -> dict[str, Any] | None:
    """A status whose numbers agree with its rows: php-fpm's may be those of the second before."""
    rows = found["processes"]
    assert len(rows) == len({row["pid"] for row in rows})
    idle = sum(row["state"] == "Idle" for row in rows)
    numbers = (found["total processes"], found["idle processes"], found["active processes"])
    return found if numbers == (len(rows), idle, len(rows) - idle) else None


@pytest.mark.parametrize(("start", "number"), [("3", 3), ("", 2)], ids=["as configured", "by default"])
def test_dynamic_pool_starts_with_start_servers(start_server: StartServer, start: str, number: int) -> None:
    server = start_server(
        pool=DYNAMIC
        | {"pm.max_children": "9", "pm.max_spare_servers": "4"}
        | {"pm.start_servers": start, "pm.min_spare_servers": "1"}
    )
    wait_workers(server, number)
    found = wait_until(lambda: consistent(status(server)), what="a true status")
    assert found
    assert (found["process manager"], found["total processes"]) == ("dynamic", number)


def test_dynamic_pool_grows_to_its_limit_and_shrinks_again(start_server: StartServer) -> None:
    server = start_server(pool=DYNAMIC, options=DEBUG)
    held = [Held(server, f"held{number}") for number in range(2)]
    server.wait_log(
        r"WARNING: .*\[pool www\] server reached pm.max_children setting \(2\), consider raising it$"
    )
    assert len(server.workers()) == 2
    assert all(each.release().status == 200 for each in held)
    wait_workers(server, 1)

    found = wait_until(lambda: consistent(status(server)), what="a true status")
    assert found
    assert (found["max children reached"], found["max active processes"]) == (1, 2)
    assert len(server.log_lines("server reached")) == 1
    server.wait_log(
        r"DEBUG: .*\[pool www\] child \d+ has been killed by the process management"
        r" after \d+\.\d+ seconds from start$"
    )
    server.wait_log(
        r"DEBUG: .*\[pool www\] currently \d active children, \d spare children, \d running children\."
        r" Spawning rate \d+$"
    )
    server.wait_log(r"DEBUG: .*\[pool www\] 1 child\(ren\) have been created dynamically$")
    server.wait_log(r"DEBUG: .*\[pool www\] child \d+ started$", times=2)
    assert not server.log_lines("child .* exited")


def test_ondemand_pool_has_workers_only_while_they_are_needed(start_server: StartServer) -> None:
    server = start_server(pool=ONDEMAND, options=DEBUG)
    held = [Held(server, f"held{number}") for number in range(2)]
    assert len(server.workers()) == 2
    with Connection(server.address) as connection:
        connection.send(packet(server.params(server.script("third.php", "echo 'third';"))))
        server.wait_log(
            r"WARNING: .*\[pool www\] server reached max_children setting \(2\), consider raising it$"
        )
        assert all(each.release().status == 200 for each in held)
        assert connection.response().text == "third"
    found = wait_until(lambda: consistent(status(server)), what="a true status")
    assert found
    assert (found["process manager"], found["max children reached"]) == ("ondemand", 1)
    wait_until(lambda: not server.workers(), what="the workers have left")
    server.wait_log(r"DEBUG: .*\[pool www\] child \d+ has been killed by the process management", times=2)
    wait_until(lambda: consistent(status(server)), what="a true status")


def test_worker_of_a_pool_that_shrinks_is_still_replaced_when_it_dies(start_server: StartServer) -> None:
    server = start_server(pool=DYNAMIC)
    (first,) = wait_workers(server, 1)
    os.kill(first, signal.SIGKILL)
    server.wait_log(rf"WARNING: \[pool www\] child {first} exited on signal 9 \(SIGKILL\)")
    (second,) = wait_workers(server, 1, without={first})
    server.wait_log(rf"NOTICE: \[pool www\] child {second} started$")


# ---------------------------------------------------------------- bursts

BURST = """
    touch("$_GET[place]/$_GET[number]");
    while (!file_exists("$_GET[place]/gate")) { usleep(5000); }
    echo $_GET['number'];
"""


def burst(server: FpmServer, number: int) -> None:
    """So many requests at once; none of them ends before all of them run."""
    place = make_directory(server.directory / "burst")
    uri = server.script("burst.php", BURST)
    with ExitStack() as stack:
        connections = []
        for each in range(number):
            connection = stack.enter_context(Connection(server.address))
            connection.send(packet(server.params(f"{uri}?place={place}&number={each}")))
            connections.append(connection)
        try:
            wait_until(lambda: len(list(place.iterdir())) == number, what="all of them run")
        finally:
            (place / "gate").touch()
        assert [each.response().text for each in connections] == [str(each) for each in range(number)]


@pytest.mark.parametrize("policy", ["dynamic", "ondemand"])
def test_nobody_in_a_burst_waits_for_the_end_of_another(start_kind: StartKind, policy: str) -> None:
    """php-fpm's dynamic pools start one a second here, and its ondemand pools one for all."""
    burst(start_kind("kraal", pool=DYNAMIC | {"pm": policy, "pm.max_children": "12"}), 12)


def test_pool_does_not_start_more_in_a_second_than_max_spawn_rate(start_kind: StartKind) -> None:
    server = start_kind(
        "kraal", pool=DYNAMIC | {"pm.max_children": "9", "pm.max_spawn_rate": "2"}, options=DEBUG
    )
    burst(server, 5)

    def started() -> list[int]:
        """The workers of each second, as the log tells."""
        numbers = [0]
        for line in server.log_lines(r"Spawning rate|have been created"):
            if "Spawning rate" in line:
                numbers.append(0)
            else:
                numbers[-1] += int(line.rpartition("] ")[2].split()[0])
        return numbers

    wait_until(lambda: sum(started()) >= 4, what="four more workers in the log")
    assert max(started()) <= 2


# ---------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize(("policy", "keep"), [("dynamic", True), ("ondemand", False)])
def test_no_request_is_lost_while_workers_come_and_go(start_kind: StartKind, policy: str, keep: bool) -> None:
    """Idle or not, workers are asked to leave all the time, as the process management does."""
    server = start_kind("kraal", pool=DYNAMIC | {"pm": policy, "pm.max_children": "6"})
    uri = server.script("number.php", "usleep(random_int(0, 3000)); echo $_GET['number'];")
    done = Event()
    numbers = count()
    left: set[int] = set()

    def wanted(answers: Sized) -> bool:
        return len(answers) < 50 or len(left) < 8

    def ask_many() -> list[tuple[int, str]]:
        answers: list[tuple[int, str]] = []
        while wanted(answers):
            with Connection(server.address) as connection:
                used = False
                while wanted(answers):
                    number = next(numbers)
                    params = server.params(f"{uri}?number={number}")
                    connection.send_if_possible(packet(params, keep=keep))
                    if (head := connection.read()) is None:
                        # Closed while it was idle, as web servers know it; a new one never is.
                        assert used
                        break
                    answers.append((number, head.content.partition(b"\r\n\r\n")[2].decode()))
                    list(connection.records())
                    used = True
                    if not keep:
                        break
        return answers

    def send_away() -> None:
        while not done.wait(0.02):
            for worker in sorted(server.workers())[:1]:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGQUIT)
                    left.add(worker)

    with ThreadPoolExecutor(9) as clients:
        sender = clients.submit(send_away)
        crowds = [clients.submit(ask_many) for _ in range(8)]
        try:
            answers = [answer for crowd in crowds for answer in crowd.result()]
        finally:
            done.set()
        sender.result()
    assert len(answers) >= 400
    assert all(text == str(number) for number, text in answers)


# ---------------------------------------------------------------- replacing


def test_jitter_spreads_the_number_of_requests_after_which_workers_are_replaced(
    start_kind: StartKind,
) -> None:
    server = start_kind("kraal", pool={"pm.max_requests": "2", "pm.max_requests_jitter": "6"})
    uri = server.script("pid.php", "echo getmypid();")
    answers = [server.fetch(uri).text for _ in range(80)]
    *served, _last = Counter(answers).values()
    assert set(served) <= set(range(2, 9))
    assert len(set(served)) > 1


def test_worker_that_has_become_too_large_is_replaced_after_its_request(
    start_kind: StartKind,
) -> None:
    # Every worker is larger than that, but one that has served nothing is left alone.
    server = start_kind("kraal", pool={"pm.max_children": "2", "pm.max_memory": "1M"})
    before = wait_workers(server, 2)
    held = Held(server)
    (line,) = server.wait_log(r"NOTICE: \[pool www\] child \d+ has \d+ bytes of memory, more than")
    worker = int(line.partition("child ")[2].split()[0])
    assert worker in before
    answer = held.release()
    assert (answer.status, answer.text) == (200, str(worker))
    server.wait_log(rf"NOTICE: \[pool www\] child {worker} exited with code 0 after")
    wait_until(
        lambda: len(server.workers()) == len(before) and worker not in server.workers(),
        what="another one has its place",
    )
    assert server.log_lines("bytes of memory") == [line]
