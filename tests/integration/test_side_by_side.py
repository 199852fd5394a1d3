"""kraal and php-fpm side by side: what scripts see of a request and of PHP has to be equal."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.apache import FORMS, apache
from tests.support.fastcgi import Connection, packet
from tests.support.http import Browser
from tests.support.nginx import nginx
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import workspace

TWINS = {"pool": {"pm.max_children": "2"}}


def decoded(text: str) -> dict[str, Any]:
    """The JSON object of a script, or the text of an error page."""
    found: dict[str, Any] = json.loads(text) if text.startswith("{") else {"page": {"text": text}}
    return found


def differing(kraal: dict[str, Any], fpm: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What kraal and php-fpm say of each thing on which they do not agree."""
    names = kraal.keys() | fpm.keys()
    return {name: (kraal.get(name), fpm.get(name)) for name in names if kraal.get(name) != fpm.get(name)}


def ask_both(twins: dict[Kind, FpmServer], name: str, code: str) -> dict[Kind, Any]:
    uri = twins["kraal"].script(name, code)
    return {kind: json.loads(server.fetch(uri).body) for kind, server in twins.items()}


def test_both_read_the_same_ini_files(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "ini.php", "echo json_encode([php_ini_loaded_file(), php_ini_scanned_files()]);")
    assert found["kraal"] == found["php-fpm"]


def test_kraal_has_the_functions_of_php_fpm_and_one_more(twins: dict[Kind, FpmServer]) -> None:
    """The embed library also has pcntl_fork(), which would make an uncounted worker, and chroot()."""
    found = ask_both(twins, "functions.php", "echo json_encode(get_defined_functions()['internal']);")
    assert set(found["kraal"]) == set(found["php-fpm"]) | {"apache_response_headers"}


def test_kraal_has_the_modules_of_php_fpm_and_no_others(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "modules.php", "echo json_encode(get_loaded_extensions());")
    assert set(found["kraal"]) == set(found["php-fpm"])


def test_kraal_has_all_ini_settings_of_php_fpm_with_the_same_values(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "settings.php", "echo json_encode(ini_get_all(null, false));")
    own = ("fpm.config", "session.save_path", "upload_tmp_dir")
    for name, value in found["php-fpm"].items():
        assert name in found["kraal"]
        assert name in own or found["kraal"][name] == value, name


# ROOT is the document root, "here.php" a script that shows $_SERVER.
PATHS: dict[str, dict[str, str]] = {
    "plain": {"SCRIPT_FILENAME": "ROOT/here.php", "SCRIPT_NAME": "/here.php"},
    "path info in the file": {"SCRIPT_FILENAME": "ROOT/here.php/a/b", "SCRIPT_NAME": "/here.php/a/b"},
    "path info in both": {
        "SCRIPT_FILENAME": "ROOT/here.php/a/b",
        "SCRIPT_NAME": "/here.php/a/b",
        "PATH_INFO": "/a/b",
    },
    "split": {"SCRIPT_FILENAME": "ROOT/here.php", "SCRIPT_NAME": "/here.php", "PATH_INFO": "/a/b"},
    "split and translated": {
        "SCRIPT_FILENAME": "ROOT/here.php",
        "SCRIPT_NAME": "/here.php",
        "PATH_INFO": "/a/b",
        "PATH_TRANSLATED": "ROOT/a/b",
    },
    "no path info": {"SCRIPT_FILENAME": "ROOT/here.php", "SCRIPT_NAME": "/here.php", "PATH_INFO": ""},
    "of Apache": {
        "SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000ROOT/here.php",
        "SCRIPT_NAME": "/here.php",
        "PATH_INFO": "/a",
        "PATH_TRANSLATED": "ROOT/a",
    },
    "of Apache with a query": {
        "SCRIPT_FILENAME": "proxy:fcgi://localhostROOT/here.php?q=1",
        "SCRIPT_NAME": "/here.php",
    },
    "of a balancer": {
        "SCRIPT_FILENAME": "proxy:balancer://clusterROOT/here.php",
        "SCRIPT_NAME": "/here.php",
    },
    "not there below a script": {"SCRIPT_FILENAME": "ROOT/none.php/a", "SCRIPT_NAME": "/none.php/a"},
    "a folder": {"SCRIPT_FILENAME": "ROOT/", "SCRIPT_NAME": "/"},
    "dots": {"SCRIPT_FILENAME": "ROOT/x/../here.php", "SCRIPT_NAME": "/x/../here.php"},
    "no file, translated": {"PATH_TRANSLATED": "ROOT/here.php", "SCRIPT_NAME": "/here.php"},
    "a file without a name": {"SCRIPT_FILENAME": "ROOT/here.php"},
    "longer than its name": {
        "SCRIPT_FILENAME": "ROOT/here.php/" + "a" * 3000,
        "SCRIPT_NAME": "/here.php/" + "a" * 3000,
        "PATH_INFO": "",
    },
}


