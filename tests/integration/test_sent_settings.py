"""PHP settings that the web server sends, in PHP_VALUE and PHP_ADMIN_VALUE: they hold for one request."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, Response, packet
from tests.support.servers import FpmServer
from tests.support.settings import GET, values
from tests.support.wait import wait_until
from tests.support.workspace import workspace

SHARED = {"pool": {"catch_workers_output": "yes"}}
# Not to be changed by scripts, but by web servers: sites are set up with these.
SENT = {
    "post_max_size": "5M",
    "upload_max_filesize": "4M",
    "max_input_vars": "999",
    "short_open_tag": "1",
    "output_buffering": "0",
    "expose_php": "0",
    "allow_url_fopen": "0",
    "mbstring.encoding_translation": "0",
}


@pytest.mark.parametrize("param", ["PHP_VALUE", "PHP_ADMIN_VALUE"])
def test_web_server_may_change_what_scripts_may_not(shared_server: FpmServer, param: str) -> None:
    uri = shared_server.script(f"{param}.php", GET)
    lines = "\n".join(f"{name} = {value}" for name, value in SENT.items())
    assert values(shared_server, uri, *SENT, **{param: lines}) == list(SENT.values())


def test_settings_that_the_web_server_sends_hold_while_the_body_is_read(start_server: StartServer) -> None:
    server = start_server()
    uri = server.script("post.php", "echo json_encode([$_POST, strlen(file_get_contents('php://input'))]);")
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(sent: str) -> list[object]:
        found: list[object] = json.loads(
            server.fetch(uri, body=b"a=1&b=2", headers=form, extra={"PHP_VALUE": sent}).body
        )
        return found

    assert post("") == [{"a": "1", "b": "2"}, 7]
    assert post("enable_post_data_reading = 0") == [[], 7]
    assert post("enable_post_data_reading = 1\npost_max_size = 3") == [[], 7]


def test_pool_setting_is_back_after_a_prepended_file(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    server.script("before.php", "echo 'before ';")
    uri = server.script("page.php", "echo 'page';")
    sent = {"PHP_VALUE": f"auto_prepend_file = {server.root}/before.php"}
    assert [server.fetch(uri, extra=extra).text for extra in (sent, {}, sent)] == [
        *("before page", "page", "before page"),
    ]


MANY = {
    "error_log": "/nowhere",
    "docref_root": "/x",
    "error_reporting": "1",
    "max_execution_time": "1",
    "date.timezone": "Asia/Tokyo",
    "zlib.output_compression": "1",
    "opcache.enable": "0",
    "mbstring.internal_encoding": "EUC-JP",
    "default_charset": "ISO-8859-1",
    "session.name": "OTHER",
    "session.gc_maxlifetime": "77",
    "precision": "5",
    "memory_limit": "16M",
    "zend.enable_gc": "0",
    "include_path": "/nowhere",
    "open_basedir": "/tmp:/usr",
    "fastcgi.logging": "0",
}
EFFECTS = """
    echo json_encode([
        array_map(fn($each) => [$each['local_value'], $each['access']], ini_get_all()),
        error_reporting(), date_default_timezone_get(), mb_internal_encoding(), session_name(), gc_enabled(),
        file_exists('/etc/passwd'), json_encode(1 / 3),
        opcache_get_status(false)['opcache_enabled'] ?? null, get_include_path(),
    ]);
    error_log('heard');
"""
ENDS = {
    "its last line": "",
    "exit": "exit(3);",
    "a fatal error": "nothing_of_that_name();",
    "an exception": "throw new LogicException('why');",
    "an exception while it shuts down": "register_shutdown_function(fn() => throw new Exception('why'));",
    "too little memory": "for (;;) { $more[] = str_repeat('x', 1 << 20); }",
    "too much time": "for (;;);",
    "settings of its own": "ini_set('precision', '7'); ini_set('date.timezone', 'UTC'); error_reporting(2);",
    "restored settings": "foreach (ini_get_all() as $name => $each) { ini_restore($name); }",
    "a finished answer": "fastcgi_finish_request(); nothing_of_that_name();",
    "a session": "session_save_path('/tmp'); @session_id('kraal'); exit;",
    "output": "echo str_repeat('x', 100000); flush(); exit;",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[FpmServer]:
    """kraal alone: in php-fpm's workers what was sent stays."""
    pool = {"php_admin_value[post_max_size]": "128M", "php_value[precision]": "9"}
    with workspace() as directory:
        server = FpmServer.start("kraal", directory, pool=pool)
        try:
            yield server
        finally:
            server.stop()


