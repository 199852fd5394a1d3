"""Settings of directories and hosts: .user.ini files, and the sections [HOST=…] and [PATH=…] of php.ini."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.support.servers import FpmServer, Kind
from tests.support.workers import ask
from tests.support.workspace import ROOT, make_directory, workspace

NAMES = ("precision", "user_agent", "output_buffering", "allow_url_fopen", "memory_limit")
GET = f"echo json_encode(array_map('ini_get', {json.dumps(NAMES)}));"
# Of the pool, which the file in the document root changes.
PLAIN = ["9", "", "4096", "1", "100M"]
TOP = ["3", "top", "4096", "1", "100M"]

# A file is read again at once where its life is over before it begins.
POOL = {
    "php_admin_value[memory_limit]": "100M",
    "php_value[precision]": "9",
    "php_admin_value[user_ini.cache_ttl]": "-1",
    "catch_workers_output": "yes",
}

Show = Callable[..., list[str]]


@pytest.fixture(scope="module")
def server(server_kind: Kind) -> Iterator[FpmServer]:
    with workspace() as directory:
        server = FpmServer.start(server_kind, directory, pool=POOL)
        write(server.root, "precision = 3\nuser_agent = top\nallow_url_fopen = 0\nmemory_limit = 500M\n")
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def folder(server: FpmServer, request: pytest.FixtureRequest) -> Path:
    """A folder of the test below the document root."""
    path: Path = server.root / request.node.originalname
    path.mkdir()
    return path


def write(folder: Path, text: str) -> Path:
    file = folder / ".user.ini"
    file.write_text(text)
    return file


def show(server: FpmServer, folder: Path, extra: Mapping[str, str] | None = None) -> list[str]:
    """What the settings are for a script in the folder."""
    name = str((folder / "get.php").relative_to(server.root))
    uri = f"/{name}" if (server.root / name).exists() else server.script(name, GET)
    found: list[str] = json.loads(server.fetch(uri, extra=extra).body)
    return found


def test_file_sets_what_directories_may_and_no_admin_value(server: FpmServer) -> None:
    assert show(server, server.root) == TOP


def test_files_from_the_document_root_down_add_up(server: FpmServer, folder: Path) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    write(folder, "user_agent = folder\noutput_buffering = 1\n")
    write(folder / "a", "")
    write(below, "user_agent = below\n")
    assert show(server, below) == ["3", "below", "1", "1", "100M"]
    assert show(server, folder / "a") == ["3", "folder", "1", "1", "100M"]
    assert show(server, server.root) == TOP


def test_files_above_the_document_root_do_not_count(server: FpmServer, folder: Path) -> None:
    write(folder, "user_agent = folder\n")
    assert show(server, folder, {"DOCUMENT_ROOT": f"{folder}/"}) == ["9", "folder", "4096", "1", "100M"]


def test_script_outside_of_the_document_root_has_the_file_beside_it(server: FpmServer, folder: Path) -> None:
    write(folder, "precision = 5\n")
    assert show(server, folder, {"DOCUMENT_ROOT": "/elsewhere"}) == ["5", *PLAIN[1:]]


def test_name_that_only_begins_like_the_document_root_is_another(server: FpmServer, folder: Path) -> None:
    write(folder, "precision = 5\n")
    assert show(server, folder, {"DOCUMENT_ROOT": str(folder)[:-1]})[0] == "5"


def test_file_that_changes_counts_from_then_on(server: FpmServer, folder: Path) -> None:
    file = write(folder, "precision = 5\n")
    assert show(server, folder)[0] == "5"
    write(folder, "precision = 6\n")
    assert show(server, folder)[0] == "6"
    file.unlink()
    assert show(server, folder) == TOP


def test_lines_before_a_mistake_count_and_the_mistake_is_told(server: FpmServer, folder: Path) -> None:
    file = write(folder, "precision = 5\nuser_agent = (((\noutput_buffering = 1\n")
    assert show(server, folder) == ["5", "top", "4096", "1", "100M"]
    server.wait_log(f"syntax error, .* in {file} on line")


def test_sections_and_arrays_of_a_file_are_no_way_around(server: FpmServer, folder: Path) -> None:
    lines = "memory_limit = 500M\nmemory_limit[] = 500M\nprecision = 5\n"
    write(folder, f"[x]\n{lines}[PATH={folder}]\n{lines}[HOST=kraal.test]\n{lines}")
    assert show(server, folder)[4] == "100M"
    assert show(server, server.root) == TOP


def unreadable(file: Path) -> None:
    file.write_text("precision = 5\n")
    file.chmod(0)


NOT_READ: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a link to nothing": lambda file: file.symlink_to("nothing"),
    "a link to itself": lambda file: file.symlink_to(file),
    "unreadable": unreadable,
}


@pytest.mark.parametrize("kind", NOT_READ)
def test_what_is_no_readable_file_is_left_out(server: FpmServer, kind: str) -> None:
    if kind == "unreadable" and not ROOT:
        pytest.skip("one's own file cannot be out of reach")
    folder = server.root / kind.replace(" ", "-")
    folder.mkdir()
    NOT_READ[kind](folder / ".user.ini")
    assert show(server, folder) == TOP


def test_link_to_a_file_is_followed(server: FpmServer, folder: Path) -> None:
    (folder / "other").write_text("precision = 5\n")
    (folder / ".user.ini").symlink_to("other")
    assert show(server, folder)[0] == "5"


def test_file_is_stronger_than_what_the_web_server_sends_unless_that_is_final(
    start_server: StartServer,
) -> None:
    server = start_server(pool=POOL)
    write(server.root, "precision = 5\n")
    assert show(server, server.root, {"PHP_VALUE": "precision = 6"})[0] == "5"
    assert show(server, server.root, {"PHP_ADMIN_VALUE": "precision = 7"})[0] == "7"


def test_file_is_read_once_in_the_time_of_the_cache(start_server: StartServer) -> None:
    server = start_server(pool=POOL | {"php_admin_value[user_ini.cache_ttl]": "3600"})
    write(server.root, "precision = 5\n")
    assert show(server, server.root)[0] == "5"
    write(server.root, "precision = 6\n")
    for _ in range(3):
        assert show(server, server.root)[0] == "5"


def test_file_may_have_another_name_or_none(start_server: StartServer) -> None:
    name = "php_admin_value[user_ini.filename]"
    server = start_server(pool=POOL | {name: "mine.ini"}, more={"second": POOL | {name: '""'}})
    write(server.root, "precision = 5\n")
    (server.root / "mine.ini").write_text("precision = 6\n")
    assert show(server, server.root)[0] == "6"
    assert json.loads(ask(f"{server.directory}/second.sock", server, "/get.php"))[0] == "9"


def test_sections_of_php_ini_are_for_hosts_and_paths(start_server: StartServer, directory: Path) -> None:
    site = make_directory(directory / "site")
    scanned = make_directory(directory / "conf.d")
    (scanned / "sections.ini").write_text(
        "user_agent = all\n"
        "[HOST=kraal.test]\nuser_agent = host\nallow_url_fopen = 0\n"
        f"[PATH={site}/one]\nuser_agent = path\nprecision = 4\n"
        "[HOST=other.test]\nuser_agent = other\n"
    )
    server = start_server(root=site, environ={"PHP_INI_SCAN_DIR": str(scanned)}, pool=POOL)
    for name in ("one", "two"):
        (site / name).mkdir()
    assert show(server, site / "two") == ["9", "host", "4096", "0", "100M"]
    assert show(server, site / "two", {"SERVER_NAME": "OTHER.test"}) == ["9", "other", "4096", "1", "100M"]
    assert show(server, site / "two", {"SERVER_NAME": "third.test"}) == ["9", "all", "4096", "1", "100M"]
    assert show(server, site / "one") == ["4", "path", "4096", "0", "100M"]
    assert show(server, site / "two", {"SERVER_NAME": "third.test"}) == ["9", "all", "4096", "1", "100M"]
