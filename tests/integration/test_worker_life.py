"""Residents come and go: recycling, reloads and failures, without a lost request."""

import json
import os
import signal
from threading import Thread

from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.residents import Application, Clients, application, program
from tests.support.servers import READY
from tests.support.wait import wait_until


def test_residents_are_replaced_by_number_and_no_request_is_lost() -> None:
    pool = {"worker.max_requests": "40", "pm.max_requests_jitter": "20"}
    with application(number=2, pool=pool) as app:
        first = app.residents()
        with Clients(app) as clients:
            wait_until(lambda: not first & app.residents(), at_most=30, what="both were replaced")
            before = clients.answers
            wait_until(lambda: clients.answers > before + 200, at_most=30, what="it goes on")
        assert "WARNING" not in app.server.log()


def test_residents_are_replaced_by_memory_and_no_request_is_lost() -> None:
    pool = {"pm.max_memory": "60M", "php_admin_value[memory_limit]": "-1"}
    with application(number=2, pool=pool) as app:
        first = app.residents()
        with Clients(app, "$GLOBALS['leak'][] = str_repeat('x', 200000); echo 'answer';"):
            wait_until(lambda: not first & app.residents(), at_most=30, what="both were replaced")
        assert app.server.log_lines("more than pm.max_memory")


def test_a_reload_boots_the_new_code_beside_the_old_and_no_request_is_lost() -> None:
    with application(number=2, boot="$version = 'old';") as app:
        server = app.server
        first = app.residents()
        with Clients(app):
            program(server.directory / "worker.php", boot="usleep(300000); define('VERSION', 'new');")
            server.send(signal.SIGUSR2)
            server.wait_log(READY, times=2, at_most=20)
            assert app.run("echo VERSION;").text == "new"
            wait_until(lambda: not first & set(processes.descendants(server.pid)), what="the old ones left")
        assert len(app.residents()) == 2


def test_a_reload_fails_with_the_reason_if_the_script_does_not_boot() -> None:
    for boot, reason in (
        ("throw new RuntimeException('no database');", "Uncaught RuntimeException: no database"),
        ("exit(1);", "status 1"),
        ("return;", "it ended before it called frankenphp_handle_request()"),
        ("posix_kill(posix_getpid(), 9);", "was being started when its process exited on signal 9"),
    ):
        with application(number=2) as app:
            app.check_reload_fails(boot, reason)


def test_who_cannot_boot_is_tried_again_and_everybody_else_is_served() -> None:
    more: dict[str, dict[str, str]] = {"other": {}}
    boot = "if (file_exists(__DIR__ . '/broken')) { throw new Exception('broken'); }"
    with application(boot=boot, more=more) as app:
        server = app.server
        broken = server.directory / "broken"
        broken.touch()
        plain = server.script("plain.php", "echo 'plain';")
        assert app.run("exit(1);").status == 200
        server.wait_log("worker script .*: .*broken.* \\(next attempt in", times=3)
        assert server.fetch(plain).text == "plain"
        params = server.params(plain)
        with Connection(f"{server.directory}/other.sock") as connection:
            connection.send(packet(params))
            assert connection.response().text == "plain"
        broken.unlink()
        assert app.run("echo 'up again';").text == "up again"


def test_a_resident_that_waits_leaves_at_once_and_its_script_ends() -> None:
    with application(after="if (!$again) { error_log('good bye'); }") as app:
        (pid,) = app.residents()
        app.run("echo 1;")
        os.kill(pid, signal.SIGQUIT)
        app.server.wait_log("good bye")
        wait_until(lambda: app.residents() not in (set(), {pid}), what="another one is there")


def test_a_running_request_is_finished_before_a_resident_leaves() -> None:
    with application() as app:
        gate = app.server.directory / "sessions" / "gate"
        uri = app.script(
            f"while (!file_exists('{gate}')) {{ usleep(1000); clearstatcache(); }} echo 'whole';"
        )
        with Connection(app.server.address) as connection:
            connection.send(packet(app.server.params(uri)))
            (pid,) = app.residents()
            wait_until(lambda: _state(app, pid) == "Running", what="it runs")
            os.kill(pid, signal.SIGQUIT)
            gate.touch()
            assert connection.response().text == "whole"


def _state(app: Application, pid: int) -> str:
    uri = "/fpm-status.php"
    if not (app.server.root / uri[1:]).exists():
        app.server.script(uri[1:], "echo json_encode(fpm_get_status()['procs']);")
    return next((each["state"] for each in json.loads(app.server.fetch(uri).text) if each["pid"] == pid), "")


def test_stages_and_the_access_log_are_of_each_request() -> None:
    after = "while (file_exists(__DIR__ . '/hold')) { usleep(1000); clearstatcache(); }"
    pool = {"access.log": "DIRECTORY/access.log", "access.format": "%m %r %s"}
    with application(after=after, pool=pool) as app:
        server = app.server
        hold = server.directory / "hold"
        (pid,) = app.residents()
        hold.touch()
        uri = app.script("http_response_code(201);")
        assert server.fetch(uri).status == 201
        wait_until(lambda: _state(app, pid) == "Finishing", what="it works on after the answer")
        hold.unlink()
        wait_until(lambda: _state(app, pid) == "Idle", what="it waits")
        assert server.fetch(uri).status == 201
        log = server.directory / "access.log"
        wait_until(lambda: log.read_text().count(f"GET {uri} 201") == 2, what="both are in the access log")


def test_many_residents_share_the_work() -> None:
    with application(number=3) as app:
        uri = app.script("usleep(100000); echo getmypid();")
        found: set[str] = set()

        def ask() -> None:
            found.add(app.server.fetch(uri).text)

        threads = [Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
