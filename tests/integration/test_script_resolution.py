"""Which file a request names, and what $_SERVER says of it: kraal and php-fpm side by side.

Both get the same CGI variables in many combinations, likely and unlikely ones, and must answer alike.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.fastcgi import Connection, Response, packet
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import workspace

REPORT = """
$names = ['SCRIPT_FILENAME', 'SCRIPT_NAME', 'PATH_INFO', 'PATH_TRANSLATED', 'DOCUMENT_ROOT', 'PHP_SELF',
    'REQUEST_URI', 'DOCUMENT_URI', 'QUERY_STRING'];
$all = [];
foreach ($_SERVER as $name => $value) {
    if (in_array($name, $names) || str_starts_with($name, 'ORIG_')) {
        $all[$name] = $value;
    }
}
ksort($all);
echo json_encode(['file' => __FILE__, 'cwd' => getcwd(), 'server' => $all]);
"""

Twins = dict[Kind, FpmServer]


@pytest.fixture(scope="module", params=["1", "0"], ids=["fix_pathinfo on", "fix_pathinfo off"])
def twins(request: pytest.FixtureRequest) -> Iterator[Twins]:
    """Both servers with one document root."""
    with ExitStack() as stack:
        root = stack.enter_context(workspace())
        for name in ("app.php", "sub dir/app.php", "dir/index.php", "app.php.d/inner.php"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("<?php\n" + REPORT)
        (root / "plain.txt").write_text("plain")
        (root / "link.php").symlink_to(root / "app.php")
        found: Twins = {}
        for kind in KINDS:
            arguments = ["-d", f"cgi.fix_pathinfo={request.param}"]
            found[kind] = FpmServer.start(
                kind, stack.enter_context(workspace()), root=root, arguments=arguments
            )
            stack.callback(found[kind].stop)
        yield found


def ask(server: FpmServer, variables: Mapping[str, str]) -> Response:
    params = {
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "",
        "SERVER_SOFTWARE": "test/1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        **variables,
    }
    with Connection(server.address, timeout=10) as connection:
        connection.send(packet(params))
        return connection.response()


def seen(response: Response) -> tuple[int, object, str | None, bytes]:
    """What has to be equal: the status, the body, the type, and what the web server is to log."""
    body: Any = response.body
    if body.startswith(b"{"):
        body = json.loads(body)
    return response.status, body, response.header("Content-type"), response.stderr


def compare(twins: Twins, variables: Mapping[str, str]) -> None:
    ours, theirs = (seen(ask(twins[kind], variables)) for kind in KINDS)
    assert ours == theirs, f"asked with {dict(variables)}"


# A dollar sign stands for the document root.
CASES: dict[str, dict[str, str]] = {
    "nginx": {"SCRIPT_FILENAME": "$/app.php", "SCRIPT_NAME": "/app.php", "DOCUMENT_ROOT": "$"},
    "nginx with PATH_INFO": {
        "SCRIPT_FILENAME": "$/app.php",
        "SCRIPT_NAME": "/app.php",
        "PATH_INFO": "/a/b",
        "DOCUMENT_ROOT": "$",
    },
    "nginx that does not split": {
        "SCRIPT_FILENAME": "$/app.php/a/b",
        "SCRIPT_NAME": "/app.php/a/b",
        "DOCUMENT_ROOT": "$",
    },
    "nginx that does not split and has an empty PATH_INFO": {
        "SCRIPT_FILENAME": "$/app.php/a/b",
        "SCRIPT_NAME": "/app.php/a/b",
        "PATH_INFO": "",
        "DOCUMENT_ROOT": "$",
    },
    "nginx with the whole URI as PATH_INFO": {
        "SCRIPT_FILENAME": "$/app.php/a/b",
        "SCRIPT_NAME": "/app.php/a/b",
        "PATH_INFO": "/app.php/a/b",
        "DOCUMENT_ROOT": "$",
    },
    "apache ProxyPassMatch": {
        "SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000$/app.php/a/b",
        "SCRIPT_NAME": "/app.php/a/b",
        "DOCUMENT_ROOT": "$",
    },
    "apache ProxyPassMatch with a query": {
        "SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000$/app.php/a/b?x=1",
        "SCRIPT_NAME": "/app.php/a/b",
        "DOCUMENT_ROOT": "$",
        "QUERY_STRING": "x=1",
    },
    "apache SetHandler": {
        "SCRIPT_FILENAME": "proxy:fcgi://localhost/$/app.php",
        "SCRIPT_NAME": "/app.php",
        "PATH_INFO": "/a b",
        "PATH_TRANSLATED": "$/a b",
        "DOCUMENT_ROOT": "$",
    },
    "apache with an encoded path": {
        "SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000$/app.php/a%20b",
        "SCRIPT_NAME": "/app.php/a b",
        "DOCUMENT_ROOT": "$",
    },
    "apache balancer": {
        "SCRIPT_FILENAME": "proxy:balancer://cluster$/app.php/a",
        "SCRIPT_NAME": "/app.php/a",
        "DOCUMENT_ROOT": "$",
    },
    "apache with nothing behind the host": {"SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000"},
    "apache action": {
        "SCRIPT_FILENAME": "/usr/lib/cgi-bin/php",
        "SCRIPT_NAME": "/cgi-bin/php",
        "PATH_INFO": "/app.php/a",
        "PATH_TRANSLATED": "$/app.php/a",
        "REDIRECT_URL": "/app.php/a",
        "DOCUMENT_ROOT": "$",
    },
    "IIS": {
        "SCRIPT_FILENAME": "$/app.php",
        "SCRIPT_NAME": "/app.php",
        "PATH_INFO": "/app.php/a",
        "SERVER_SOFTWARE": "Microsoft-IIS/10.0",
        "DOCUMENT_ROOT": "$",
    },
    "IIS without a path behind the script": {
        "SCRIPT_FILENAME": "$/app.php",
        "SCRIPT_NAME": "/app.php",
        "PATH_INFO": "/app.php",
        "SERVER_SOFTWARE": "Microsoft-IIS/10.0",
        "DOCUMENT_ROOT": "$",
    },
    "lighttpd": {
        "SCRIPT_FILENAME": "$/app.php",
        "SCRIPT_NAME": "/app.php",
        "PATH_INFO": "",
        "PATH_TRANSLATED": "",
        "DOCUMENT_ROOT": "$/",
    },
    "no script at all": {},
    "only PATH_TRANSLATED": {"PATH_TRANSLATED": "$/app.php"},
    "only PATH_TRANSLATED, with more behind it": {
        "PATH_TRANSLATED": "$/app.php/a",
        "SCRIPT_NAME": "/app.php/a",
    },
    "an empty name": {"SCRIPT_FILENAME": "", "SCRIPT_NAME": "", "DOCUMENT_ROOT": "$"},
    "a script in a folder with a space": {
        "SCRIPT_FILENAME": "$/sub dir/app.php/x",
        "SCRIPT_NAME": "/sub dir/app.php/x",
        "DOCUMENT_ROOT": "$",
    },
    "a link": {"SCRIPT_FILENAME": "$/link.php/x", "SCRIPT_NAME": "/link.php/x", "DOCUMENT_ROOT": "$"},
    "a folder": {"SCRIPT_FILENAME": "$/dir", "SCRIPT_NAME": "/dir", "DOCUMENT_ROOT": "$"},
    "a folder with a slash": {"SCRIPT_FILENAME": "$/dir/", "SCRIPT_NAME": "/dir/", "DOCUMENT_ROOT": "$"},
    "a folder that is named like a script": {"SCRIPT_FILENAME": "$/app.php.d/inner.php/x"},
    "a path that climbs": {"SCRIPT_FILENAME": "$/dir/../app.php", "SCRIPT_NAME": "/dir/../app.php"},
    "a path that climbs behind the script": {
        "SCRIPT_FILENAME": "$/app.php/../x",
        "SCRIPT_NAME": "/app.php/../x",
    },
    "a file that is no script": {"SCRIPT_FILENAME": "$/plain.txt", "SCRIPT_NAME": "/plain.txt"},
    "a file that is no script, with one behind it": {"SCRIPT_FILENAME": "$/plain.txt/x.php"},
    "a relative name": {"SCRIPT_FILENAME": "app.php", "SCRIPT_NAME": "/app.php", "DOCUMENT_ROOT": "$"},
    "a bare slash": {"SCRIPT_FILENAME": "/", "SCRIPT_NAME": "/"},
    "a very long name": {"SCRIPT_FILENAME": "$/" + "x" * 300 + ".php", "SCRIPT_NAME": "/x.php"},
}

VALUES: dict[str, list[str | None]] = {
    "SCRIPT_FILENAME": [
        None,
        "",
        "$/app.php",
        "$/app.php/a/b",
        "$/app.php/",
        "$//app.php",
        "$/dir",
        "$/missing.php",
        "$/missing.php/a",
        "$/plain.txt/a/b",
        "/usr/lib/cgi-bin/php",
        "proxy:fcgi://127.0.0.1:9000$/app.php",
        "proxy:fcgi://127.0.0.1:9000$/app.php/a/b",
        "PROXY:FCGI://127.0.0.1:9000$/app.php/a/b?q=/x",
        "proxy:balancer://cluster$/app.php/a/b",
        "proxy:fcgi://127.0.0.1:9000$/missing.php/a/b",
        "proxy:fcgi://127.0.0.1:9000$/app.php/a%2Fb",
    ],
    "SCRIPT_NAME": [None, "", "/", "/app.php", "/app.php/a/b", "/alias/app.php", "/a/b", "/app.php/a%2Fb"],
    "PATH_INFO": [None, "", "/", "/a/b", "/b", "/app.php/a/b", "/alias/app.php/a/b", "/x/a/b"],
    "PATH_TRANSLATED": [None, "", "$/app.php", "$/app.php/a/b", "$/a/b", "$/missing.php"],
    "DOCUMENT_ROOT": ["$", "$/", None, "", "/nowhere"],
    "REDIRECT_URL": [None, None, "/app.php", "/app.php/a/b"],
    "SERVER_SOFTWARE": ["test/1", "test/1", "test/1", "Microsoft-IIS/10.0"],
}
SAMPLE = 1500


def php_fpm_errs(values: Mapping[str, str | None]) -> bool:
    """Whether php-fpm finds the script behind PATH_TRANSLATED, but then tries to run the longer path.

    It does if SCRIPT_FILENAME is that script already: 403, where kraal runs it.
    """
    script, longer = values["SCRIPT_FILENAME"], values["PATH_TRANSLATED"]
    return bool(values["REDIRECT_URL"] and script and longer and longer.startswith(f"{script}/"))


def at(root: Path, variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.replace("$", str(root)) for name, value in variables.items() if value is not None}


@pytest.mark.parametrize("variables", CASES.values(), ids=CASES.keys())
def test_known_web_server_is_understood_as_by_php_fpm(twins: Twins, variables: dict[str, str]) -> None:
    compare(twins, at(twins["kraal"].root, variables))


@pytest.mark.slow
def test_any_combination_of_variables_means_the_same_as_in_php_fpm(twins: Twins) -> None:
    combinations = list(product(*VALUES.values()))
    for chosen in Random(1).sample(combinations, SAMPLE):
        values = dict(zip(VALUES, chosen, strict=True))
        if not php_fpm_errs(values):
            compare(twins, at(twins["kraal"].root, values))
