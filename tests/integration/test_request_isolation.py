"""Requests in one worker: nothing that one of them changes is to be seen in the next."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.conftest import StartServer
from tests.support.disturbances import BROKEN, DISTURBANCES, LIBRARY, PROBE, STAYING
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.workers import wait_workers

# The second pool has a new worker for every request.
SHARED = {"more": {"fresh": {"pm.max_requests": "1"}}}
# In php-fpm what the web server sends stays in the worker, and a kept connection keeps it from others.
STAYS_IN_PHP_FPM = {"value", "admin value"}
Seen = dict[str, Any]


class Site:
    """The scripts of the disturbances and the probe, on a server whose first pool has one worker."""

    def __init__(self, server: FpmServer) -> None:
        self._server = server
        self._kept: Connection | None = None
        server.script("library.php", LIBRARY)
        server.script("broken.php", BROKEN)
        self._probe = server.script("probe.php", PROBE)
        self._uris = {
            name: server.script(f"{name.replace(' ', '-')}.php", disturbance.code)
            for name, disturbance in DISTURBANCES.items()
        }
        seeded = server.script(
            "seeded.php", "mt_srand(42); for ($i = 0; $i < 9; $i++) { echo mt_rand(), ' '; }"
        )
        self._seeded = server.fetch(seeded).text.split()
        for _ in range(2):  # the second finds all scripts in the pool's cache
            self._look(server.address)
            self.untouched = self._look(f"{server.directory}/fresh.sock")[1]

    @property
    def names(self) -> list[str]:
        """Of the disturbances that are to leave nothing."""
        return sorted(DISTURBANCES.keys() - (STAYS_IN_PHP_FPM if self._server.kind == "php-fpm" else set()))

    def disturb(self, name: str, *, kept: bool) -> None:
        """Send a request, on a kept connection if php-fpm is not the one to wait for it."""
        disturbance = DISTURBANCES[name]
        kept = kept and self._server.kind == "kraal" and not disturbance.leaves
        params = self._server.params(
            f"{self._uris[name]}?{disturbance.query}",
            method=disturbance.method,
            body=disturbance.body,
            headers=disturbance.headers,
            extra=disturbance.extra,
        )
        content = packet(params, disturbance.body, keep=kept)
        if kept:
            self._kept = self._kept or Connection(self._server.address)
            self._kept.send(content)
            self._kept.response()
            return
        with Connection(self._server.address) as connection:
            connection.send(content)
            if not disturbance.leaves:
                connection.response()

    def run(self, code: str, name: str) -> None:
        """Send a request for a script of its own."""
        assert self._server.fetch(self._server.script(name, code)).status == 200

    def look(self) -> Seen:
        """What the worker shows that a new one does not.  It is replaced if there is something."""
        worker, seen = self._look(self._server.address)
        changed = differences(self.untouched, seen)
        if changed:
            self.close()
            os.kill(worker, signal.SIGKILL)
            wait_workers(self._server, 2, without={worker})
        return changed

    def _look(self, address: Any) -> tuple[int, Seen]:
        with Connection(address) as connection:
            connection.send(packet(self._server.params(self._probe)))
            response = connection.response()
        assert response.status == 200, response
        link, numbers, found = response.text.split("\n", 2)
        worker, number = numbers.split()
        assert number not in self._seeded
        seen: Seen = {name: json.loads(value) for name, value in json.loads(found).items()}
        answer = [link, sorted(response.headers), response.stderr.decode()]
        return int(worker), seen | {"answer": answer}

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept:
            self._kept.close()
            self._kept = None


def differences(expected: Any, found: Any) -> Seen:
    """Both values of all that differs, by name; settings by their own."""
    names = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
    changed: Seen = {name: (expected.get(name), found.get(name)) for name in names}
    if "settings" in changed:
        changed["settings"] = differences(*changed["settings"])
    return changed


@pytest.fixture(scope="module")
def site(shared_server: FpmServer) -> Iterator[Site]:
    site = Site(shared_server)
    yield site
    site.close()


def test_no_request_leaves_anything_to_the_next(site: Site) -> None:
    left = {}
    for name in site.names:
        site.disturb(name, kept=False)
        if changed := site.look():
            left[name] = changed
    assert left == {}


@settings(max_examples=150, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_no_sequence_of_requests_leaves_anything_to_the_next(site: Site, data: st.DataObject) -> None:
    """The same sequences in every run."""
    requests = st.lists(st.tuples(st.sampled_from(site.names), st.booleans()), min_size=1, max_size=12)
    for name, kept in data.draw(requests):
        site.disturb(name, kept=kept)
    assert site.look() == {}


def test_what_stays_in_a_worker_is_what_the_manual_says(start_server: StartServer) -> None:
    """docs/isolation.md has the list.  Whoever shortens it may be glad."""
    site = Site(start_server(**SHARED))
    for number, code in enumerate(STAYING.values()):
        site.run(code, f"staying-{number}.php")
    assert site.look().keys() == STAYING.keys()
