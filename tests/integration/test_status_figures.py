"""The figures of the status page after thousands of requests, held against what the clients have counted."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartKind
from tests.integration.test_load import CLIENTS, REQUESTS, Answer, Crowd, failed
from tests.integration.test_status import beside, status
from tests.support.nginx import nginx
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, wait_workers

pytestmark = pytest.mark.slow

SLOW = range(100, REQUESTS, 400)
NUMBER = "if ($_GET['number'] % 400 == 100) { usleep(1_400_000); } echo getmypid(), ' ', $_GET['number'];"
QUICK = "echo getmypid(), ' ', $_GET['number'];"
DYNAMIC = {"pm": "dynamic", "pm.start_servers": "1", "pm.min_spare_servers": "1", "pm.max_spare_servers": "2"}


def served(answers: dict[int, Answer]) -> Counter[int]:
    """How many requests each worker has served, as the clients saw it."""
    return Counter(int(body.split()[0]) for _, body in answers.values())


def settled(server: FpmServer) -> dict[str, Any]:
    """The page when all workers are idle: the last one may still be about to note its end."""
    wait_until(lambda: status(server)["active processes"] == 0, what="all are idle")
    return status(server)


def check(found: dict[str, Any], counted: Counter[int]) -> None:
    """Each worker that is there has served as many as the clients say, and all together as well."""
    assert found["accepted conn"] == counted.total()
    shown = {process["pid"]: process["requests"] for process in found["processes"]}
    assert shown == {pid: counted[pid] for pid in shown}
    assert found["total processes"] == len(shown)
    assert found["idle processes"] == len(shown)


def load(server: FpmServer, uri: str) -> Counter[int]:
    with nginx(server.directory, server.root, server.address, kept=CLIENTS // 2) as port:
        answers = Crowd(port, uri).run()
    assert not failed(answers)
    return served(answers)


@pytest.mark.parametrize("sizes", [{}, DYNAMIC], ids=["static", "dynamic"])
def test_figures_are_those_of_the_clients(
    start_kind: StartKind, directory: Path, sizes: dict[str, str]
) -> None:
    slow = {"request_slowlog_timeout": "1s", "slowlog": f"{directory}/slow.log"}
    server = start_kind("kraal", pool=beside(directory) | slow | {"pm.max_children": "6"} | sizes)
    counted = load(server, server.script("number.php", NUMBER))
    found = settled(server)
    check(found, counted)
    assert found["slow requests"] == len(SLOW)
    assert 1 < found["max active processes"] <= 6


@pytest.mark.parametrize("sizes", [{}, DYNAMIC], ids=["static", "dynamic"])
def test_figures_are_true_while_workers_are_recycled(
    start_kind: StartKind, directory: Path, sizes: dict[str, str]
) -> None:
    most = {"pm.max_requests": "50", "pm.max_children": "4"}
    server = start_kind("kraal", pool=beside(directory) | most | sizes)
    counted = load(server, server.script("number.php", QUICK))
    found = settled(server)
    check(found, counted)
    assert max(counted.values()) == 50
    gone = set(counted) - {process["pid"] for process in found["processes"]}
    if not sizes:
        # Nobody leaves before.
        assert {counted[pid] for pid in gone} == {50}


def test_figures_go_on_when_idle_workers_are_killed(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", pool=beside(directory) | {"pm.max_children": "4"})
    uri = server.script("number.php", QUICK)
    counted = load(server, uri)
    for _ in range(3):
        settled(server)
        victim = max(server.workers())
        os.kill(victim, signal.SIGKILL)
        wait_workers(server, 4, without={victim})
        found = settled(server)
        check(found, counted)
        counted += load(server, uri)
    check(settled(server), counted)
    # A worker that is killed at its request has counted it: it was taken.
    held = Held(server)
    (busy,) = [process["pid"] for process in status(server)["processes"] if process["state"] == "Running"]
    os.kill(busy, signal.SIGKILL)
    wait_workers(server, 4, without={busy})
    held.give_up()
    found = settled(server)
    counted[busy] += 1
    check(found, counted)
    assert found["active processes"] == 0
