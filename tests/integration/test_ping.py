"""`kraal ping`: who answers, who is asleep, and who does not answer, asked on the sockets themselves."""

import json
import os
import signal
import subprocess
from typing import Any

from tests.integration.conftest import StartKind
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, manager, titled


def ping(server: FpmServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [*executable("kraal"), "ping", "-y", f"{server.directory}/fpm.conf", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def answers(server: FpmServer, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    done = ping(server, "--json", *arguments)
    assert (done.returncode, done.stderr) == (code, "")
    return {each.pop("pool"): each for each in json.loads(done.stdout)}


def test_every_pool_answers_by_a_worker_on_its_own_socket(start_kind: StartKind) -> None:
    server = start_kind("kraal", tcp=True, pool={"ping.path": "/ping"}, more={"shop": {}})

    found = answers(server)
    assert {name: (each["state"], each["checked"]) for name, each in found.items()} == {
        "www": ("answers", "/ping"),
        "shop": ("answers", "FastCGI values"),
    }
    assert all(each["ms"] >= 0 for each in found.values())
    assert list(answers(server, "--pool", "shop")) == ["shop"]

    shown = ping(server)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["pool", "www", "shop"]


def test_own_answer_of_a_pool_is_the_one_that_counts(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"ping.path": "/ping", "ping.response": "still here"})
    assert answers(server)["www"]["state"] == "answers"

    config = server.directory / "fpm.conf"
    config.write_text(config.read_text().replace("still here", "changed"))
    assert answers(server, code=1)["www"]["failure"].startswith("another page was answered")


def test_pool_whose_workers_are_all_busy_is_silent_and_says_why(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"ping.path": "/ping"}, more={"shop": {}})
    held = Held(server)

    done = ping(server, "--timeout", "0.2")
    assert done.returncode == 1
    assert "shop" in done.stdout
    said = "kraal ping: pool www: no answer within 0.2 seconds; workers: 1 active, 0 idle\n"
    assert done.stderr == said
    assert held.release().status == 200
    wait_until(lambda: ping(server).returncode == 0, what="the pool answers again")


def test_pool_that_is_asleep_is_told_so_and_not_woken(start_kind: StartKind) -> None:
    ondemand = {"pm": "ondemand", "pm.process_idle_timeout": "1s"}
    server = start_kind("kraal", more={"rare": ondemand})

    assert answers(server)["rare"]["state"] == "asleep"
    assert titled(server, "kraal: pool rare (manager)") == set()
    assert ping(server).returncode == 0

    assert answers(server, "--wake")["rare"]["state"] == "answers"


def test_who_cannot_know_whether_a_pool_is_asleep_does_not_wake_it(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"rare": {"pm": "ondemand"}})
    server.pid_file.rename(server.directory / "elsewhere")

    found = answers(server, code=1)["rare"]
    (server.directory / "elsewhere").rename(server.pid_file)
    assert found["state"] == "silent"
    assert titled(server, "kraal: pool rare (manager)") == set()
    assert "fpm.pid: No such file or directory" in found["failure"]


def test_pool_that_is_stuck_or_gone_is_silent(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        assert answers(server, "--timeout=0.2", code=1)["www"]["failure"].startswith("no answer within")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert manager(server)
    server.stop()
    assert answers(server, code=1)["www"]["failure"] == "No such file or directory"


def test_wrong_words_are_refused(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    assert ping(server, "--timeout", "never").returncode == 64
    done = ping(server, "--pool", "none")
    assert (done.returncode, done.stderr) == (70, "kraal ping: there is no pool none; there are: www\n")
