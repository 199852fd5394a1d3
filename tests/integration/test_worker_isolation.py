"""What a request in worker mode leaves to the next one: what the boot has set, and nothing of its own."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.residents import Application, application

BOOT = """
ini_set('precision', '7');
putenv('BOOTED=yes');
$_ENV['LOADED'] = 'by the boot';
umask(027);
setlocale(LC_ALL, 'C.UTF-8');
"""


@pytest.fixture(scope="module")
def app() -> Iterator[Application]:
    with application(boot=BOOT) as running:
        yield running


@pytest.mark.parametrize(
    ("change", "look"),
    [
        ('ini_set("precision", "3");', 'ini_get("precision")'),
        ('ini_set("serialize_precision", "5");', 'ini_get("serialize_precision")'),
        ('ini_set("memory_limit", "300M");', 'ini_get("memory_limit")'),
        ("set_time_limit(77);", 'ini_get("max_execution_time")'),
        ("error_reporting(0);", "error_reporting()"),
        ("echo @$none;", "error_reporting()"),
        ('ini_set("open_basedir", "/tmp:/usr");', 'ini_get("open_basedir")'),
        ('putenv("BOOTED=no");', 'getenv("BOOTED")'),
        ('putenv("BOOTED");', 'getenv("BOOTED")'),
        ('putenv("NEW=1");', 'getenv("NEW")'),
        ('putenv("TZ=Asia/Tokyo");', 'getenv("TZ")'),
        ('putenv("BOOTED=no");', '$_SERVER["BOOTED"]'),
        ('putenv("NEW=1");', 'isset($_SERVER["NEW"])'),
        (
            '$_SERVER["BOOTED"] .= "!"; $_SERVER["NEW"] = 1;',
            'array_diff_key($_SERVER, ["REQUEST_TIME" => 1, "REQUEST_TIME_FLOAT" => 1])',
        ),
        ('$_ENV["LOADED"] = "no"; $_ENV["NEW"] = 1;', "$_ENV"),
        ('chdir("/");', "getcwd()"),
        ("umask(0);", "umask()"),
        ('setlocale(LC_ALL, "C");', "setlocale(LC_ALL, 0)"),
        ('trigger_error("x");', "error_get_last()"),
        ("ignore_user_abort(false);", "ignore_user_abort()"),
    ],
)
def test_what_a_request_changes_is_put_back(app: Application, change: str, look: str) -> None:
    show = app.script(f"echo json_encode({look});")
    before = app.server.fetch(show).text
    assert app.run(f"$file = __FILE__; {change}").status == 200
    assert app.server.fetch(show).text == before


def test_what_the_boot_has_set_stays(app: Application) -> None:
    code = 'echo json_encode([ini_get("precision"), getenv("BOOTED"), $_ENV["LOADED"], umask()]);'
    assert json.loads(app.run(code).text) == ["7", "yes", "by the boot", 0o27]


def test_variables_of_the_environment_are_those_of_an_ordinary_worker() -> None:
    texts = ("EMPTY=", "ONE=1", "7=seven", "a.b=dotted", "a b=spaced", "BOOTED=yes", "BOOTED=again")
    boot = "".join(f"putenv('{text}');" for text in texts)
    with application(boot=boot, pool={"clear_env": "no"}) as app:
        show = app.script("unset($_SERVER['FRANKENPHP_WORKER']); echo json_encode($_SERVER);")
        ordinary = app.server.script("other.php", f"{boot} require __DIR__ . '/{show}';")
        found = json.loads(app.server.fetch(show).text)
        expected = json.loads(app.server.fetch(ordinary).text)
        assert list(found) == list(expected)
        names = os.environ.keys() & expected.keys() | {"EMPTY", "ONE", "7", "BOOTED"}
        assert {name: found[name] for name in names} == {name: expected[name] for name in names}
        assert found["BOOTED"] == "again"


def test_server_variables_that_a_script_keeps_stay_as_they_were(app: Application) -> None:
    kept = app.run("$kept->variables = $_SERVER; echo json_encode($kept->variables);").text
    for number in range(20):
        change = f"putenv('BOOTED={number}'); putenv('OTHER{number}=1'); echo getenv('BOOTED');"
        assert app.run(change).text == str(number)
    assert app.run("echo json_encode($kept->variables);").text == kept


def test_settings_that_the_web_server_sends_hold_for_one_request(app: Application) -> None:
    uri = app.script('echo ini_get("precision"), ini_get("user_agent");')
    sent = {"PHP_VALUE": "precision=4", "PHP_ADMIN_VALUE": "user_agent=gate"}
    assert app.server.fetch(uri, extra=sent).text == "4gate"
    assert app.server.fetch(uri).text == "7"


def test_the_memory_of_a_request_is_its_own(app: Application) -> None:
    app.run("$text = str_repeat('x', 50 << 20);")
    assert int(app.run("echo memory_get_peak_usage();").text) < 20 << 20


# ---------------------------------------------------------------- sessions


def cookie(app: Application, name: str) -> str:
    page = app.run(f'session_start(); $_SESSION["name"] = "{name}"; echo session_id();')
    return f"PHPSESSID={page.text}"


def test_how_sessions_are_kept_is_set_up_once(app: Application) -> None:
    app.run('ini_set("session.cache_limiter", "");')
    assert app.run("session_start();").header("Pragma") is None
    app.run('ini_set("session.cache_limiter", "nocache");')


def test_a_session_is_written_before_the_answer_is_complete(app: Application) -> None:
    sent = {"Cookie": cookie(app, "Ann")}
    uri = app.script('session_start(); echo $_SESSION["name"] ?? "nobody";')
    assert app.server.fetch(uri, headers=sent).text == "Ann"


def test_a_session_does_not_reach_another_visitor(app: Application) -> None:
    cookie(app, "Ann")
    show = "echo json_encode([$_SESSION ?? null, session_id(), session_status() === PHP_SESSION_NONE]);"
    assert json.loads(app.run(show).text) == [None, "", True]
    fresh = app.run(
        'session_start(); echo json_encode($_SESSION), strlen(session_id()) > 10 ? "new" : "none";'
    )
    assert fresh.text == "[]new"


def test_a_session_does_not_reach_another_visitor_after_a_failure(app: Application) -> None:
    app.run('session_start(); $_SESSION["secret"] = 1; throw new Exception("in the middle");')
    show = "echo json_encode([$_SESSION ?? null, session_id()]); session_start(); echo count($_SESSION);"
    assert app.run(show).text == '[null,""]0'


def test_a_save_handler_that_was_set_once_goes_on() -> None:
    boot = """
    class Shelf extends SessionHandler {
        public static array $kept = [];
        public function open($path, $name): bool { return true; }
        public function close(): bool { return true; }
        public function read($id): string { return self::$kept[$id] ?? ''; }
        public function write($id, $data): bool { self::$kept[$id] = $data; return true; }
        public function destroy($id): bool { unset(self::$kept[$id]); return true; }
        public function gc($age): int { return 0; }
    }
    """
    with application(boot=boot) as app:
        app.run("session_set_save_handler(new Shelf, false);")
        sent = {"Cookie": cookie(app, "Ann")}
        uri = app.script('session_start(); echo $_SESSION["name"] ?? "nobody", count(Shelf::$kept);')
        assert app.server.fetch(uri, headers=sent).text == "Ann1"
        assert app.run('session_start(); echo $_SESSION["name"] ?? "nobody";').text == "nobody"
