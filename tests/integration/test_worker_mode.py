"""What a worker script can rely on: the function, its requests, and what each of them finds."""

import json
import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.support.fastcgi import Connection, packet
from tests.support.http import File, multipart
from tests.support.residents import Application, application

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def app() -> Iterator[Application]:
    """One resident, for tests that do it no harm."""
    with application(boot='echo "said while booting"; header("X-Boot: 1");') as running:
        yield running


# ---------------------------------------------------------------- the function


def test_the_script_boots_once_and_handles_requests_in_a_loop(app: Application) -> None:
    uri = app.script('echo json_encode([getmypid(), $kept->count, $_GET["n"]]);')
    answers = [json.loads(app.server.fetch(f"{uri}?n={n}").text) for n in range(3)]
    pids, counts, given = zip(*answers, strict=True)
    assert len(set(pids)) == 1
    assert counts == (counts[0], counts[0] + 1, counts[0] + 2)
    assert given == ("0", "1", "2")


def test_what_is_said_while_booting_goes_to_no_client(app: Application) -> None:
    page = app.run('echo "hello";')
    assert (page.status, page.text, page.header("X-Boot")) == (200, "hello", None)


def test_frameworks_find_their_variable_and_their_functions(app: Application) -> None:
    code = """echo json_encode([$_SERVER["FRANKENPHP_WORKER"], $kept->server["FRANKENPHP_WORKER"],
        function_exists("frankenphp_handle_request"), function_exists("kraal_handle_request"), PHP_SAPI]);"""
    assert json.loads(app.run(code).text) == ["1", "1", True, True, "fpm-fcgi"]


def test_other_scripts_run_in_ordinary_workers(app: Application) -> None:
    server = app.server
    inside = int(app.run("echo getmypid();").text)
    uri = server.script("other.php", 'echo getmypid(), isset($_SERVER["FRANKENPHP_WORKER"]) ? "in" : "out";')
    assert server.fetch(uri).text != f"{inside}out"
    assert server.fetch(uri).text.endswith("out")
    body = b"a=" + b"b" * 300_000
    post = server.script("post.php", 'echo strlen($_POST["a"]);')
    assert server.fetch(post, body=body, headers=FORM).text == "300000"


def test_scripts_and_their_programs_get_the_same_signals_in_both_kinds_of_workers(app: Application) -> None:
    code = """echo shell_exec("grep ^Sig[BI] /proc/self/status"), file_get_contents("/proc/self/status");"""
    masks = []
    for page in (app.run(code), app.server.fetch(app.server.script("signals.php", code))):
        masks.append(re.findall(r"^Sig(?:Blk|Ign):.*$", page.text, re.MULTILINE))
    assert masks[0] == masks[1]
    assert len(masks[0]) == 4


def test_outside_of_a_worker_script_the_function_throws(app: Application) -> None:
    code = "try { %s(fn () => 1); } catch (RuntimeException $e) { echo get_class($e); }"
    for number, name in enumerate(("frankenphp_handle_request", "kraal_handle_request")):
        uri = app.server.script(f"outside{number}.php", code % name)
        assert app.server.fetch(uri).text == "RuntimeException"
    inside = app.run(code % "kraal_handle_request")
    assert inside.text == "RuntimeException"


def test_connections_are_kept_across_kinds_of_workers(app: Application) -> None:
    inside = app.script('echo "in";')
    outside = app.server.script("kept.php", 'echo "out";')
    with Connection(app.server.address) as connection:
        for uri, said in ((inside, "in"), (outside, "out"), (inside, "in"), (outside, "out")):
            connection.send(packet(app.server.params(uri), keep=True))
            assert connection.response().text == said


def test_ping_and_status_are_answered_while_the_script_waits() -> None:
    with application(pool={"ping.path": "/ping", "pm.status_path": "/status"}) as app:
        assert app.server.fetch("/ping").text == "pong"
        status = json.loads(app.server.fetch("/status?json&full").text)
        assert status["total processes"] == 2


