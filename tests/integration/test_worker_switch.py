"""Worker mode is switched on and off by reloads, and no request is lost."""

import json
from collections.abc import Mapping
from functools import partial

from tests.support.fastcgi import Connection, packet
from tests.support.reloads import configure, reload
from tests.support.residents import Application, Clients, application
from tests.support.wait import wait_until
from tests.support.workers import Held, ask

OFF = {"pm.max_children": "2", "catch_workers_output": "yes"}


def _on(app: Application, match: str = "www/app/*") -> dict[str, str]:
    directory = app.server.directory
    return OFF | {"worker.script": f"{directory}/worker.php", "worker.match": f"{directory}/{match}"}


def _switch(app: Application, pool: Mapping[str, str]) -> None:
    configure(app.server, pool=pool)
    reload(app.server)


def test_a_request_that_waits_for_residents_is_answered_by_those_who_come_after_them() -> None:
    pages = {"pm.status_path": "/status", "pm.status_listen": "DIRECTORY/status.sock"}
    with application(pool=pages) as app:
        server = app.server

        def queue_is_empty() -> bool:
            status = json.loads(ask(f"{server.directory}/status.sock", server, "/status?json"))
            return bool(status["listen queue"] == 0)

        held = Held(server, "app/held")
        with Connection(server.address) as connection:
            # The resident is busy: the ordinary worker takes the connection, and passes the request on.
            connection.send(packet(server.params(app.script("echo 'answer';"))))
            wait_until(queue_is_empty, what="it was accepted")
            _switch(app, OFF)
            assert connection.response().text == "answer"
        assert held.release().status == 200


def test_no_request_is_lost_while_worker_mode_goes_on_and_off() -> None:
    with application() as app, Clients(app) as clients:
        for pool in (OFF, _on(app), _on(app, match="nothing/*"), _on(app), OFF):
            _switch(app, pool)
            enough = clients.answers + 30
            wait_until(partial(clients.have, enough), at_most=30, what="all goes on")
