"""`kraal serve` as a person uses it: started on a site, asked by a browser, stopped with Ctrl-C."""

import http.client
import os
import signal
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.front import Front, refused
from tests.support.http import Browser, File
from tests.support.servers import Kind, free_port
from tests.support.wait import wait_until
from tests.support.workspace import ROOT, make_directory, workspace

SCRIPTS = {
    "page.php": '<?php header("X-Sapi: " . PHP_SAPI); echo "page ", $_SERVER["PATH_INFO"] ?? "";',
    "index.php": '<?php echo "controller for ", $_SERVER["REQUEST_URI"];',
    "form.php": '<?php echo $_SERVER["REQUEST_METHOD"], " ", $_POST["name"] ?? "-", " ", $_GET["q"] ?? "-";',
    "echo.php": """<?php
        header("Content-Length: " . $_SERVER["CONTENT_LENGTH"]);
        echo file_get_contents("php://input");""",
    "length.php": '<?php echo $_SERVER["CONTENT_LENGTH"], " ", strlen(file_get_contents("php://input"));',
    "upload.php": """<?php
        $file = $_FILES["file"];
        echo $file["name"], " ", $file["size"], " ", hash_file("sha256", $file["tmp_name"]);""",
    # Goes on when the test says so, by way of a file.
    "stream.php": """<?php
        echo "first\n"; ob_get_level() and ob_flush(); flush();
        for ($i = 0; $i < 1000 && !file_exists(__DIR__ . "/go"); $i++) { usleep(10000); clearstatcache(); }
        echo "second\n";""",
    "status.php": '<?php http_response_code(418); header("X-A: 1"); header("X-A: 2", false); echo "teapot";',
    "short.php": '<?php header("Content-Length: 100"); echo "short";',
    "long.php": '<?php header("Content-Length: 3"); echo "longer";',
    "empty.php": '<?php http_response_code(204); echo "nothing";',
    "large.php": '<?php for ($i = 0; $i < 320; $i++) { echo str_repeat("x", 65536); }',
    "abort.php": """<?php
        ignore_user_abort(false);
        file_put_contents(__DIR__ . "/state", "running");
        register_shutdown_function(fn() => file_put_contents(__DIR__ . "/state", "over"));
        for ($i = 0; $i < 3000; $i++) { echo str_repeat("x", 65536); flush(); usleep(1000); }""",
    "log.php": '<?php error_log("a note from PHP"); echo "noted";',
}
FILES = {"style.css": "body { color: teal }\n", ".env": "SECRET=1\n", "lib/db.inc": "<?php // secret\n"}


def write_site(site: Path) -> Path:
    make_directory(site)
    for name, content in {**SCRIPTS, **FILES}.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(content)
    return site


@pytest.fixture(scope="module")
def front(server_kind: Kind) -> Iterator[Front]:
    with workspace() as directory:
        running = Front.start(server_kind, write_site(directory / "site"), directory / "log")
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture
def site(front: Front) -> Path:
    return front.output.parent / "site"


@pytest.fixture
def browser(front: Front) -> Browser:
    return Browser(front.port)


@pytest.fixture
def connection(front: Front) -> Iterator[http.client.HTTPConnection]:
    """To ask several times on one connection, or for pieces of an answer."""
    asking = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    yield asking
    asking.close()


def workplaces() -> set[Path]:
    return set(Path("/tmp").glob("kraal-serve-*"))


# -- pages --


def test_script_is_run(browser: Browser) -> None:
    page = browser.get("/page.php/some/info")

    assert (page.status, page.text) == (200, "page /some/info")
    assert page.header("X-Sapi") == "fpm-fcgi"


def test_address_without_a_file_goes_to_the_front_controller(browser: Browser) -> None:
    assert browser.get("/blog/2024?page=2").text == "controller for /blog/2024?page=2"


def test_status_and_equal_headers_come_through(browser: Browser) -> None:
    page = browser.get("/status.php")

    assert (page.status, page.text) == (418, "teapot")
    assert [value for name, value in page.headers if name.lower() == "x-a"] == ["1", "2"]


def test_script_that_is_not_there_is_404(browser: Browser) -> None:
    assert browser.get("/none.php").status == 404


def test_head_has_headers_and_no_body(connection: http.client.HTTPConnection) -> None:
    """Two on one connection: a body would be taken for the second answer."""
    for path in ("/page.php", "/style.css", "/short.php", "/page.php"):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")


def test_pool_pages_are_reachable(browser: Browser) -> None:
    assert browser.get("/ping").text == "pong"
    assert '"pool":"www"' in browser.get("/status?json&full").text.replace('": "', '":"')


