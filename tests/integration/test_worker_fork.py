"""Residents that are forked off a booted process: what they share, what is their own, and who dies when."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.residents import Application, Clients, application, program
from tests.support.servers import READY, FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, manager

# What is done in the processes of the pool is written down by them, in the folder that they may write to.
SAY = """function say(string $what): void {
    file_put_contents(__DIR__ . '/sessions/said', "$what " . getmypid() . "\\n", FILE_APPEND | LOCK_EX);
}
"""
HOOKS = f"""{SAY}
say('boot');
kraal_before_fork(fn () => say('before'));
kraal_after_fork(fn () => say('after'));
"""
MEGABYTES = 24


@contextmanager
def forking(
    *,
    number: int = 1,
    boot: str = HOOKS,
    pool: dict[str, str] | None = None,
) -> Iterator[Application]:
    settings = {"worker.fork": "yes", **(pool or {})}
    told = {"log_level": "debug"}
    with application(number=number, boot=boot, pool=settings, options=told) as app:
        yield app


def said(app: Application) -> list[tuple[str, int]]:
    """What happened, and in which process."""
    lines = (app.server.directory / "sessions" / "said").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def times(app: Application, event: str) -> int:
    """How often that has happened."""
    return [what for what, _pid in said(app)].count(event)


def zygote(server: FpmServer, *, other: int = 0) -> int:
    """The process that the residents are forked off; by the log, as those have its title for a moment."""

    def found() -> int | None:
        *_, last = re.findall(r"zygote (\d+) started", server.log())
        return int(last) if int(last) != other else None

    return wait_until(found, what="there is a zygote") or 0


def pss(pid: int) -> int:
    """Kilobytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


# ---------------------------------------------------------------- what is shared, and what is not


def test_the_script_is_booted_once_and_hooks_run_where_they_belong() -> None:
    with forking(number=3) as app:
        source, residents = zygote(app.server), app.residents()
        events = said(app)
        assert events[:2] == [("boot", source), ("before", source)]
        assert sorted(events[2:]) == sorted(("after", pid) for pid in residents)
        # They are children of the manager, as all workers.
        assert residents < processes.children(manager(app.server))
        assert not processes.children(source)
        assert int(app.run("echo getmypid();").text) in residents


def test_garbage_of_the_boot_is_collected_before_it_is_copied() -> None:
    boot = f"""{SAY}
        class Cycle {{ public $self; function __destruct() {{ say('collected'); }} }}
        $cycle = new Cycle;
        $cycle->self = $cycle;
        unset($cycle);"""
    with forking(number=2, boot=boot) as app:
        assert app.run("echo gc_collect_cycles();").text == "0"
        assert said(app) == [("collected", zygote(app.server))]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look into processes of others")
def test_what_the_boot_has_made_is_in_memory_once() -> None:
    boot = f"$kept_data = str_repeat('x', {MEGABYTES} << 20);"
    with forking(number=3, boot=boot) as app:
        for _ in range(20):
            assert app.run("echo strlen($GLOBALS['kept_data']);").text == str(MEGABYTES << 20)
        sizes = [pss(pid) for pid in (*app.residents(), zygote(app.server))]
        assert sum(sizes) < 2.5 * MEGABYTES * 1024, sizes


def test_random_numbers_and_ids_are_of_each_process() -> None:
    boot = "mt_rand(); lcg_value(); uniqid('', true);"
    code = """session_start();
        usleep(20000);
        echo json_encode([getmypid(), mt_rand(), lcg_value(), random_int(0, PHP_INT_MAX), session_id(),
            substr(uniqid('', true), 13)]);"""
    with forking(number=3, boot=boot) as app:
        app.server.script("app/ids.php", code)
        found: dict[int, list[object]] = {}

        def ask() -> bool:
            # Residents in turn, as each is killed when it has answered.
            pid, *numbers = json.loads(app.server.fetch("/app/ids.php").text)
            found[pid] = numbers
            os.kill(pid, signal.SIGKILL)
            return len(found) == 5

        wait_until(ask, what="five processes have answered")
        for values in zip(*found.values(), strict=True):
            assert len(set(values)) == len(found), values


