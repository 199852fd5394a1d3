"""The workers of a server: wait for them, and hold one of them as long as a test likes."""

from collections.abc import Set

from tests.support import processes
from tests.support.fastcgi import Address, Connection, Response, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workspace import make_directory

GATE = "touch($_GET['started']); while (!file_exists($_GET['gate'])) { usleep(2000); }"


def wait_workers(server: FpmServer, number: int, *, without: Set[int] = frozenset()) -> set[int]:
    """Wait for so many workers, none of which is one of the old ones."""

    def complete() -> set[int] | None:
        found = server.workers()
        return found if len(found) == number and not found & without else None

    return wait_until(complete, what=f"{number} workers") or set()


def titled(server: FpmServer, title: str) -> set[int]:
    """The processes below the master that have this title."""
    return {pid for pid in processes.descendants(server.pid) if processes.command_line(pid) == title}


def manager(server: FpmServer, pool: str = "www") -> int:
    """A worker has its manager's title for a moment, but not its parent."""

    def found() -> set[int]:
        return titled(server, f"kraal: pool {pool} (manager)") & processes.children(server.pid)

    (pid,) = wait_until(found, what="there is a manager")
    return pid


def ask(address: Address, server: FpmServer, uri: str) -> str:
    """Ask another pool of the server."""
    with Connection(address) as connection:
        connection.send(packet(server.params(uri)))
        return connection.response().text


def ask_again(connection: Connection, server: FpmServer, uri: str) -> str:
    """Ask on a connection that is kept."""
    connection.send(packet(server.params(uri), keep=True))
    return connection.response().text


class Held:
    """A request whose script runs until it is released."""

    def __init__(
        self, server: FpmServer, name: str = "held", *, connection: Connection | None = None
    ) -> None:
        """On a connection of its own, or on one that is then kept."""
        place = make_directory(server.directory / name)
        self.gate, started = place / "gate", place / "started"
        uri = server.script(f"{name}.php", GATE + "echo getmypid();")
        self.uri = f"{uri}?gate={self.gate}&started={started}"
        self._kept = connection is not None
        self.connection = connection or Connection(server.address)
        self.connection.send(packet(server.params(self.uri), keep=self._kept))
        wait_until(started.exists, what="the script runs")

    def release(self) -> Response:
        self.gate.touch()
        try:
            return self.connection.response()
        finally:
            if not self._kept:
                self.connection.close()

    def give_up(self) -> None:
        self.gate.touch()
        self.connection.close()