def test_message_of_php_is_shown_in_the_terminal(browser: Browser, front: Front) -> None:
    assert browser.get("/log.php").text == "noted"
    wait_until(lambda: "a note from PHP" in front.log(), what="the message is in the terminal")


# -- files --


def test_file_is_sent_with_its_type(browser: Browser) -> None:
    page = browser.get("/style.css")

    assert (page.status, page.text) == (200, FILES["style.css"])
    assert (page.header("Content-Type") or "").startswith("text/css")


def test_part_of_a_file_is_sent(browser: Browser) -> None:
    page = browser.get("/style.css", Range="bytes=0-3")

    assert (page.status, page.text) == (206, "body")


def test_file_that_the_browser_has_is_not_sent_again(browser: Browser) -> None:
    etag = browser.get("/style.css").header("ETag") or ""

    page = browser.get("/style.css", If_None_Match=etag)

    assert (page.status, page.body) == (304, b"")


def test_file_cannot_be_posted_to(browser: Browser) -> None:
    assert browser.post("/style.css", {"a": "b"}).status == 405


@pytest.mark.parametrize("path", ["/.env", "/%2eenv", "/lib/db.inc", "/lib/../.env"])
def test_secrets_are_not_found(browser: Browser, path: str) -> None:
    page = browser.get(path)

    assert page.status == 404
    assert "secret" not in page.text.lower()


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/style.css%00"]
)
def test_nothing_outside_the_site_is_sent(front: Front, path: str) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))

    assert answer.split()[1] in (b"404", b"400")
    assert b"root:" not in answer


@pytest.mark.skipif(not ROOT, reason="only root can read what others cannot")
def test_file_that_the_pool_user_cannot_read_is_not_sent(browser: Browser, site: Path) -> None:
    secret = site / "private.txt"
    secret.write_text("secret")
    secret.chmod(0o600)

    page = browser.get("/private.txt")

    assert page.status == 403
    assert "secret" not in page.text


# -- bodies --


def test_form_is_received(browser: Browser) -> None:
    assert browser.post("/form.php?q=%3F", {"name": "Ünï & co"}).text == "POST Ünï & co ?"


def test_upload_arrives_unchanged(browser: Browser) -> None:
    content = os.urandom(1_500_000)

    page = browser.post("/upload.php", {"file": File("photo.jpg", "image/jpeg", content)})

    assert page.text == f"photo.jpg {len(content)} {sha256(content).hexdigest()}"


def test_twenty_megabytes_go_there_and_back(browser: Browser) -> None:
    content = os.urandom(1 << 20) * 20

    assert browser.request("PUT", "/echo.php", body=content).body == content


def test_chunked_body_has_its_length_for_php(connection: http.client.HTTPConnection) -> None:
    pieces = [b"x" * 1000] * 2000
    connection.request("PUT", "/length.php", body=iter(pieces), encode_chunked=True)

    assert connection.getresponse().read() == b"2000000 2000000"


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    for number in range(5):
        connection.request("POST", "/length.php", body=b"x" * number)
        assert connection.getresponse().read() == f"{number} {number}".encode()


# -- answers --


def test_answer_is_streamed_as_it_is_flushed(connection: http.client.HTTPConnection, site: Path) -> None:
    connection.request("GET", "/stream.php")
    answer = connection.getresponse()

    assert answer.readline() == b"first\n"
    (site / "go").touch()
    assert answer.read() == b"second\n"


def test_large_answer_is_complete(browser: Browser) -> None:
    assert len(browser.get("/large.php").body) == 320 * 65536


def test_answer_that_is_shorter_than_announced_shows_as_broken(browser: Browser, front: Front) -> None:
    with pytest.raises(http.client.IncompleteRead):
        browser.get("/short.php")
    wait_until(
        lambda: "/short.php: PHP's answer is 95 bytes shorter" in front.log(), what="the reason is told"
    )


def test_answer_that_is_longer_than_announced_is_cut(connection: http.client.HTTPConnection) -> None:
    for _ in range(2):
        connection.request("GET", "/long.php")
        assert connection.getresponse().read() == b"lon"


def test_status_without_a_body_has_none(connection: http.client.HTTPConnection) -> None:
    for _ in range(2):
        connection.request("GET", "/empty.php")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")


