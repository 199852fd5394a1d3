"""Residents beside ordinary workers whose number changes: pm = dynamic and pm = ondemand."""

import os
import signal
from collections.abc import Mapping

import pytest

from tests.support.residents import Application, application
from tests.support.wait import wait_until
from tests.support.workers import Held, titled

DYNAMIC = {
    "pm": "dynamic",
    "pm.max_children": "5",
    "pm.start_servers": "1",
    "pm.min_spare_servers": "1",
    "pm.max_spare_servers": "1",
}
ONDEMAND = {"pm": "ondemand", "pm.max_children": "5", "pm.process_idle_timeout": "1s"}


def ordinary(app: Application) -> set[int]:
    return titled(app.server, "kraal: pool www") & app.server.workers()


@pytest.mark.parametrize("fork", ["yes", "no"])
@pytest.mark.parametrize(("pm", "least"), [(DYNAMIC, 1), (ONDEMAND, 0)], ids=["dynamic", "ondemand"])
def test_ordinary_workers_come_and_go_and_residents_stay(
    pm: Mapping[str, str], least: int, fork: str
) -> None:
    with application(number=2, pool={**pm, "worker.fork": fork}) as app:
        residents = app.residents()
        assert len(residents) == 2
        wait_until(lambda: len(ordinary(app)) == least, what="as many as are to be there at first")
        held = [Held(app.server, f"held{number}") for number in range(3)]
        assert len(ordinary(app)) == 3
        # The one that would be too many waits, and residents do not.
        assert int(app.run("echo getmypid();").text) in residents
        assert {int(each.release().text) for each in held} <= ordinary(app)
        wait_until(lambda: len(ordinary(app)) == least, at_most=30, what="the others left")
        assert app.residents() == residents


def test_an_ondemand_pool_without_residents_serves_other_scripts() -> None:
    boot = "if (file_exists(__DIR__ . '/broken')) { throw new Exception('broken'); }"
    with application(pool=ONDEMAND, boot=boot) as app:
        plain = app.server.script("plain.php", "echo 'plain';")
        (app.server.directory / "broken").touch()
        os.kill(next(iter(app.residents())), signal.SIGKILL)
        app.server.wait_log("worker script .*: .*broken.* \\(next attempt in")
        assert app.server.fetch(plain).text == "plain"
        first = ordinary(app)
        wait_until(lambda: not first & ordinary(app), at_most=20, what="it left, being idle for a second")
        assert app.server.fetch(plain).text == "plain"
        (app.server.directory / "broken").unlink()
        assert app.run("echo 'up again';").text == "up again"
