"""PHP as scripts see it: the request, the response, and everything around them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fastcgi import Connection, Type, packet
from tests.support.http import File, multipart
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workspace import ROOT, make_directory

POOL = {
    "pm.max_children": "1",
    "php_admin_value[memory_limit]": "200M",
    "php_admin_value[upload_max_filesize]": "24M",
    "php_admin_value[post_max_size]": "32M",
    "php_value[precision]": "10",
    "env[GREETING]": "good day",
    "env[FROM_MASTER]": "$KRAAL_TEST_PASSED",
}
SHARED = {"pool": POOL, "environ": {"KRAAL_TEST_SECRET": "secret", "KRAAL_TEST_PASSED": "passed on"}}

MEGABYTE = 1 << 20

WriteScript = Callable[[str], str]

# Wait until the test says so; without PHP's buffers in between.
UNBUFFERED = "while (ob_get_level()) { ob_end_flush(); }"
GATE = "while (!file_exists($_GET['gate'])) { usleep(2000); }"


@pytest.fixture
def gate(shared_server: FpmServer, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file that scripts wait for; it exists in the end, so that no script waits for ever."""
    path = shared_server.directory / f"gate-{request.node.originalname}"
    yield path
    path.touch()


@pytest.fixture
def scratch(shared_server: FpmServer, request: pytest.FixtureRequest) -> Path:
    """A directory where scripts may write."""
    return make_directory(shared_server.directory / f"scratch-{request.node.originalname}")


# ---------------------------------------------------------------- requests