# ---------------------------------------------------------------- requests


def test_each_request_has_its_own_input(app: Application) -> None:
    code = """echo json_encode([$_GET, $_POST, $_COOKIE, $_REQUEST, $_SERVER["REQUEST_METHOD"],
        $_SERVER["HTTP_X_ONE"] ?? null, file_get_contents("php://input"), getenv("HTTP_X_ONE")]);"""
    uri = app.script(code)
    headers = FORM | {"Cookie": "c=d", "X-One": "1"}
    first = json.loads(app.server.fetch(f"{uri}?a=b", body=b"p=q", headers=headers).text)
    second = json.loads(app.server.fetch(uri).text)
    assert first == [{"a": "b"}, {"p": "q"}, {"c": "d"}, {"a": "b", "p": "q"}, "POST", "1", "p=q", "1"]
    assert second == [[], [], [], [], "GET", None, "", False]


def test_each_request_has_its_own_answer(app: Application) -> None:
    app.run("""header("X-First: 1"); http_response_code(418); setcookie("a", "b"); ob_start(); ob_start();
        header_register_callback(fn () => header("X-Late: 1")); echo "tea";""")
    page = app.run("echo ob_get_level(), http_response_code();")
    assert (page.status, page.header("X-First"), page.header("X-Late")) == (200, None, None)
    assert (page.all("Set-Cookie"), page.text[-3:]) == ([], "200")
    late = app.run('header_register_callback(fn () => header("X-Late: 2")); echo "x";')
    assert late.header("X-Late") == "2"


def test_open_buffers_are_sent_and_closed(app: Application) -> None:
    assert app.run('ob_start(fn ($text) => strtoupper($text)); echo "loud";').text == "LOUD"
    assert app.run('echo "quiet";').text == "quiet"


def test_uploads_are_there_and_gone_afterwards(app: Application) -> None:
    uri = app.script("""$file = $_FILES["f"]["tmp_name"];
        echo json_encode([file_get_contents($file), is_uploaded_file($file), $file]);""")
    kind, body = multipart({"f": File("a.txt", "text/plain", b"a gate")})
    content, uploaded, name = json.loads(
        app.server.fetch(uri, body=body, headers={"Content-Type": kind}).text
    )
    assert (content, uploaded) == ("a gate", True)
    left = app.run(f"echo json_encode([file_exists('{name}'), is_uploaded_file('{name}'), count($_FILES)]);")
    assert json.loads(left.text) == [False, False, 0]


def test_filtered_input_is_that_of_the_request(app: Application) -> None:
    uri = app.script(
        'echo json_encode([filter_input(INPUT_GET, "a"), filter_input(INPUT_SERVER, "REQUEST_URI")]);'
    )
    assert json.loads(app.server.fetch(f"{uri}?a=b").text) == ["b", f"{uri}?a=b"]
    assert json.loads(app.server.fetch(uri).text) == [None, uri]


def test_an_answer_is_complete_before_the_function_returns() -> None:
    after = 'if (isset($_GET["slow"])) { while (!file_exists($_GET["slow"])) { usleep(1000); } }'
    with application(after=after) as app:
        gate = app.server.directory / "gate"
        uri = app.script('echo "answered";')
        for keep in (False, True):
            with Connection(app.server.address) as connection:
                connection.send(packet(app.server.params(f"{uri}?slow={gate}"), keep=keep))
                assert connection.response().text == "answered"
                if not keep:
                    assert connection.closed()
            gate.touch()
            assert app.server.fetch(uri).text == "answered"
            gate.unlink()


def test_what_is_said_after_the_answer_goes_nowhere() -> None:
    with application(after='echo "behind"; @header("X-Behind: 1");') as app:
        for _ in range(3):
            page = app.run('echo "answer";')
            assert (page.text, page.header("X-Behind")) == ("answer", None)


def test_superglobals_stay_until_the_next_request() -> None:
    after = 'if ($again) { error_log("after " . $_GET["n"] . $_SERVER["REQUEST_METHOD"]); }'
    with application(after=after) as app:
        app.server.fetch(app.script("") + "?n=7")
        app.server.wait_log("after 7GET")