def effects(response: Response) -> tuple[object, ...]:
    assert response.status == 200, response
    return json.loads(response.body), response.stderr, response.header("Content-Encoding")


@pytest.mark.parametrize("param", ["PHP_VALUE", "PHP_ADMIN_VALUE"])
@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS.keys())
def test_what_the_web_server_sent_ends_with_the_request(shared: FpmServer, code: str, param: str) -> None:
    name = f"{abs(hash((code, param)))}.php"
    after = shared.script(f"after-{name}", EFFECTS)
    before = effects(shared.fetch(after))
    pid = shared.script(f"pid-{name}", "echo getmypid();")
    worker = shared.fetch(pid).text
    uri = shared.script(name, f"$set = ini_get('precision'); {code}")
    lines = "\n".join(f"{each} = {value}" for each, value in MANY.items())
    shared.fetch(uri, extra={param: lines}, headers={"Accept-Encoding": "gzip"})
    assert effects(shared.fetch(after, headers={"Accept-Encoding": "gzip"})) == before
    assert shared.fetch(pid).text == worker


def test_every_setting_that_php_has_ends_with_the_request(shared: FpmServer) -> None:
    after = shared.script("every-after.php", EFFECTS)
    uri = shared.script("every.php", "echo 1;")
    before = effects(shared.fetch(after))
    names = json.loads(
        shared.fetch(shared.script("names.php", "echo json_encode(array_keys(ini_get_all()));")).body
    )
    assert len(names) > 200
    for name in names:
        for value in ("7", ""):
            shared.fetch(uri, extra={"PHP_VALUE": f'{name} = "{value}"'})
            shared.fetch(uri, extra={"PHP_ADMIN_VALUE": f'{name} = "{value}"'})
    assert effects(shared.fetch(after)) == before


def test_value_of_one_request_is_not_compiled_into_the_script_for_all(shared: FpmServer) -> None:
    """OPcache does that with ini_get() of what cannot change any more."""
    uri = shared.script("folded.php", "echo ini_get('precision'), ' ', ini_get('user_agent');")
    sent = {"PHP_ADMIN_VALUE": "precision = 5\nuser_agent = mine"}
    assert [shared.fetch(uri, extra=extra).text for extra in (sent, sent, {}, sent)] == [
        *("5 mine", "5 mine", "9 ", "5 mine"),
    ]


LIMIT = "300M"
SPELLED = [
    f"post_max_size={LIMIT}",
    f"  post_max_size\t = {LIMIT}  ",
    f"Post_Max_Size={LIMIT}",
    f"\r\npost_max_size={LIMIT}\r\n",
    f"\n\n;\npost_max_size='{LIMIT}'",
    f'post_max_size="{LIMIT}"',
    "post_max_size=314572800",
    f"[x]\npost_max_size={LIMIT}",
    f"[HOST=kraal.test]\npost_max_size={LIMIT}",
    f"[PATH=/]\npost_max_size={LIMIT}",
    f"post_max_size[]={LIMIT}",
    f"post_max_size[0]={LIMIT}",
    f'"post_max_size"={LIMIT}',
    f"post_max_size\0={LIMIT}",
    f"post_max_size={LIMIT}\0",
    f"\0post_max_size={LIMIT}",
    f"\\x70ost_max_size={LIMIT}",
    f"0=1\npost_max_size={LIMIT}",
    f"post_max_size={LIMIT}\npost_max_size=400M",
    f"post_max_size=${{nothing}}{LIMIT}",
    f"post_max_size = -1\n[y]\npost_max_size[x] = {LIMIT}\npost_max_size = (1 | {1 << 29})",
]


@pytest.mark.parametrize("lines", SPELLED, ids=range(len(SPELLED)))
def test_admin_value_of_the_pool_stands_against_every_spelling(shared: FpmServer, lines: str) -> None:
    uri = shared.script(f"spelled-{SPELLED.index(lines)}.php", GET)
    for sent in ({"PHP_VALUE": lines}, {"PHP_ADMIN_VALUE": lines}):
        assert values(shared, uri, "post_max_size", **sent) == ["128M"]
    assert values(shared, uri, "post_max_size", PHP_VALUE=lines, PHP_ADMIN_VALUE=lines) == ["128M"]