def test_get_sees_the_query(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo json_encode([$_SERVER['REQUEST_METHOD'], $_GET]);")
    assert json.loads(shared_server.fetch(f"{uri}?a=1&b[]=x%20y&b[]=z").body) == [
        "GET",
        {"a": "1", "b": ["x y", "z"]},
    ]


def test_head_answers_with_the_headers_of_get_and_no_body(
    shared_server: FpmServer, script: WriteScript
) -> None:
    uri = script("header('X-Sent: yes'); echo 'body';")
    get, head = shared_server.fetch(uri), shared_server.fetch(uri, method="HEAD")
    assert (get.body, head.body) == (b"body", b"")
    assert head.headers == get.headers


def test_post_is_decoded(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo json_encode($_POST);")
    response = shared_server.fetch(
        uri, body=b"a=1&b=%C3%A4", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert json.loads(response.body) == {"a": "1", "b": "ä"}


def test_put_is_read_from_php_input(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo $_SERVER['REQUEST_METHOD'], ' ', md5(file_get_contents('php://input'));")
    body = os.urandom(5 * MEGABYTE)
    response = shared_server.fetch(uri, method="PUT", body=body, headers={"Content-Type": "image/png"})
    assert response.text == f"PUT {hashlib.md5(body).hexdigest()}"


def test_php_input_can_be_read_twice_and_in_pieces(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script(
        """
        $input = fopen('php://input', 'rb');
        echo fread($input, 3), '|', stream_get_contents($input), '|', file_get_contents('php://input');
        """
    )
    assert shared_server.fetch(uri, method="PUT", body=b"123456").text == "123|456|123456"


UPLOAD = """
    $file = $_FILES['file'] ?? null;
    $there = $file && is_uploaded_file($file['tmp_name']);
    echo json_encode([
        'post' => $_POST,
        'name' => $file['name'] ?? null,
        'type' => $file['type'] ?? null,
        'error' => $file['error'] ?? null,
        'size' => $file['size'] ?? null,
        'md5' => $there ? md5_file($file['tmp_name']) : null,
    ]);
"""


def upload(server: FpmServer, uri: str, content: bytes) -> tuple[dict[str, Any], bytes]:
    kind, body = multipart({"title": "a file", "file": File("file.bin", "application/x-test", content)})
    response = server.fetch(uri, body=body, headers={"Content-Type": kind})
    assert response.status == 200
    return json.loads(response.body), response.stderr


@pytest.mark.parametrize("size", [0, 1, 8192, 70_000, 20 * MEGABYTE])
def test_uploads_arrive(shared_server: FpmServer, script: WriteScript, size: int) -> None:
    content = os.urandom(size)
    found, _ = upload(shared_server, script(UPLOAD), content)
    assert found == {
        "post": {"title": "a file"},
        "name": "file.bin",
        "type": "application/x-test",
        "error": 0,
        "size": size,
        "md5": hashlib.md5(content).hexdigest(),
    }
    uploads = shared_server.directory / "uploads"
    wait_until(lambda: not list(uploads.iterdir()), what="the temporary file is gone")


def test_an_upload_above_upload_max_filesize_is_refused(
    shared_server: FpmServer, script: WriteScript
) -> None:
    found, _ = upload(shared_server, script(UPLOAD), bytes(25 * MEGABYTE))
    upload_err_ini_size = 1
    assert (found["post"], found["error"], found["size"]) == ({"title": "a file"}, upload_err_ini_size, 0)


def test_a_post_above_post_max_size_is_dropped(shared_server: FpmServer, script: WriteScript) -> None:
    found, stderr = upload(shared_server, script(UPLOAD), bytes(33 * MEGABYTE))
    assert (found["post"], found["name"]) == ([], None)
    assert b"exceeds the limit of 33554432 bytes" in stderr


def test_cookies_go_both_ways(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script(
        """
        setcookie('one', 'a b', ['path' => '/', 'httponly' => true]);
        setcookie('two', 'c');
        echo json_encode($_COOKIE);
        """
    )
    response = shared_server.fetch(uri, headers={"Cookie": "x=1; y=a%20b"})
    assert json.loads(response.body) == {"x": "1", "y": "a b"}
    assert response.all("Set-Cookie") == ["one=a%20b; path=/; HttpOnly", "two=c"]


def test_a_session_lasts_over_requests(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("session_start(); echo $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;")
    first = shared_server.fetch(uri)
    cookie = (first.header("Set-Cookie") or "").partition(";")[0]
    visits = [shared_server.fetch(uri, headers={"Cookie": cookie}).text for _ in range(3)]
    assert [first.text, *visits] == ["1", "2", "3", "4"]
    assert shared_server.fetch(uri).text == "1"


def test_basic_authorization_is_decoded_and_forgotten(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo json_encode([$_SERVER['PHP_AUTH_USER'] ?? null, $_SERVER['PHP_AUTH_PW'] ?? null]);")
    with_user = shared_server.fetch(uri, headers={"Authorization": "Basic a2VlcGVyOnBhc3M6d29yZA=="})
    assert json.loads(with_user.body) == ["keeper", "pass:word"]
    assert json.loads(shared_server.fetch(uri).body) == [None, None]


def test_digest_authorization_is_passed_on(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo $_SERVER['PHP_AUTH_DIGEST'];")
    assert shared_server.fetch(uri, headers={"Authorization": 'Digest username="x"'}).text == 'username="x"'


def test_path_info_is_found(shared_server: FpmServer, script: WriteScript) -> None:
    names = ("SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "PHP_SELF")
    uri = script(f"foreach ({json.dumps(names)} as $name) {{ echo $_SERVER[$name], ' '; }}")
    file = f"{shared_server.root}{uri}"
    split = {"SCRIPT_FILENAME": file, "SCRIPT_NAME": uri, "PATH_INFO": "/a/b"}
    assert shared_server.fetch(f"{uri}/a/b", extra=split).text == f"{uri} {file} /a/b {uri}/a/b "


# ---------------------------------------------------------------- responses

STATUS = {
    "http_response_code(201);": (201, "Created"),
    "http_response_code(304);": (304, "Not Modified"),
    "http_response_code(404); echo 'gone';": (404, "Not Found"),
    "http_response_code(503);": (503, "Service Unavailable"),
    "header('HTTP/1.1 299 As you like it');": (299, "As you like it"),
    "header('Status: 418 Teapot');": (418, "Teapot"),
    "header('Location: /elsewhere');": (302, "Found"),
    "header('Location: /elsewhere', true, 301);": (301, "Moved Permanently"),
    "header('HTTP/1.1 303 See Other'); header('Location: /elsewhere');": (303, "See Other"),
    "header('WWW-Authenticate: Basic realm=\"x\"'); http_response_code(401);": (401, "Unauthorized"),
    "": (200, "OK"),
}


@pytest.mark.parametrize(("code", "expected"), STATUS.items(), ids=[str(pair) for pair in STATUS.values()])
def test_status_codes(
    shared_server: FpmServer, script: WriteScript, code: str, expected: tuple[int, str]
) -> None:
    response = shared_server.fetch(script(code))
    assert (response.status, response.reason) == expected
    if "Location" in code:
        assert response.header("Location") == "/elsewhere"


def test_a_plain_success_has_no_status_line(shared_server: FpmServer, script: WriteScript) -> None:
    assert shared_server.fetch(script("echo 1;")).header("Status") is None


def test_headers_are_sent_as_the_script_set_them(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script(
        """
        header('X-One: 1');
        header('X-One: 2', false);
        header('X-Gone: 1');
        header_remove('X-Gone');
        header('Content-Type: application/json');
        echo '{}';
        """
    )
    response = shared_server.fetch(uri)
    assert response.headers == [("X-One", "1"), ("X-One", "2"), ("Content-Type", "application/json")]


def test_the_default_content_type_names_the_charset(shared_server: FpmServer, script: WriteScript) -> None:
    assert shared_server.fetch(script("echo 1;")).header("Content-Type") == "text/html; charset=UTF-8"


@pytest.mark.parametrize("size", [0, 1, 4095, 8192, 32_760, 65_535, 65_536, 131_071, MEGABYTE])
@pytest.mark.parametrize("piece", [1000, 70_000])
def test_output_of_any_size_arrives(
    shared_server: FpmServer, script: WriteScript, size: int, piece: int
) -> None:
    uri = script(
        """
        for ($i = 0, $text = ''; strlen($text) < $_GET['size']; $i++) { $text .= "$i,"; }
        $text = substr($text, 0, (int) $_GET['size']);
        foreach (str_split($text, (int) $_GET['piece']) as $each) { echo $each; }
        """
    )
    expected = "".join(f"{number}," for number in range(size // 2 + 1))[:size].encode()
    assert shared_server.fetch(f"{uri}?size={size}&piece={piece}").body == expected


def test_a_hundred_megabytes_arrive(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("for ($i = 0; $i < 1600; $i++) { echo str_repeat(chr($i % 251), 65536); }")
    expected = hashlib.sha256()
    for number in range(1600):
        expected.update(bytes([number % 251]) * 65_536)
    found = hashlib.sha256(shared_server.fetch(uri, timeout=60).body)
    assert found.hexdigest() == expected.hexdigest()


def test_flush_sends_what_is_there_while_the_script_runs(
    shared_server: FpmServer, script: WriteScript, gate: Path
) -> None:
    uri = script(f"{UNBUFFERED} header('X-Early: yes'); echo 'first'; flush(); {GATE} echo 'second';")
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(f"{uri}?gate={gate}")))
        early = connection.read()
        assert early is not None
        assert early.content.endswith(b"\r\n\r\nfirst")
        gate.touch()
        assert [
            each.content for each in connection.records() if each.type == Type.STDOUT and each.content
        ] == [b"second"]


def test_finish_request_answers_while_the_script_goes_on(
    shared_server: FpmServer, script: WriteScript, gate: Path, scratch: Path
) -> None:
    uri = script(
        f"""
        echo 'answer';
        $first = fastcgi_finish_request();
        echo 'nobody reads this';
        {GATE}
        file_put_contents($_GET['to'], json_encode([$first, fastcgi_finish_request()]));
        """
    )
    written = scratch / "written"
    response = shared_server.fetch(f"{uri}?gate={gate}&to={written}")
    assert response.text == "answer"
    assert not written.exists()
    gate.touch()
    wait_until(lambda: written.exists() and written.read_text() == "[true,false]", what="the script went on")


def test_a_script_learns_that_its_client_left(
    shared_server: FpmServer, script: WriteScript, scratch: Path
) -> None:
    uri = script(
        f"""
        {UNBUFFERED}
        register_shutdown_function(fn() => file_put_contents($_GET['to'], connection_status()));
        for (;;) {{ echo str_repeat('x', 65536); flush(); }}
        """
    )
    written = scratch / "written"
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(f"{uri}?to={written}")))
        connection.socket.recv(1000)
    wait_until(lambda: written.exists() and written.read_text() == "1", what="the script was told")


def test_a_script_may_ignore_that_its_client_left(
    shared_server: FpmServer, script: WriteScript, scratch: Path
) -> None:
    uri = script(
        f"""
        {UNBUFFERED}
        ignore_user_abort(true);
        for ($i = 0; !connection_aborted(); $i++) {{ echo str_repeat('x', 65536); flush(); }}
        file_put_contents($_GET['to'], 'went on');
        """
    )
    written = scratch / "written"
    with Connection(shared_server.address) as connection:
        connection.send(packet(shared_server.params(f"{uri}?to={written}")))
        connection.socket.recv(1000)
    wait_until(lambda: written.exists() and written.read_text() == "went on", what="the script went on")


# ---------------------------------------------------------------- errors


def test_warnings_go_to_stderr_of_the_request(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("trigger_error('mind the gate', E_USER_WARNING); echo 'done';")
    response = shared_server.fetch(uri)
    assert response.text == "done"
    line = f"PHP message: PHP Warning:  mind the gate in {shared_server.root}{uri} on line 2"
    assert response.stderr.decode().strip() == line


def test_error_log_goes_to_stderr_of_the_request(shared_server: FpmServer, script: WriteScript) -> None:
    response = shared_server.fetch(script("error_log('one'); error_log('two');"))
    assert response.stderr.decode().strip() == "PHP message: one; PHP message: two"


FATAL = {
    "an undefined function": ("nothing_of_that_name();", "Call to undefined function"),
    "an exception": ("throw new LogicException('why');", "Uncaught LogicException: why"),
    "a syntax error": ("if (;", "PHP Parse error:"),
    "too little memory": ("ini_set('memory_limit', '1G'); str_repeat('x', 1 << 30);", "Allowed memory size"),
    "too much time": ("set_time_limit(1); for (;;);", "Maximum execution time of 1 second"),
}


@pytest.mark.parametrize(("code", "message"), FATAL.values(), ids=FATAL.keys())
def test_a_fatal_error_is_a_500_and_the_worker_lives_on(
    shared_server: FpmServer, script: WriteScript, code: str, message: str
) -> None:
    pid = script("echo getmypid();")
    before = shared_server.fetch(pid).text
    response = shared_server.fetch(script(code))
    assert (response.status, response.body) == (500, b"")
    assert message in response.stderr.decode()
    assert shared_server.fetch(pid).text == before


@pytest.mark.parametrize("code", ["exit(3);", "exit('text');", "die;"])
def test_exit_is_a_success(shared_server: FpmServer, script: WriteScript, code: str) -> None:
    response = shared_server.fetch(script(code))
    assert (response.status, response.app_status) == (200, 0)
    assert response.text == ("text" if "text" in code else "")


def test_a_script_that_is_not_there_is_a_404(shared_server: FpmServer) -> None:
    response = shared_server.fetch("/nothing-here.php")
    assert (response.status, response.body) == (404, b"File not found.\n")
    assert response.stderr.decode().strip() == "Primary script unknown"


def test_a_request_without_a_script_is_a_404(shared_server: FpmServer) -> None:
    params = {"REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    with Connection(shared_server.address) as connection:
        connection.send(packet(params))
        response = connection.response()
    assert (response.status, response.body) == (404, b"File not found.\n")


def test_another_extension_is_refused(shared_server: FpmServer) -> None:
    uri = shared_server.script("page.txt", "echo 'secret';")
    response = shared_server.fetch(uri)
    assert (response.status, response.body) == (403, b"Access denied.\n")
    assert f"Access to the script '{shared_server.root}{uri}' has been denied" in response.stderr.decode()


@pytest.mark.skipif(not ROOT, reason="one's own file cannot be out of reach")
def test_an_unreadable_script_is_refused(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo 'secret';")
    (shared_server.root / uri[1:]).chmod(0o600)
    response = shared_server.fetch(uri)
    assert (response.status, response.body) == (403, b"Access denied.\n")
    assert "Permission denied" in response.stderr.decode()


# ---------------------------------------------------------------- the runtime


def test_the_sapi_is_fpm_fcgi(shared_server: FpmServer, script: WriteScript) -> None:
    assert shared_server.fetch(script("echo php_sapi_name(), ' ', PHP_SAPI;")).text == "fpm-fcgi fpm-fcgi"


def test_opcache_serves_the_second_request(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script(
        """
        $status = opcache_get_status();
        echo json_encode([$status['opcache_enabled'], $status['scripts'][__FILE__]['hits'] ?? -1]);
        """
    )
    seen = [json.loads(shared_server.fetch(uri).body) for _ in range(3)]
    assert [enabled for enabled, _ in seen] == [True, True, True]
    assert 0 <= seen[1][1] < seen[2][1]


def test_the_environment_is_cleared_but_for_env(shared_server: FpmServer, script: WriteScript) -> None:
    names = ["KRAAL_TEST_SECRET", "GREETING", "FROM_MASTER"]
    uri = script(
        f"foreach ({json.dumps(names)} as $name) {{ $found[] = [getenv($name), $_SERVER[$name] ?? null]; }}"
        "echo json_encode($found);"
    )
    assert json.loads(shared_server.fetch(uri).body) == [
        [False, None],
        ["good day", "good day"],
        ["passed on", "passed on"],
    ]


def test_clear_env_no_keeps_the_environment(start_server: Callable[..., FpmServer]) -> None:
    server = start_server(pool={"clear_env": "no"}, environ={"KRAAL_TEST_SECRET": "secret"})
    assert server.fetch(server.script("env.php", "echo getenv('KRAAL_TEST_SECRET');")).text == "secret"


def test_getenv_sees_the_params_of_the_request(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo getenv('X_MINE'), ' ', getenv('REQUEST_METHOD');")
    assert shared_server.fetch(uri, extra={"X_MINE": "here"}).text == "here GET"


def test_the_proxy_header_does_not_become_an_environment_variable(
    shared_server: FpmServer, script: WriteScript
) -> None:
    """https://httpoxy.org"""
    uri = script("echo json_encode([getenv('HTTP_PROXY'), $_SERVER['HTTP_PROXY'] ?? null]);")
    found = json.loads(shared_server.fetch(uri, headers={"Proxy": "evil.test"}).body)
    assert found == [False, None]


def test_an_admin_value_cannot_be_overridden(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script("echo json_encode([ini_set('memory_limit', '1G'), ini_get('memory_limit')]);")
    assert json.loads(shared_server.fetch(uri).body) == [False, "200M"]


def test_a_value_can_be_overridden_until_the_request_ends(
    shared_server: FpmServer, script: WriteScript
) -> None:
    uri = script("echo json_encode([ini_get('precision'), ini_set('precision', '5'), ini_get('precision')]);")
    for _ in range(2):
        assert json.loads(shared_server.fetch(uri).body) == ["10", "10", "5"]


def test_a_script_that_declares_many_functions_runs_again_and_again(
    shared_server: FpmServer, script: WriteScript
) -> None:
    """Whatever a request declares is gone after it, however much PHP's tables had to grow for it."""
    declared = "".join(f"function declared_{number}() {{}}\n" for number in range(5000))
    uri = script(f"{declared} echo 'once more';")
    for _ in range(5):
        assert shared_server.fetch(uri).text == "once more"


def test_a_user_ini_file_is_read(shared_server: FpmServer) -> None:
    uri = shared_server.script("with-ini/show.php", "echo ini_get('arg_separator.output');")
    (shared_server.root / "with-ini/.user.ini").write_text('arg_separator.output = ";"\n')
    assert shared_server.fetch(uri).text == ";"


def test_the_working_directory_is_that_of_the_script(shared_server: FpmServer) -> None:
    for name in ("one", "two"):
        uri = shared_server.script(f"{name}/where.php", "echo getcwd(), ' ', file_get_contents('beside');")
        (shared_server.root / name / "beside").write_text(name)
        assert shared_server.fetch(uri).text == f"{shared_server.root}/{name} {name}"


def test_nothing_of_a_request_is_left_for_the_next(shared_server: FpmServer, script: WriteScript) -> None:
    uri = script(
        """
        echo json_encode([function_exists('mine'), defined('MINE'), getenv('MINE'), http_response_code()]);
        eval('function mine() {}');
        define('MINE', 1);
        putenv('MINE=1');
        http_response_code(202);
        header('X-Mine: 1');
        """
    )
    for _ in range(3):
        response = shared_server.fetch(uri)
        assert json.loads(response.body) == [False, False, False, 200]
        assert response.all("X-Mine") == ["1"]