@pytest.fixture(scope="module")
def here(twins: dict[Kind, FpmServer]) -> None:
    code = "unset($_SERVER['REQUEST_TIME'], $_SERVER['REQUEST_TIME_FLOAT']); echo json_encode($_SERVER);"
    twins["kraal"].script("here.php", code)


@pytest.mark.parametrize("case", PATHS)
def test_paths_are_understood_alike(twins: dict[Kind, FpmServer], here: None, case: str) -> None:
    found = {}
    for kind, server in twins.items():
        params = {"REQUEST_METHOD": "GET", "DOCUMENT_ROOT": str(server.root), "QUERY_STRING": ""}
        for name, value in PATHS[case].items():
            params[name] = value.replace("ROOT", str(server.root))
        with Connection(server.address) as connection:
            connection.send(packet(params))
            response = connection.response()
        found[kind] = decoded(response.text) | {"status": response.status, "stderr": response.stderr}
    assert differing(found["kraal"], found["php-fpm"]) == {}


FRONTS = ("nginx", *FORMS)


@pytest.fixture(scope="module", params=FRONTS)
def fronts(twins: dict[Kind, FpmServer], request: pytest.FixtureRequest) -> Iterator[dict[Kind, int]]:
    """The ports of two equal web servers, one before each of the twins."""
    with ExitStack() as stack:
        ports = {}
        for kind, server in twins.items():
            place = stack.enter_context(workspace())
            if request.param == "nginx":
                front = nginx(place, server.root, server.address)
            else:
                front = apache(place, server.root, server.address, request.param)
            ports[kind] = stack.enter_context(front)
        yield ports


REQUESTS: dict[str, tuple[str, str, bytes | None, dict[str, str]]] = {
    "plain": ("GET", "/server.php", None, {}),
    "query": ("GET", "/server.php?a=1&b=%20c+d&e", None, {}),
    "path info": ("GET", "/server.php/path/to%20info?x", None, {}),
    "path info of dots": ("GET", "/server.php/a/../b//c.php", None, {}),
    "index": ("GET", "/", None, {}),
    "no such file": ("GET", "/no/such/page?x=1", None, {}),
    "space in the path": ("GET", "/a%20folder/server.php", None, {}),
    "cookies": ("GET", "/server.php", None, {"Cookie": "a=1; b=2"}),
    "basic authorization": ("GET", "/server.php", None, {"Authorization": "Basic a2VlcGVyOnBhc3M="}),
    "bearer": ("GET", "/server.php", None, {"Authorization": "Bearer abc"}),
    "odd headers": ("GET", "/server.php", None, {"X-Long": "x" * 3000, "X-Empty": "", "Proxy": "evil.test"}),
    "form": ("POST", "/server.php", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}),
    "json": ("PUT", "/server.php", b"{}", {"Content-Type": "application/json; charset=utf-8"}),
    "empty post": ("POST", "/server.php", b"", {}),
}


@pytest.fixture(scope="module")
def show_server(twins: dict[Kind, FpmServer]) -> None:
    code = """
        $changing = array_flip(['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT']);
        $found['server'] = array_diff_key($_SERVER, $changing);
        $found['environment'] = array_diff_key(getenv(), $changing);
        $found['headers'] = getallheaders();
        $found['get'] = $_GET;
        $found['post'] = $_POST;
        $found['cookie'] = $_COOKIE;
        $found = array_map(fn($table) => (object) $table, $found);
        echo json_encode($found, JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT | JSON_PARTIAL_OUTPUT_ON_ERROR);
    """
    for name in ("server.php", "index.php", "a folder/server.php"):
        twins["kraal"].script(name, code)


@pytest.mark.parametrize("case", REQUESTS)
def test_scripts_see_the_same_request_on_both_servers(
    twins: dict[Kind, FpmServer], fronts: dict[Kind, int], show_server: None, case: str
) -> None:
    method, url, body, headers = REQUESTS[case]
    found = {}
    for kind in KINDS:
        page = Browser(fronts[kind]).request(method, f"http://kraal.test{url}", body=body, headers=headers)
        text = page.text
        for number in (fronts[kind], twins[kind].address[1]):
            text = text.replace(str(number), "PORT")
        found[kind] = decoded(text) | {"status": page.status}
    assert found["kraal"]["status"] == found["php-fpm"]["status"]
    # php-fpm cuts "proxy:fcgi://…" off without setting the length: getenv() shows what is behind the NUL.
    if name := found["php-fpm"].get("environment", {}).get("SCRIPT_FILENAME"):
        found["php-fpm"]["environment"]["SCRIPT_FILENAME"] = name.partition("\0")[0]
    for table in found["php-fpm"].keys() - {"status"}:
        assert differing(found["kraal"][table], found["php-fpm"][table]) == {}, table
    assert list(found["kraal"].get("headers", ())) == list(found["php-fpm"].get("headers", ()))
