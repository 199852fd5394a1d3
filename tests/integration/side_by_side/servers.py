"""Both servers with all pools and all cases, and web servers before them."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

from tests.integration.side_by_side.case import Ask, Case
from tests.integration.side_by_side.catalogue import CASES, SLOW
from tests.integration.side_by_side.pools import ENVIRON, POOLS
from tests.support import wire
from tests.support.apache import FORMS, apache
from tests.support.caddy import caddy
from tests.support.fastcgi import Address, Connection, Response, packet
from tests.support.http import HOST
from tests.support.nginx import nginx
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import workspace

# Not those that scripts set themselves, in the last century and at the beginning of this one.
_TIME = re.compile(rb"\w{3}, \d\d[ -]\w{3}[ -]20[2-9]\d \d\d:\d\d:\d\d GMT")


def _pools(root: Path) -> dict[str, dict[str, str]]:
    """With one worker each: a second request waits until the first has done all that it does."""
    return {
        pool: {name: value.replace("ROOT", str(root)) for name, value in settings.items()}
        for pool, settings in POOLS.items()
    }


def host(pool: str) -> str:
    return HOST if pool == "www" else f"{pool}.{HOST}"


@dataclass
class Side:
    """One of the two servers, and the ports of web servers before it."""

    server: FpmServer
    stack: ExitStack
    ports: dict[str, int] = field(default_factory=dict)

    def address(self, pool: str) -> Address:
        return self.server.address if pool == "www" else f"{self.server.directory}/{pool}.sock"

    def port(self, front: str) -> int:
        """Start that web server if need be."""
        if front not in self.ports:
            place = self.stack.enter_context(workspace())
            root, backend = self.server.root, self.server.address
            hosts = {host(pool): self.address(pool) for pool in POOLS if pool != "www"}
            if front == "nginx":
                running = nginx(place, root, backend, hosts=hosts)
            elif front == "caddy":
                running = caddy(place, root, backend, hosts=hosts)
            else:
                form = next(form for form in FORMS if form == front)
                running = apache(place, root, backend, form, hosts=hosts)
            self.ports[front] = self.stack.enter_context(running)
        return self.ports[front]

    def ask(self, case: Case, ask: Ask) -> Response:
        """Without a web server."""
        params = self.server.params(case.url(ask), method=ask.method, body=ask.body, headers=ask.headers)
        with Connection(self.address(case.pool)) as connection:
            connection.send_if_possible(packet(params, ask.body))
            return connection.response()

    def ask_front(self, front: str, case: Case, ask: Ask) -> wire.Answer:
        """What the web server says; of Caddy, variables in the order of their names."""
        headers: Mapping[str, str] = {"Host": host(case.pool), "User-Agent": "kraal-test", **ask.headers}
        sent = wire.request(ask.method, case.url(ask), headers, ask.body)
        answer = wire.parse(wire.exchange(self.port(front), sent))
        if front == "caddy" and answer.body.startswith(b"{"):
            # Caddy sends variables in another order each time.
            body = json.dumps(json.loads(answer.body), indent=1, sort_keys=True).encode()
            return wire.Answer(answer.head, body)
        return answer

    def anonymous(self, content: bytes) -> bytes:
        """Without what is different between two servers of one kind: times, and places and numbers."""
        content = _TIME.sub(b"TIME", content)
        content = content.replace(str(self.server.directory).encode(), b"PLACE")
        ports = b"|".join(str(port).encode() for port in (*self.ports.values(), self.server.address[1]))
        # Not wherever such digits are: other numbers may have them, too.
        return re.sub(rb"(SERVER_PORT[^\d\n]{1,20}|:)(%s)(?!\d)" % ports, rb"\1PORT", content)


def difference(found: Mapping[Kind, list[bytes]]) -> str:
    """What kraal adds (+) to php-fpm's answer and leaves out (-) of it; nothing if they are equal."""
    if found["kraal"] == found["php-fpm"]:
        return ""
    fpm, kraal = ([repr(line)[2:-1] for line in found[kind]] for kind in ("php-fpm", "kraal"))
    return "\n".join(line[:1000] for line in unified_diff(fpm, kraal, "php-fpm", "kraal", n=0, lineterm=""))


@contextmanager
def sides() -> Iterator[dict[Kind, Side]]:
    """Both servers over one document root, where all cases are written."""
    with ExitStack() as stack:
        root = stack.enter_context(workspace())
        for case in CASES + SLOW:
            case.write(root)
            stack.callback(case.unlock, root)
        pools = _pools(root)
        found = {}
        for kind in KINDS:
            place = stack.enter_context(workspace())
            more = {name: settings for name, settings in pools.items() if name != "www"}
            server = FpmServer.start(
                kind, place, tcp=True, root=root, pool=pools["www"], more=more, environ=ENVIRON
            )
            stack.callback(server.stop)
            found[kind] = Side(server, stack)
        yield found
