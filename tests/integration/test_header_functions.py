"""What scripts are told of headers: as by php-fpm of a request's, as by PHP's own server of a response's."""

import json
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.fastcgi import Connection, Type, begin, pair, record, stream
from tests.support.servers import KINDS, FpmServer, Kind, free_port
from tests.support.wait import wait_until
from tests.support.workspace import workspace

TWINS = {"arguments": ["-d", "expose_php=1"]}

# ---------------------------------------------------------------- of the request

NAMES: dict[str, list[tuple[bytes, bytes]]] = {
    "ordinary": [(b"HTTP_HOST", b"here"), (b"HTTP_ACCEPT_LANGUAGE", b"de"), (b"HTTP_X_A_B", b"1")],
    "of the body": [
        (b"CONTENT_TYPE", b"text/x"),
        (b"CONTENT_LENGTH", b"0"),
        (b"HTTP_CONTENT_TYPE", b"other"),
    ],
    "empty values": [(b"HTTP_X", b""), (b"CONTENT_TYPE", b""), (b"CONTENT_LENGTH", b"")],
    "twice": [(b"HTTP_X", b"1"), (b"HTTP_Y", b"2"), (b"HTTP_X", b"3")],
    "same but for its case": [(b"HTTP_X_Y", b"1"), (b"HTTP_x_y", b"2"), (b"HTTP_X-Y", b"3")],
    "underscores": [
        (b"HTTP_", b"1"),
        (b"HTTP__", b"2"),
        (b"HTTP___X", b"3"),
        (b"HTTP_X_", b"4"),
        (b"HTTP_A__B", b"5"),
    ],
    "numbers": [(b"HTTP_1", b"a"), (b"HTTP_01", b"b"), (b"HTTP_X_1Y", b"c")],
    "odd bytes": [
        (b"HTTP_\xc4_\xe4", b"\xff\xfe"),
        (b"HTTP_X Y", b"a b"),
        (b"HTTP_X.Y[Z]", b"c"),
        (b"HTTP_=", b"d"),
    ],
    "no headers": [
        (b"http_x", b"1"),
        (b"HTTPS", b"on"),
        (b"HTTPX_Y", b"2"),
        (b"HTTP", b"3"),
        (b"REMOTE_USER", b"u"),
    ],
    "changed for the script": [(b"HTTP_AUTHORIZATION", b"Basic dTpw"), (b"HTTP_PROXY", b"evil")],
}
SHOW = """
    foreach (getallheaders() as $name => $value) {
        $found[] = [gettype($name), bin2hex($name), bin2hex($value)];
    }
    echo json_encode([$found ?? [], getallheaders() === apache_request_headers()]);
"""


@pytest.fixture(scope="module")
def show(twins: dict[Kind, FpmServer]) -> str:
    return twins["kraal"].script("show.php", SHOW)


@pytest.mark.parametrize("case", NAMES)
def test_headers_of_a_request_are_named_as_in_php_fpm(
    twins: dict[Kind, FpmServer], show: str, case: str
) -> None:
    found = {}
    for kind in KINDS:
        server = twins[kind]
        sent = [
            (b"SCRIPT_FILENAME", bytes(server.root / show[1:])),
            (b"REQUEST_METHOD", b"GET"),
            *NAMES[case],
        ]
        params = b"".join(pair(name, value) for name, value in sent)
        with Connection(server.address) as connection:
            connection.send(begin() + stream(Type.PARAMS, [params]) + record(Type.STDIN))
            headers, same = json.loads(connection.response().body)
        assert same
        found[kind] = headers
    assert found["kraal"] == found["php-fpm"]
    assert bool(found["kraal"]) == (case != "no headers")


# ---------------------------------------------------------------- of the response

SCRIPTS: dict[str, str] = {
    "nothing": "",
    "one": "header('X-One: 1');",
    "twice": "header('X-One: 1'); header('X-Two: 2'); header('X-One: 3', false); header('x-one: 4', false);",
    "replaced": "header('X-One: 1'); header('X-One: 2');",
    "cookies": "setcookie('a', 'b'); setcookie('c', 'd');",
    "odd": """
        header('X-Space :  2  '); header("X-Tab\\t:\\t3"); header('X-Empty:'); header('X-Colon: a:b');
        header('No colon');""",
    "number": "header('7: x');",
    "type": "header('Content-Type: text/plain'); http_response_code(404);",
    "location": "header('Location: /x');",
    "removed": "header_remove();",
    "session": "session_id('abc'); @session_start();",
    "after output": "header('X-One: 1'); echo ' '; while (ob_get_level()) { ob_end_flush(); } flush();",
}


@pytest.fixture(scope="module")
def builtin() -> Iterator[tuple[Path, int]]:
    """The document root and port of the server that is in PHP's command line."""
    php = shutil.which("php8.2") or pytest.fail("php8.2 is not installed: apt-get install php8.2-cli")
    with workspace() as root:
        log, port = root / "log", free_port()
        with log.open("wb") as output:
            process = processes.spawn(
                [php, "-n", "-d", "expose_php=1", "-S", f"127.0.0.1:{port}", "-t", str(root)], output=output
            )
        try:
            wait_until(lambda: b"started" in log.read_bytes(), what="PHP's own server has started")
            yield root, port
        finally:
            processes.end(process, signal.SIGINT)


def ask_builtin(port: int, uri: str) -> bytes:
    opener = urllib.request.build_opener(Stay)
    try:
        with opener.open(f"http://127.0.0.1:{port}{uri}") as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
    return content


class Stay(urllib.request.HTTPRedirectHandler):
    """Take a redirect for an answer."""

    def redirect_request(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("case", SCRIPTS)
def test_headers_of_the_response_are_told_as_by_php_s_own_server(
    twins: dict[Kind, FpmServer], builtin: tuple[Path, int], case: str
) -> None:
    root, port = builtin
    server = twins["kraal"]
    code = f"{SCRIPTS[case]} echo json_encode(apache_response_headers());"
    uri = server.script(f"{case.replace(' ', '-')}.php", code)
    (root / uri[1:]).write_text(f"<?php\n{code}")
    ours = server.fetch(uri).body
    assert ours == ask_builtin(port, uri)
    assert json.loads(ours) or case == "removed"
