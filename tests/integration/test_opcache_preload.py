"""Preloading: its classes and functions are in every worker of the pool, its failure is told in one line."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.running import running
from tests.support.servers import READY, Kind
from tests.support.wait import wait_until
from tests.support.workers import ask, manager, wait_workers
from tests.support.workspace import POOL_USER, ROOT, give, workspace

PRELOADED = """<?php
class Loaded { const WORD = 'early'; static function word() { return self::WORD; } }
function loaded_number() { static $number = 0; return ++$number; }
file_put_contents(__DIR__ . '/user', posix_getpwuid(posix_geteuid())['name'], FILE_APPEND);
echo 'nobody sees this';
"""
SHOW = """
    echo json_encode([
        class_exists('Loaded', false) ? Loaded::word() : null,
        function_exists('loaded_number') ? loaded_number() : null,
        opcache_get_status()['preload_statistics']['classes'] ?? null,
    ]);
"""
THERE = ["early", 1, ["Loaded"]]
AWAY = [None, None, None]


@pytest.fixture
def preload(directory: Path) -> Path:
    """A script in a folder of the pool's user."""
    script = directory / "code" / "preload.php"
    script.parent.mkdir()
    script.write_text(PRELOADED)
    give(script.parent)
    return script


def values(script: Path) -> dict[str, str]:
    return {"php_admin_value[opcache.preload]": str(script)}


def arguments(script: Path) -> list[str]:
    """For a whole server: php-fpm starts PHP once, as root, for all pools."""
    return ["-d", f"opcache.preload={script}", *(["-d", f"opcache.preload_user={POOL_USER}"] if ROOT else [])]


def test_preloaded_code_is_in_every_worker_and_request(start_server: StartServer, preload: Path) -> None:
    server = start_server(pool={"pm.max_children": "2"}, arguments=arguments(preload))
    uri = server.script("show.php", SHOW)
    before = wait_workers(server, 2)
    for _ in range(6):
        assert json.loads(server.fetch(uri).body) == THERE
    server.fetch(server.script("reset.php", "opcache_reset();"))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_workers(server, 2, without=before)
    for _ in range(6):
        assert json.loads(server.fetch(uri).body) == THERE
    assert (preload.parent / "user").read_text() == POOL_USER


def test_pool_preloads_for_itself_alone(start_kind: StartKind, preload: Path) -> None:
    server = start_kind("kraal", pool=values(preload), more={"second": {}})
    uri = server.script("show.php", SHOW)
    assert json.loads(server.fetch(uri).body) == THERE
    assert json.loads(ask(f"{server.directory}/second.sock", server, uri)) == AWAY


@pytest.mark.skipif(not ROOT, reason="only root may change users")
@pytest.mark.parametrize("jailed", [False, True])
def test_preloading_script_runs_as_the_user_of_the_pool(
    start_kind: StartKind, preload: Path, directory: Path, jailed: bool
) -> None:
    give(preload.parent, "nobody")
    pool = {"user": "nobody", "group": "nogroup", **values(preload)}
    if jailed:
        pool["chroot"] = str(directory)
    start_kind("kraal", pool=pool)
    assert (preload.parent / "user").read_text() == "nobody"


BROKEN = {
    "is not there": (None, "Failed opening required '.*preload.php'"),
    "cannot be read": ("<?php this is no PHP", "syntax error, unexpected .* on line 1"),
    "throws": ("<?php throw new Exception('no luck');", "Uncaught Exception: no luck in .*preload.php:1"),
    "exits": ("<?php exit(1);", ""),
}


@pytest.fixture(params=BROKEN)
def broken(directory: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """A script that ends preloading, and what is to be said of it."""
    code, message = BROKEN[request.param]
    script = directory / "preload.php"
    if code:
        script.write_text(code)
    return script, message


@pytest.mark.parametrize("kind", ["kraal", "php-fpm"])
def test_server_does_not_start_with_a_broken_preloading_script(
    kind: Kind, directory: Path, broken: tuple[Path, str]
) -> None:
    script, message = broken
    with workspace() as place, running(kind, place, {}, arguments=["-F", "-O", *arguments(script)]) as server:
        wait_until(lambda: server.process.poll() is not None, at_most=20, what="the server gives up")
        assert server.process.poll() != 0
        assert READY not in server.log()
        found = [line for line in server.log().splitlines() if "ERROR: [pool www]" in line]
    if kind == "kraal":
        (line,) = found
        told = line.partition("ERROR: [pool www] ")[2]
        assert told.startswith(f"PHP's module start-up failed with opcache.preload = {script}")
        assert re.search(message, told)


def test_script_that_breaks_later_stops_its_pool_only_until_it_is_mended(
    start_kind: StartKind, preload: Path
) -> None:
    server = start_kind("kraal", pool=values(preload), more={"second": {}})
    uri = server.script("show.php", SHOW)
    preload.write_text("<?php this is no PHP")
    os.kill(manager(server), signal.SIGKILL)
    server.wait_log(
        r"ERROR: \[pool www\] PHP's module start-up failed with opcache.preload = .*: PHP Parse error: .*"
    )
    assert json.loads(ask(f"{server.directory}/second.sock", server, uri)) == AWAY
    preload.write_text(PRELOADED)
    assert json.loads(server.fetch(uri).body) == THERE