def test_script_learns_that_the_browser_has_gone(front: Front, site: Path) -> None:
    state = site / "state"
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as raw:
        raw.sendall(b"GET /abort.php HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.recv(1000)

    wait_until(lambda: state.read_text() == "over", at_most=5, what="the script has ended")


# -- starting and stopping --


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(server_kind: Kind, directory: Path) -> None:
    before = workplaces()
    front = Front.start(server_kind, write_site(directory / "site"), directory / "log")
    assert len(workplaces() - before) == 1

    front.stop(signal.SIGINT)

    assert workplaces() == before


def test_ctrl_c_does_not_wait_for_an_endless_answer(server_kind: Kind, directory: Path) -> None:
    front = Front.start(server_kind, write_site(directory / "site"), directory / "log")
    with socket.create_connection(("127.0.0.1", front.port), timeout=30) as raw:
        raw.sendall(b"GET /stream.php HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.recv(1000)

        front.stop(signal.SIGINT)

    assert "ERROR" not in front.log()


def test_messages_of_the_master_are_shown(front: Front) -> None:
    assert "ready to handle connections" in front.log()


@pytest.mark.slow
def test_master_that_dies_ends_the_front(server_kind: Kind, directory: Path) -> None:
    before, bystanders = workplaces(), processes.orphans()
    front = Front.start(server_kind, write_site(directory / "site"), directory / "log")
    below = processes.descendants(front.process.pid)

    os.kill(front.master(), signal.SIGKILL)

    assert front.process.wait(10) == 70
    assert "kraal: the master was killed by SIGKILL" in front.log()
    assert workplaces() == before
    processes.kill(below)  # php-fpm's workers outlive their master
    processes.check_gone(below, before=bystanders)


def test_front_that_is_killed_takes_the_master_along(server_kind: Kind, directory: Path) -> None:
    before = workplaces()
    front = Front.start(server_kind, write_site(directory / "site"), directory / "log")
    below = processes.descendants(front.process.pid)

    front.process.kill()
    front.process.wait()

    front.check_gone(below)
    for left in workplaces() - before:
        for file in left.iterdir():
            file.unlink()
        left.rmdir()


@pytest.mark.slow
def test_backend_that_is_gone_gives_502(server_kind: Kind, directory: Path) -> None:
    before = workplaces()
    front = Front.start(server_kind, write_site(directory / "site"), directory / "log")
    [workplace] = workplaces() - before
    (workplace / "php.sock").unlink()

    page = Browser(front.port).get("/page.php")
    front.stop()

    assert page.status == 502
    assert "kraal: /page.php: " in front.log()


def test_workers_run_as_the_owner_of_the_site(server_kind: Kind, directory: Path) -> None:
    site = write_site(directory / "site")
    (site / "user.php").write_text('<?php echo posix_geteuid(), " ", fileowner(__DIR__);')
    front = Front.start(server_kind, site, directory / "log", "--workers", "1")

    page = Browser(front.port).get("/user.php")
    front.stop()

    user, owner = page.text.split()
    assert user == owner


def test_port_in_use_is_one_clear_line(server_kind: Kind, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]

        assert refused(server_kind, directory, "--port", str(port)) == (
            78,
            f"kraal: the address 127.0.0.1:{port} is in use\n",
        )


def test_missing_directory_is_one_clear_line(server_kind: Kind, directory: Path) -> None:
    missing = directory / "none"

    assert refused(server_kind, missing) == (64, f"kraal: the directory {missing} does not exist\n")


def test_file_instead_of_a_directory_is_one_clear_line(server_kind: Kind, directory: Path) -> None:
    file = directory / "file"
    file.touch()

    assert refused(server_kind, file) == (64, f"kraal: {file} is not a directory\n")


@pytest.mark.parametrize("arguments", [("--port", "x"), ("--workers", "0"), ("--nonsense",)])
def test_wrong_usage_is_one_clear_line(
    server_kind: Kind, directory: Path, arguments: tuple[str, ...]
) -> None:
    code, messages = refused(server_kind, directory, *arguments)

    assert code == 64
    assert messages.startswith("kraal: ")
    assert messages.count("\n") == 1


@pytest.mark.skipif(not ROOT, reason="only root can choose another user")
def test_directory_that_php_cannot_reach_is_refused_with_the_remedy(
    server_kind: Kind, directory: Path
) -> None:
    site = directory / "closed"
    site.mkdir(mode=0o700)

    code, messages = refused(server_kind, site)

    assert code == 78
    assert f"cannot read {site} (mode 0700): run `chmod o+rx {site}`" in messages


@pytest.mark.skipif(not ROOT, reason="only root can choose another user")
def test_unknown_user_is_one_clear_line(server_kind: Kind, directory: Path) -> None:
    assert refused(server_kind, directory, "--user", "nobody-at-all") == (
        64,
        "kraal: there is no user nobody-at-all on this machine\n",
    )
