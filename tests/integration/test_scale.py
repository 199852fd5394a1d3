"""Many pools and many workers; bench/scale.py has the same with larger numbers, and measures."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support import processes
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import ask, manager, titled, wait_workers
from tests.support.workspace import workspace

DORMANT = 300
POOLS = 20
WORKERS = 300
ONDEMAND = {"pm": "ondemand", "pm.max_children": "2", "pm.process_idle_timeout": "60s"}


def memory(pid: int, kind: str = "Pss") -> int:
    """Bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{kind}:"))


def names(number: int) -> list[str]:
    return [f"pool{index}" for index in range(number)]


def everybody_answers(server: FpmServer, pools: list[str]) -> None:
    uri = server.script("pool.php", "echo basename($_SERVER['SCRIPT_NAME']), getmypid();")
    answers = {ask(f"{server.directory}/{pool}.sock", server, uri) for pool in pools}
    assert len(answers) == len(pools), "each has a worker of its own"


@pytest.mark.timeout(120)
def test_pools_that_sleep_cost_descriptors_and_little_memory(start_kind: StartKind) -> None:
    server = start_kind("kraal", more=dict.fromkeys(names(DORMANT), ONDEMAND))
    assert processes.children(server.pid) == {manager(server)}
    assert len(list(server.directory.glob("pool*.sock"))) == DORMANT
    assert len(os.listdir(f"/proc/{server.pid}/fd")) < 8 * DORMANT
    assert memory(server.pid) < 100 << 20
    everybody_answers(server, names(DORMANT)[:: DORMANT // 3])
    assert len(processes.children(server.pid)) == 1 + 3


@pytest.mark.timeout(120)
def test_pools_of_one_worker_all_answer(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={name: {} for name in names(POOLS)})
    everybody_answers(server, names(POOLS))
    assert len(processes.children(server.pid)) == POOLS + 1
    # A manager, a nursery and a worker each.
    assert len(processes.descendants(server.pid)) == 3 * (POOLS + 1)


@pytest.fixture(scope="module")
def large() -> Iterator[FpmServer]:
    pool = {"pm.max_children": str(WORKERS), "pm.status_path": "/status"}
    with workspace() as directory:
        server = FpmServer.start("kraal", directory, pool=pool)
        try:
            wait_workers(server, WORKERS)
            yield server
        finally:
            server.stop()


def test_every_request_of_a_crowd_is_answered(large: FpmServer) -> None:
    uri = large.script("slow.php", "usleep(20000); echo getmypid();")
    with ThreadPoolExecutor(64) as clients:
        answers = list(clients.map(lambda _: large.fetch(uri).text, range(2 * WORKERS)))
    assert len(answers) == 2 * WORKERS
    assert {int(answer) for answer in answers} <= large.workers()


def test_status_page_has_a_row_for_each_worker(large: FpmServer) -> None:
    page = json.loads(large.fetch("/status?json&full").text)
    assert page["total processes"] == WORKERS
    assert {row["pid"] for row in page["processes"]} == large.workers()


def test_idle_workers_share_their_memory(large: FpmServer) -> None:
    sizes = sorted(memory(pid, "Private_Dirty") for pid in large.workers())
    # Some have answered requests.
    assert sizes[0] < 300 << 10
    assert sum(map(memory, processes.descendants(large.pid))) < (100 << 20) + WORKERS * (1 << 20)


def test_manager_has_no_descriptor_for_each_worker(large: FpmServer) -> None:
    assert len(os.listdir(f"/proc/{manager(large)}/fd")) < 60


def test_worker_that_is_replaced_shares_its_memory_too(large: FpmServer) -> None:
    before = large.workers()
    os.kill(min(before), signal.SIGKILL)
    (new,) = wait_workers(large, WORKERS, without={min(before)}) - before
    assert memory(new, "Private_Dirty") < 300 << 10
    assert processes.status(new)["PPid"] == str(manager(large))


def test_nursery_that_is_killed_is_replaced(large: FpmServer) -> None:
    (nursery,) = titled(large, "kraal: pool www (nursery)")
    before = large.workers()
    os.kill(nursery, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{nursery}").exists(), what="it is reaped")
    os.kill(min(before), signal.SIGKILL)
    wait_workers(large, WORKERS, without={min(before)})
    assert titled(large, "kraal: pool www (nursery)") - {nursery}
