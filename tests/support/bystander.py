"""A client of another pool, that asks all the time while something goes wrong elsewhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until

NAME = "bystander"
# The pool of a server that it asks.
POOL = {NAME: {"pm.max_children": "2"}}


class Bystander:
    """Asks one request after the other, each on a connection of its own."""

    def __init__(self, server: FpmServer) -> None:
        self._address = f"{server.directory}/{NAME}.sock"
        self._request = packet(server.params(server.script(f"{NAME}.php", "echo 'served';")))
        self._over = threading.Event()
        self.served = 0
        self.failures: list[str] = []

    def run(self) -> None:
        """Ask until it is over."""
        while not self._over.wait(0.002):
            try:
                with Connection(self._address) as connection:
                    connection.send(self._request)
                    assert connection.response().text == "served"
                self.served += 1
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(repr(error))

    def end(self) -> None:
        """No further requests."""
        self._over.set()

    def wait_served(self, number: int = 20) -> None:
        """Wait for so many more answers: what others suffer from goes on meanwhile."""
        enough = self.served + number
        wait_until(lambda: self.served >= enough or self.failures, what=f"{number} more answers")
        assert self.failures == []


@contextmanager
def bystander(server: FpmServer) -> Iterator[Bystander]:
    """One that has got an answer to each of its requests, from the beginning to the end."""
    client = Bystander(server)
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        client.wait_served()
        yield client
        client.wait_served()
    finally:
        client.end()
        thread.join()
    assert client.failures == []