def test_a_forked_worker_handles_requests_like_any_other() -> None:
    boot = "ob_start(); echo 'lost'; ini_set('precision', '5'); putenv('BOOTED=1'); chdir('/');"
    code = """echo json_encode([getmypid() === posix_getpid(), ob_get_clean(), ini_get('precision'),
        getenv('BOOTED'), getcwd(), $_GET['n'], $kept->count, $_SERVER['FRANKENPHP_WORKER']]);"""
    with forking(boot=boot) as app:
        uri = app.script(code)
        for number in range(1, 4):
            answer = json.loads(app.server.fetch(f"{uri}?n={number}").text)
            assert answer == [True, "", "5", "1", "/", str(number), number, "1"]


def test_what_hooks_set_is_as_if_the_boot_had_set_it() -> None:
    boot = """kraal_before_fork(function () { putenv('BEFORE=1'); ini_set('precision', '6'); });
        kraal_after_fork(function () { putenv('AFTER=1'); ini_set('serialize_precision', '7'); });"""
    code = """echo json_encode([getenv('BEFORE'), getenv('AFTER'), ini_get('precision'),
            ini_get('serialize_precision')]);
        putenv('AFTER=2'); ini_set('precision', '1');"""
    with forking(boot=boot) as app:
        uri = app.script(code)
        for _ in range(2):
            assert json.loads(app.server.fetch(uri).text) == ["1", "1", "6", "7"]


def test_hooks_are_taken_only_while_a_script_boots_that_is_to_be_forked() -> None:
    boot = "$taken = [kraal_before_fork(fn () => 0), kraal_after_fork(fn () => 0)];"
    code = (
        "echo json_encode([$GLOBALS['taken'] ?? null, kraal_before_fork('time'), kraal_after_fork('time')]);"
    )
    with forking(boot=boot) as app:
        assert json.loads(app.run(code).text) == [[True, True], False, False]
        assert json.loads(app.server.fetch(app.server.script("plain.php", code)).text) == [None, False, False]
    with application(boot=boot) as app:
        assert json.loads(app.run(code).text) == [[False, False], False, False]


def test_a_hook_cannot_wait_for_requests() -> None:
    boot = """kraal_after_fork(function () {
        try {
            frankenphp_handle_request(fn () => 0);
        } catch (RuntimeException $e) {
            $GLOBALS['refused'] = true;
        }
    });"""
    with forking(boot=boot) as app:
        assert app.run("var_export($GLOBALS['refused']);").text == "true"


# ---------------------------------------------------------------- coming and going


def test_successors_are_forked_and_not_booted() -> None:
    with forking(pool={"worker.max_requests": "5"}) as app:
        (first,) = app.residents()
        uri = app.script("echo getmypid();")
        os.kill(first, signal.SIGKILL)
        pids = {first}

        def several() -> bool:
            pids.add(int(app.server.fetch(uri).text))
            return len(pids) > 4

        wait_until(several, what="some were recycled")
        assert times(app, "boot") == 1


def test_recycling_under_load_loses_and_doubles_no_request() -> None:
    file = "dirname(__DIR__, 2) . '/sessions/count'"
    count = f"file_put_contents({file}, '.', FILE_APPEND | LOCK_EX); echo 'answer';"
    with forking(number=2, pool={"worker.max_requests": "25", "pm.max_requests_jitter": "10"}) as app:
        with Clients(app, count) as clients:
            wait_until(lambda: times(app, "after") > 10, at_most=30, what="many were recycled")
        done = (app.server.directory / "sessions" / "count").stat().st_size
        assert done == clients.answers
        assert times(app, "boot") == 1
        assert "WARNING" not in app.server.log()


def test_death_of_the_zygote_under_load_loses_no_request() -> None:
    with forking(number=2, pool={"worker.max_requests": "50"}) as app:
        with Clients(app) as clients:
            source = 0
            for _ in range(3):
                source = zygote(app.server, other=source)
                os.kill(source, signal.SIGKILL)
                enough = clients.answers + 150
                wait_until(partial(clients.have, enough), at_most=30, what="all goes on")
        lines = app.server.wait_log("worker script .*next attempt in", times=3)
        assert "(next attempt in 0." in lines[0]
        wait_until(lambda: len(app.residents()) == 2, what="both are there")