def test_finish_request_answers_and_the_callback_goes_on(app: Application) -> None:
    for name in ("fastcgi_finish_request", "frankenphp_finish_request"):
        file = app.server.directory / "sessions" / name
        page = app.run(
            f'echo "done"; var_dump({name}()); echo "unseen"; file_put_contents("{file}", "late");'
        )
        assert page.text == "done"
        assert app.run(f'echo file_get_contents("{file}");').text == "late"


# ---------------------------------------------------------------- what goes wrong


def test_an_exception_is_logged_and_the_loop_goes_on() -> None:
    with application() as app:
        before = app.run("echo getmypid(), ' ', $kept->count;").text.split()
        page = app.run('throw new LogicException("the gate is broken");')
        assert page.status == 500
        assert b"Uncaught LogicException: the gate is broken" in page.stderr
        app.server.wait_log("Uncaught LogicException: the gate is broken")
        after = app.run("echo getmypid(), ' ', $kept->count;").text.split()
        assert after == [before[0], str(int(before[1]) + 2)]


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ('echo "last"; exit(0);', 200, "by itself"),
        ('echo "last"; exit(3);', 200, "status 3"),
        ('echo "last"; trigger_error("so be it", E_USER_ERROR);', 500, "so be it"),
        ('str_repeat("x", 1 << 30);', 500, "Allowed memory size of .* exhausted"),
        ('echo "last"; set_time_limit(1); while (true);', 500, "Maximum execution time of 1 second exceeded"),
    ],
    ids=["exit", "exit with a status", "fatal error", "memory", "time"],
)
def test_a_request_that_ends_the_script_is_answered_and_the_script_boots_again(
    code: str, status: int, reason: str
) -> None:
    with application() as app:
        app.run("echo 1;")
        page = app.run(f'register_shutdown_function(fn () => print("-shutdown")); {code}')
        assert (page.status, page.text.removeprefix("last")) == (status, "-shutdown")
        app.server.wait_log(f"worker script of child [0-9]+ has ended \\({reason}.*starting it again")
        assert app.run("echo $kept->count;").text == "1"


def test_a_script_that_leaves_its_loop_is_started_again_and_no_request_is_lost() -> None:
    after = "if ($kept->count >= 3) { $again = false; }"
    with application(after=after) as app:
        uri = app.script("echo $kept->count;")
        assert [app.server.fetch(uri).text for _ in range(7)] == ["1", "2", "3", "1", "2", "3", "1"]


def test_a_request_that_takes_too_long_is_stopped_and_others_go_on() -> None:
    pool = {"request_terminate_timeout": "1", "request_terminate_grace": "1"}
    with application(number=2, pool=pool) as app:
        page = app.run("while (true) { usleep(1000); }")
        assert page.status == 500
        app.server.wait_log("execution timed out")
        assert app.run('echo "on";').text == "on"


def test_a_crash_stays_in_one_process() -> None:
    with application(number=2) as app:
        before = app.residents()
        assert len(before) == 2
        victim = int(app.run("echo getmypid();").text)
        os.kill(victim, signal.SIGKILL)
        assert app.run('echo "on";').text == "on"
        app.server.wait_log(f"child {victim} exited on signal 9")
        assert before - {victim} <= app.residents()


def test_a_client_that_leaves_does_not_end_the_script(app: Application) -> None:
    before = app.run("echo getmypid();").text
    file = app.server.directory / "sessions" / "aborted"
    uri = app.script(f"""while (!connection_aborted()) {{ echo str_repeat("x", 4096); flush(); }}
        file_put_contents("{file}", "seen");""")
    with Connection(app.server.address) as connection:
        connection.send(packet(app.server.params(uri)))
        connection.read()
    assert (
        app.run(f'echo getmypid(), file_get_contents("{file}"), connection_status();').text
        == f"{before}seen0"
    )
