"""Clients that send half of a request, or nothing, and go on holding their connection."""

from contextlib import ExitStack

from tests.support.fastcgi import Connection, Type, begin, packet, pairs, record, stream
from tests.support.servers import FpmServer
from tests.support.workers import ask_again

LENGTH = "echo strlen(file_get_contents('php://input'));"
SMALL = 60_000  # bytes of a body that is gathered before a worker runs the request


def head(server: FpmServer, uri: str, size: int, method: str = "POST") -> bytes:
    """Of a request whose body is that long, to the end of its params."""
    params = server.params(uri, method=method, extra={"CONTENT_LENGTH": str(size)})
    return begin(flags=1) + stream(Type.PARAMS, [pairs(params)])


def half(server: FpmServer, uri: str, kind: str) -> tuple[bytes, bytes]:
    """What a lazy client has sent, and what it has not."""
    if kind == "half a body":
        sent, rest = record(Type.STDIN, bytes(SMALL // 2)), stream(Type.STDIN, [bytes(SMALL // 2)])
        return head(server, uri, SMALL) + sent, rest
    whole = packet(server.params(uri), keep=True)
    return (whole[:100], whole[100:]) if kind == "half a head" else (b"", whole)


class Lazy:
    """Clients of one kind, on connections that `stack` closes."""

    def __init__(self, server: FpmServer, kind: str, stack: ExitStack, number: int) -> None:
        uri = server.script(f"lazy{len(list(server.root.iterdir()))}.php", LENGTH)
        self.length = SMALL if kind == "half a body" else 0
        self.clients = [stack.enter_context(Connection(server.address, timeout=4)) for _ in range(number)]
        sent, self._rest = half(server, uri, kind)
        for client in self.clients:
            client.send(sent)
            if kind == "kept and idle":
                ask_again(client, server, uri)

    def trickle(self) -> None:
        """Send another byte of each."""
        byte, self._rest = self._rest[:1], self._rest[1:]
        for client in self.clients:
            client.send_if_possible(byte)

    def finish(self) -> bool:
        """Whether all of them are served once they send the rest."""
        for client in self.clients:
            client.send(self._rest)
        return {client.response().text for client in self.clients} == {str(self.length)}