def test_a_script_that_ends_is_replaced_by_a_fork_and_no_request_is_lost() -> None:
    ends = "echo 'answer'; if (random_int(0, 9) === 0) { exit; }"
    with forking(number=2) as app:
        with Clients(app, ends) as clients:
            wait_until(lambda: clients.answers > 200, at_most=30, what="many were answered")
        assert app.server.log_lines("has ended .* starting it again")
        # Whoever had been let in by one that ended was answered by it, if need be after another boot.
        assert times(app, "after") > 3


def test_crash_of_a_resident_loses_its_request_only() -> None:
    with forking() as app:
        broken, good = app.script("posix_kill(posix_getpid(), 11);"), app.script("echo 'good';")
        for _ in range(5):
            with Connection(app.server.address) as connection:
                connection.send(packet(app.server.params(broken)))
                assert not connection.rest()
            assert app.server.fetch(good).text == "good"
        assert times(app, "boot") == 1


def test_a_reload_boots_the_new_code_and_ends_the_old_zygote() -> None:
    with forking(number=2, boot="define('VERSION', 'old');") as app:
        server = app.server
        old = {zygote(server), *app.residents()}
        with Clients(app):
            program(server.directory / "worker.php", boot="define('VERSION', 'new');")
            server.send(signal.SIGUSR2)
            server.wait_log(READY, times=2, at_most=20)
            assert app.run("echo VERSION;").text == "new"
            wait_until(lambda: not old & processes.descendants(server.pid), what="the old ones left")
        assert len(app.residents()) == 2
        assert zygote(server) not in old


def test_a_change_of_watched_files_replaces_the_zygote() -> None:
    with forking(boot="define('VERSION', 'old');", pool={"worker.watch": "DIRECTORY/worker.php"}) as app:
        old = zygote(app.server)
        program(app.server.directory / "worker.php", boot="define('VERSION', 'new');")
        app.server.wait_log("changed: starting the worker script again")
        zygote(app.server, other=old)
        wait_until(lambda: app.run("echo VERSION;").text == "new", what="the new code is there")
        assert not app.server.log_lines("the zygote exited")


def test_zygote_and_residents_end_with_their_manager() -> None:
    with forking(number=2) as app:
        everybody = {zygote(app.server), *app.residents()}
        os.kill(manager(app.server), signal.SIGKILL)
        wait_until(lambda: not everybody & processes.descendants(app.server.pid), what="they are gone")
        assert app.run("echo 'again';").text == "again"


def test_zygote_ends_when_the_server_stops() -> None:
    with forking() as app:
        source = zygote(app.server)
        app.server.stop()
        assert not processes.alive(source)


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("boot", "reason"),
    [
        ("throw new RuntimeException('no database');", "Uncaught RuntimeException: no database"),
        ("kraal_before_fork(function () { exit(3); });", "a hook of its fork has ended it"),
        ("kraal_before_fork(function () { throw new Exception('spoilt'); });", "Uncaught Exception: spoilt"),
        ("kraal_after_fork(function () { nobody(); });", "Call to undefined function nobody()"),
        (
            "kraal_after_fork(function () { ini_set('memory_limit', '4M'); str_repeat('x', 9 << 20); });",
            "memory size",
        ),
        ("kraal_after_fork(function () { posix_kill(posix_getpid(), 9); });", "exited on signal 9"),
        ("posix_kill(posix_getpid(), 9);", "was being started when its process exited on signal 9"),
    ],
)
def test_a_reload_fails_with_the_reason_if_the_boot_or_a_hook_fails(boot: str, reason: str) -> None:
    with forking() as app:
        app.check_reload_fails(boot, reason)


def test_a_hook_that_fails_later_is_tried_again() -> None:
    fails = "if (file_exists(__DIR__ . '/broken')) { throw new Exception('spoilt'); }"
    boot = f"kraal_after_fork(function () {{ {fails} }});"
    with forking(boot=boot) as app:
        broken = app.server.directory / "broken"
        broken.touch()
        os.kill(next(iter(app.residents())), signal.SIGKILL)
        app.server.wait_log("worker script .*: .*spoilt.* \\(next attempt in", times=3)
        broken.unlink()
        assert app.run("echo 'up again';").text == "up again"


