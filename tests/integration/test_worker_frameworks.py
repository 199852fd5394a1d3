"""Frameworks in worker mode: Symfony on Debian's packages, and a loop like that of Laravel Octane.

The runtime, which calls the function for Symfony, is written as public ones are.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.support.apps import symfony
from tests.support.http import HOST, Browser, File, Page, multipart
from tests.support.nginx import nginx
from tests.support.residents import application
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workspace import workspace

SITE = f"http://{HOST}"
TIME = re.compile(r"\w{3}, \d\d[ -]\w{3}[ -]20\d\d \d\d:\d\d:\d\d GMT")

# In place of the last lines of the front controller.
RUNTIME = """
$kernel = new Enclosure('prod', false);
if (!isset($_SERVER['FRANKENPHP_WORKER'])) {
    $response = $kernel->handle($request = Request::createFromGlobals());
    $response->send();
    $kernel->terminate($request, $response);
    return;
}
ignore_user_abort(true);
$own = static fn (string $key) => !str_starts_with($key, 'HTTP_');
$server = array_filter($_SERVER, $own, ARRAY_FILTER_USE_KEY);
$server['APP_RUNTIME_MODE'] = 'web=1&worker=1';
$handler = static function () use ($kernel, $server, &$request, &$response): void {
    $_SERVER += $server;
    $request = Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
};
$loops = 0;
do {
    $again = \\frankenphp_handle_request($handler);
    if ($request && $response) {
        $kernel->terminate($request, $response);
        $request = $response = null;
    }
    gc_collect_cycles();
} while ($again && ++$loops < 50);
"""

OCTANE = """
if ((!($_SERVER['FRANKENPHP_WORKER'] ?? false)) || !function_exists('frankenphp_handle_request')) {
    exit(1);
}
ignore_user_abort(true);
$application = new ArrayObject(['visits' => 0]);
$served = 0;
$limit = (int) ($_SERVER['MAX_REQUESTS'] ?? 1000);
$time = (int) ($_SERVER['REQUEST_MAX_EXECUTION_TIME'] ?? 30);
$handle = static function () use ($application, $time) {
    set_time_limit($time);
    $sandbox = clone $application;
    $sandbox['visits']++;
    try {
        if (isset($_GET['fail'])) {
            throw new RuntimeException('so be it');
        }
        echo json_encode([$sandbox['visits'], $_POST['name'] ?? null, ini_get('max_execution_time')]);
    } catch (Throwable $e) {
        http_response_code(500);
        echo $e->getMessage();
    }
};
while ($served < $limit && frankenphp_handle_request($handle)) {
    $served++;
}
gc_collect_cycles();
"""


@pytest.fixture(scope="module")
def browsers() -> Iterator[tuple[Browser, Browser]]:
    """The application in worker mode, and as it is."""
    with ExitStack() as stack:
        found = []
        for worker in (True, False):
            place = stack.enter_context(workspace())
            root = symfony(place / "app")
            index = root / "index.php"
            code = index.read_text()
            index.write_text(code[: code.index("$kernel = new Enclosure(")] + RUNTIME)
            pool = {"pm.max_children": "2"} | ({"worker.script": str(index)} if worker else {})
            server = FpmServer.start("kraal", place, root=root, pool=pool)
            stack.callback(server.stop)
            found.append(Browser(stack.enter_context(nginx(place, root, server.address))))
        yield found[0], found[1]


def settled(page: Page) -> tuple[int, list[str], bytes]:
    """Status, headers and body; times and session ids are not the same twice."""
    headers = []
    for name, value in page.headers:
        text = TIME.sub("TIME", f"{name}: {value}")
        headers.append(re.sub(r"(PHPSESSID=)[^;]+", r"\1ID", text))
    return page.status, headers, page.body


def have_noted(browsers: tuple[Browser, Browser]) -> bool:
    return all(each.request("GET", f"{SITE}/noted/late").body for each in browsers)


def test_symfony_answers_as_without_worker_mode_again_and_again(browsers: tuple[Browser, Browser]) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    kind, upload = multipart({"file": File("gate.txt", "text/plain", b"a gate" * 5000), "a": "1"})
    for _ in range(3):
        for method, path, body, headers in (
            ("GET", "/", None, {}),
            ("GET", "/animals/zebra.json?a[]=1", None, {}),
            ("GET", "/request/a/b%20c?d=e", None, {"Authorization": "Basic a2VlcGVyOnBhc3M="}),
            ("GET", "/form", None, {}),
            ("POST", "/form", b"name=%3Ckeeper%3E", form),
            ("GET", "/form", None, {}),
            ("PUT", "/form", b"text", {"Content-Type": "text/plain"}),
            ("POST", "/upload", upload, {"Content-Type": kind}),
            ("GET", "/fail/404", None, {}),
            ("GET", "/fail/503", None, {}),
            ("GET", "/old", None, {}),
            ("GET", "/stream", None, {}),
            ("GET", "/download", None, {"Range": "bytes=100-199"}),
            ("GET", "/cached?note=late", None, {}),
            ("GET", "/noted/late", None, {}),
        ):
            if path == "/noted/late":
                wait_until(partial(have_noted, browsers), what="it was written, behind the answer")
            ours, other = (each.request(method, SITE + path, body=body, headers=headers) for each in browsers)
            if path == "/upload":
                assert (ours.status, ours.text[:24]) == (other.status, other.text[:24])
            else:
                assert settled(ours) == settled(other), path


def test_a_loop_like_octanes_serves_and_boots_again_at_its_limit() -> None:
    pool = {"env[MAX_REQUESTS]": "4", "env[REQUEST_MAX_EXECUTION_TIME]": "7"}
    with application(boot=OCTANE + "return;", pool=pool) as app:
        uri = app.script("")
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        for _ in range(6):
            assert app.server.fetch(uri, body=b"name=Ann", headers=sent).text.startswith('[1,"Ann","7"]')
            failed = app.server.fetch(f"{uri}?fail")
            assert (failed.status, failed.text) == (500, "so be it")
        assert app.server.wait_log("has ended \\(by itself\\): starting it again", times=2)
