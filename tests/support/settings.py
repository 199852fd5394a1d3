"""What PHP's settings are, seen by a script."""

import json

from tests.support.servers import FpmServer

# Not `ini_get($name)` with the name as a literal: OPcache may put a value in its place.
GET = "echo json_encode(array_map('ini_get', $_GET['names']));"


def values(server: FpmServer, uri: str, *names: str, **sent: str) -> list[str | bool]:
    """What a script is told of settings, in a request with such params."""
    query = "&".join(f"names[]={name}" for name in names)
    found: list[str | bool] = json.loads(server.fetch(f"{uri}?{query}", extra=sent).body)
    return found