def test_an_exception_of_a_hook_can_be_caught_where_the_script_waits() -> None:
    source = """<?php
    kraal_after_fork(function () { throw new Exception('once'); });
    $handler = function () { require $_SERVER['SCRIPT_FILENAME']; };
    do {
        $again = true;
        try {
            $again = frankenphp_handle_request($handler);
        } catch (Exception $e) {
            $caught = $e->getMessage();
        }
    } while ($again);"""
    with forking() as app:
        (app.server.directory / "worker.php").write_text(source)
        app.server.send(signal.SIGUSR2)
        app.server.wait_log(READY, times=2, at_most=20)
        assert app.run("echo $GLOBALS['caught'];").text == "once"


def test_a_script_that_has_started_threads_is_not_forked() -> None:
    declared = "int pthread_create(unsigned long *, void *, void *, void *); int pause(void);"
    boot = f"""$c = FFI::cdef('{declared}', 'libc.so.6');
        $thread = $c->new('unsigned long');
        $c->pthread_create(FFI::addr($thread), null, $c->pause, null);"""
    with forking(pool={"php_admin_value[ffi.enable]": "1"}) as app:
        program(app.server.directory / "worker.php", boot=boot)
        app.server.send(signal.SIGUSR2)
        app.server.wait_log("reload failed: everything goes on as before")
        assert app.server.log_lines("worker script .*: it has started threads")


# ---------------------------------------------------------------- being looked at


def test_slow_requests_of_a_forked_worker_are_written_down_with_their_stack() -> None:
    pool = {"slowlog": "DIRECTORY/slow.log", "request_slowlog_timeout": "1s"}
    with forking(pool=pool) as app:
        uri = app.script("function held() { fgets(fopen($_GET['gate'], 'r')); } held();")
        gate = app.server.directory / "gate"
        os.mkfifo(gate)
        log = app.server.directory / "slow.log"
        with Connection(app.server.address) as connection:
            connection.send(packet(app.server.params(f"{uri}?gate={gate}")))
            wait_until(lambda: log.exists() and "held()" in log.read_text(), what="it is written down")
            gate.open("w").close()
            connection.response()
        text = log.read_text()
        (pid,) = app.residents()
        assert f"[pool www] pid {pid}" in text
        assert "kraal_handle_request()" in text or "frankenphp_handle_request()" in text


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look into workers of others")
def test_stack_of_a_forked_worker_is_shown() -> None:
    with forking() as app:
        held = Held(app.server, "app/held")
        command = [*executable("kraal"), "trace", str(min(app.residents()))]
        shown = wait_until(
            lambda: (
                (found := subprocess.run(command, capture_output=True, check=False)).returncode == 0
                and b"handle_request()" in found.stdout
            ),
            what="its stack is shown",
        )
        assert shown
        held.release()


def test_opcache_is_not_emptied_while_a_forked_worker_uses_it() -> None:
    boot = "if (file_exists(__DIR__ . '/broken')) { throw new Exception('broken'); }"
    with forking(boot=boot) as app:
        server = app.server
        reset = server.script("reset.php", "var_export(opcache_reset());")
        pending = server.script("pending.php", "var_export(opcache_get_status(false)['restart_pending']);")
        assert app.run("echo 1;").text == "1"
        # Nobody but the resident uses it, as the zygote is gone and cannot come back.
        (server.directory / "broken").touch()
        os.kill(zygote(server), signal.SIGKILL)
        server.wait_log("worker script .*: .*broken.* \\(next attempt in")
        assert server.fetch(reset).text == "true"
        assert [server.fetch(pending).text for _ in range(3)] == ["true"] * 3
        os.kill(min(app.residents()), signal.SIGKILL)
        wait_until(lambda: server.fetch(pending).text == "false", what="it is emptied")


def test_other_descriptors_than_a_workers_are_closed_in_residents() -> None:
    """What the zygote and its manager need for themselves is nothing for scripts."""
    pool = {"slowlog": "DIRECTORY/slow.log", "request_slowlog_timeout": "100s"}
    with forking(number=2, pool=pool) as app, application(number=2, pool=pool) as other:
        forked, booted = (
            sorted(name.partition(":")[0] for name in processes.descriptors(min(each.residents())).values())
            for each in (app, other)
        )
        assert len(forked) <= len(booted) + 1  # its own page of memory for the log
        assert not [name for name in forked if name.endswith("/mem")]