def test_lines_before_a_mistake_count_and_the_mistake_is_told(shared_server: FpmServer) -> None:
    uri = shared_server.script("mistake.php", GET)
    found = values(
        shared_server,
        uri,
        "precision",
        "user_agent",
        PHP_VALUE="precision = 5\nuser_agent = (((\nuser_agent = x",
    )
    assert found == ["5", ""]
    shared_server.wait_log("syntax error, unexpected")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("no.such.setting = 1", "unable to set 'no.such.setting'"),
        ("[section]", "only classic entries are allowed"),
        ("precision", "empty value for key 'precision'"),
    ],
)
def test_line_that_cannot_be_applied_is_told_to_the_log_and_the_web_server(
    shared_server: FpmServer, script: Callable[[str], str], lines: str, told: str
) -> None:
    response = shared_server.fetch(script("echo 1;"), extra={"PHP_VALUE": lines})
    told = f"Passing INI directive through FastCGI: {told}"
    assert (response.text, told in response.stderr.decode()) == ("1", True)
    shared_server.wait_log(f"ERROR: {re.escape(told)}")


def test_mistake_is_told_without_the_output_of_workers(start_kind: StartKind) -> None:
    server = start_kind("kraal")
    server.fetch(server.script("page.php", "echo 1;"), extra={"PHP_VALUE": "user_agent = ((("})
    server.wait_log(r"ERROR: \[pool www\] Passing INI directive .* syntax error in 'PHP_VALUE'")


# ---------------------------------------------------------------- security.limit_php_value


BOTH = {
    "PHP_VALUE": "precision = 5\nuser_agent = x",
    "PHP_ADMIN_VALUE": "docref_root = /y\nignore_repeated_errors = 1",
}
NAMES = ("precision", "user_agent", "docref_root", "ignore_repeated_errors")


LIMITS = {
    "all": ["5", "x", "/y", "1"],
    "ALL": ["5", "x", "/y", "1"],
    "none": ["14", "", "", ""],
    '"none"': ["14", "", "", ""],
    "precision, docref_root": ["5", "", "/y", ""],
    "ignore_repeated_errors": ["14", "", "", "1"],
    "Precision precisio precision5 user": ["14", "", "", ""],
}


@pytest.fixture(scope="module")
def limited() -> Iterator[FpmServer]:
    """A pool for each of the limits; www has `none`, and settings of its own."""
    own = {"php_value[precision]": "9", "php_admin_value[docref_root]": "/p"}
    pools = {f"p{number}": {"security.limit_php_value": allowed} for number, allowed in enumerate(LIMITS)}
    with workspace() as directory:
        server = FpmServer.start(
            "kraal", directory, pool=own | {"security.limit_php_value": "none"}, more=pools
        )
        try:
            yield server
        finally:
            server.stop()


@pytest.mark.parametrize("allowed", LIMITS)
def test_only_what_the_pool_allows_is_taken_from_the_web_server(limited: FpmServer, allowed: str) -> None:
    number = list(LIMITS).index(allowed)
    query = "&".join(f"names[]={name}" for name in NAMES)
    params = limited.params(f"{limited.script(f'get-{number}.php', GET)}?{query}", extra=BOTH)
    with Connection(f"{limited.directory}/p{number}.sock") as connection:
        connection.send(packet(params))
        assert json.loads(connection.response().body) == LIMITS[allowed]
    for name, value in zip(NAMES, LIMITS[allowed], strict=True):
        told = rf"NOTICE: \[pool p{number}\] .*'{name}' is not allowed \(see security.limit_php_value\)"
        if value in ("14", ""):
            limited.wait_log(told)
        else:
            assert not limited.log_lines(told)


def test_what_is_ignored_is_told_once_however_often_it_comes(limited: FpmServer) -> None:
    """And what the pool has set is left alone."""
    uri = limited.script("often.php", GET)
    for _ in range(50):
        assert values(limited, uri, *NAMES, **BOTH) == ["9", "", "/p", ""]
    values(limited, uri, *NAMES, PHP_VALUE="last_of_all = 1")
    limited.wait_log("'last_of_all' is not allowed")
    for name in NAMES:
        assert len(limited.log_lines(rf"\[pool www\] .*'{name}' is not allowed")) == 1


def test_names_without_end_do_not_fill_the_log(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"security.limit_php_value": "none"})
    uri = server.script("page.php", "echo 1;")
    lines = "\n".join(f"name{number} = 1" for number in range(5000))
    for param in ("PHP_VALUE", "PHP_ADMIN_VALUE"):
        assert server.fetch(uri, extra={param: lines}).text == "1"
    wait_until(lambda: server.log_lines("is not allowed"), what="it is told")
    server.stop()
    assert len(server.log_lines("is not allowed")) <= 100
