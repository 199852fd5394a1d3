"""Bodies that the web server leaves in files: which ones a pool reads, and with nginx in front."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, Response, packet
from tests.support.http import Browser
from tests.support.nginx import nginx
from tests.support.servers import FpmServer
from tests.support.workspace import give, workspace

CODE = "echo json_encode([file_get_contents('php://input'), $_POST]);"
CONTENT = b"name=x"
READ = [CONTENT.decode(), {"name": "x"}]
NOTHING: list[object] = ["", []]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CAUGHT = {"catch_workers_output": "yes"}

# Pools by the value of the directive, where DIR is the directory of the server's.
LIMITS = {
    "of_all": "all",
    "of_none": "none",
    "of_one": "DIR/bodies",
    "of_two": "/nowhere, DIR/bodies/",
    "of_another": "DIR/bod",
    "of_the_root": "/",
    "of_a_link": "DIR/link",
}
READING = {"of_all", "of_one", "of_two", "of_the_root", "of_a_link"}


@pytest.fixture(scope="module")
def server() -> Iterator[FpmServer]:
    """kraal with a pool for each of the limits."""
    with workspace() as directory:
        for name in ("bodies", "elsewhere"):
            (directory / name).mkdir()
            (directory / name / "body").write_bytes(CONTENT)
        (directory / "link").symlink_to("bodies")
        pools = {
            pool: {"security.limit_body_files": value.replace("DIR", str(directory))}
            for pool, value in LIMITS.items()
        }
        server = FpmServer.start("kraal", directory, pool=CAUGHT, more=pools)
        server.script("body.php", CODE)
        try:
            yield server
        finally:
            server.stop()


def ask(server: FpmServer, file: str | Path, pool: str | None = None) -> Response:
    params = server.params("/body.php", body=CONTENT, headers=FORM) | {"REQUEST_BODY_FILE": str(file)}
    with Connection(f"{server.directory}/{pool}.sock" if pool else server.address) as connection:
        connection.send(packet(params))
        return connection.response()


# ---------------------------------------------------------------- security.limit_body_files


@pytest.mark.parametrize("pool", LIMITS)
def test_body_file_is_read_where_the_pool_allows_it(server: FpmServer, pool: str) -> None:
    response = ask(server, server.directory / "bodies" / "body", pool)
    if pool in READING:
        assert (json.loads(response.body), response.stderr) == (READ, b"")
    else:
        assert json.loads(response.body) == NOTHING
        said = response.stderr.decode()
        assert "body' is not allowed (see security.limit_body_files)" in said
        assert said.count("REQUEST_BODY_FILE") == 1


def out_of_the_folder(bodies: Path) -> dict[str, Path | str]:
    outside = bodies.parent / "elsewhere" / "body"
    for name, target in (("soft", outside), ("folder", outside.parent), ("twice", bodies / "soft")):
        if not (bodies / name).is_symlink():
            (bodies / name).symlink_to(target)
    return {
        "itself": outside,
        "dots": f"{bodies}/../elsewhere/body",
        "a link": bodies / "soft",
        "a link to a link": bodies / "twice",
        "a linked folder": bodies / "folder" / "body",
    }


@pytest.mark.parametrize("way", ["itself", "dots", "a link", "a link to a link", "a linked folder"])
def test_no_name_leads_out_of_the_folder(server: FpmServer, way: str) -> None:
    name = out_of_the_folder(server.directory / "bodies")[way]
    response = ask(server, name, "of_one")
    assert json.loads(response.body) == NOTHING
    assert "is not allowed" in response.stderr.decode()
    assert json.loads(ask(server, name, "of_all").body) == READ


@pytest.mark.parametrize("pool", ["of_all", "of_one"])
def test_link_from_outside_to_a_file_in_the_folder_is_followed(server: FpmServer, pool: str) -> None:
    link = server.directory / f"inwards-{pool}"
    link.symlink_to(server.directory / "bodies" / "body")
    assert json.loads(ask(server, link, pool).body) == READ


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "a socket": listening,
}


@pytest.mark.parametrize("pool", ["of_all", "of_one"])
@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_regular_file_is_no_body_and_holds_nobody_up(
    server: FpmServer, kind: str, pool: str
) -> None:
    path = server.directory / "bodies" / f"{kind.replace(' ', '-')}-{pool}"
    IRREGULAR[kind](path)
    response = ask(server, path, pool)
    assert json.loads(response.body) == NOTHING
    assert "REQUEST_BODY_FILE: " in response.stderr.decode()


def test_file_is_closed_after_the_request_and_not_left_to_programs(server: FpmServer) -> None:
    uri = server.script("list.php", "fopen('php://input', 'r'); echo shell_exec('ls -l /proc/self/fd');")
    file = server.directory / "bodies" / "body"
    extra = {"REQUEST_BODY_FILE": str(file)}
    assert str(file) not in server.fetch(uri, body=CONTENT, headers=FORM, extra=extra).text
    (worker,) = {int(server.fetch(server.script("pid.php", "echo getmypid();")).text)}
    assert str(file) not in processes.descriptors(worker).values()


def test_request_without_a_body_opens_nothing(server: FpmServer) -> None:
    extra = {"REQUEST_BODY_FILE": "/not/there"}
    response = server.fetch("/body.php", extra=extra)
    assert (json.loads(response.body), response.stderr) == (NOTHING, b"")


def test_directory_has_to_be_a_full_path(start_kind: StartKind) -> None:
    with pytest.raises(AssertionError, match="path 'bodies' must start with a '/'"):
        start_kind("kraal", pool={"security.limit_body_files": "bodies"})


# ---------------------------------------------------------------- on both servers

ACCELERATED = """
      fastcgi_pass_request_body off;
      client_body_in_file_only clean;
      fastcgi_param REQUEST_BODY_FILE $request_body_file;
"""


@pytest.mark.parametrize("size", [1, 20_000, 5_000_000])
def test_nginx_hands_bodies_over_in_files(start_server: StartServer, directory: Path, size: int) -> None:
    server = start_server()
    uri = server.script(
        "md5.php", "echo strlen($_POST['a']), ' ', is_file($_SERVER['REQUEST_BODY_FILE']) ? 'file' : 'none';"
    )
    with nginx(directory, server.root, server.address, more=ACCELERATED) as port:
        browser = Browser(port)
        page = browser.post(uri, {"a": "x" * size})
    assert page.text == f"{size} file"


def test_missing_file_is_a_warning_and_no_body(start_server: StartServer) -> None:
    server = start_server(pool=CAUGHT)
    server.script("body.php", CODE)
    response = ask(server, server.directory / "missing")
    assert json.loads(response.body) == NOTHING
    assert "missing') failed: No such file or directory (2)" in response.stderr.decode()
    server.wait_log("PHP Warning: .*REQUEST_BODY_FILE: open.* failed: No such file")


def test_file_that_is_shorter_than_announced_is_the_body(start_server: StartServer) -> None:
    server = start_server()
    server.script("body.php", CODE)
    file = server.directory / "short"
    file.write_bytes(b"name")
    assert json.loads(ask(server, give(file)).body) == ["name", {"name": ""}]
