"""Bodies of requests: how they arrive, how long they may be, and what is left of them."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, Response, Type, begin, chunks, pairs, record, stream
from tests.support.http import File, multipart
from tests.support.servers import FpmServer
from tests.support.wait import wait_until

KILOBYTE, MEGABYTE = 1 << 10, 1 << 20
LIMIT = 100 * KILOBYTE
SHARED = {
    "pool": {
        "php_admin_value[post_max_size]": "100K",
        "php_admin_value[upload_max_filesize]": "20K",
        "php_value[max_file_uploads]": "3",
        "php_value[max_input_vars]": "5",
    }
}
FORM = "application/x-www-form-urlencoded"
SHOW = """
    $input = file_get_contents('php://input');
    $files = array_map(fn($each) => [$each['error'], $each['size'], file_exists($each['tmp_name'])], $_FILES);
    echo json_encode([$_POST, $files, strlen($input), md5($input)]);
"""
EMPTY = hashlib.md5(b"").hexdigest()


@pytest.fixture
def show(shared_server: FpmServer) -> str:
    """A script that says what has arrived."""
    if not (shared_server.root / "show.php").exists():
        shared_server.script("show.php", SHOW)
    return "/show.php"


def ask(
    server: FpmServer,
    uri: str,
    body: bytes | Iterable[bytes],
    *,
    length: int | str | None,
    kind: str = FORM,
    method: str = "POST",
) -> Response:
    """Send a body of that announced length; pieces are sent as they are, as records of their own making."""
    params = server.params(uri, method=method) | {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(length)}
    if length is None:
        del params["CONTENT_LENGTH"]
    sent = [stream(Type.STDIN, chunks(body))] if isinstance(body, bytes) else body
    with Connection(server.address) as connection:
        connection.send(begin() + stream(Type.PARAMS, chunks(pairs(params))))
        for piece in sent:
            connection.send_if_possible(piece)
        return connection.response()


def seen(response: Response) -> list[Any]:
    assert response.status == 200, response
    found: list[Any] = json.loads(response.body)
    return found


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


# ---------------------------------------------------------------- lengths

# What is announced for a body of seven bytes, and how many of them count.
LENGTHS = {"7": 7, "3": 3, "0": 0, "": 0, None: 0, "abc": 0, "5abc": 5, " 7": 7, "+7": 7, "0x7": 0, "7.5": 7}


@pytest.mark.parametrize("kind", [FORM, "application/json"])
@pytest.mark.parametrize("length", LENGTHS)
def test_body_ends_where_its_announced_length_says(
    shared_server: FpmServer, show: str, length: str | None, kind: str
) -> None:
    body = b"a=1&b=2"[: LENGTHS[length]]
    post, _files, size, digest = seen(ask(shared_server, show, b"a=1&b=2", length=length, kind=kind))
    assert (size, digest) == (len(body), md5(body))
    if kind == FORM:
        assert (post or {}).get("a") == ("1" if len(body) >= 3 else None)


@pytest.mark.parametrize("length", ["8", "100", "102400"])
def test_body_shorter_than_announced_is_served_as_it_is(
    shared_server: FpmServer, show: str, length: str
) -> None:
    post, _files, size, _md5 = seen(ask(shared_server, show, b"a=1&b=2", length=length))
    assert (post, size) == ({"a": "1", "b": "2"}, 7)


@pytest.mark.parametrize("length", ["-1", "-9223372036854775808", "-99999999999999999999"])
def test_body_of_negative_length_is_read_to_its_end(shared_server: FpmServer, show: str, length: str) -> None:
    for method in ("POST", "PUT"):
        post, _files, size, digest = seen(ask(shared_server, show, b"a=1&b=2", length=length, method=method))
        assert (size, digest) == (7, md5(b"a=1&b=2"))
        assert post == ({"a": "1", "b": "2"} if method == "POST" else [])


def test_body_of_negative_length_is_not_read_beyond_the_limit(shared_server: FpmServer, show: str) -> None:
    response = ask(shared_server, show, b"a=" + b"x" * (3 * LIMIT), length="-1")
    assert seen(response)[2] == LIMIT + 1
    assert f"exceeds {LIMIT} bytes" in response.stderr.decode()


@pytest.mark.parametrize("length", ["102401", "9223372036854775807", "99999999999999999999"])
def test_announced_length_above_the_limit_is_enough_to_drop_a_form(
    shared_server: FpmServer, show: str, length: str
) -> None:
    response = ask(shared_server, show, b"a=1&b=2", length=length)
    assert seen(response)[:2] == [[], []]
    assert "exceeds the limit of 102400 bytes" in response.stderr.decode()


@pytest.mark.parametrize("kind", [FORM, "text/plain", "APPLICATION/X-WWW-FORM-URLENCODED ; charset=x"])
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT])
def test_form_above_post_max_size_is_dropped_and_still_to_be_read(
    shared_server: FpmServer, show: str, size: int, kind: str
) -> None:
    body = b"a=" + b"x" * (size - 2)
    response = ask(shared_server, show, body, length=size, kind=kind)
    post, _files, read, digest = seen(response)
    assert (read, digest) == (size, md5(body))
    assert bool(post) == (size <= LIMIT and kind != "text/plain")
    said = f"POST Content-Length of {size} bytes exceeds the limit of 102400 bytes"
    assert (said in response.stderr.decode()) == (size > LIMIT)


def test_put_has_no_limit(shared_server: FpmServer, show: str) -> None:
    body = b"x" * 3 * LIMIT
    response = ask(shared_server, show, body, length=len(body), kind="text/plain", method="PUT")
    assert seen(response)[2:] == [len(body), md5(body)]
    assert response.stderr == b""


# ---------------------------------------------------------------- records

CONTENT = b"a=" + bytes(range(97, 123)) * 400


def test_body_may_come_one_byte_at_a_time(shared_server: FpmServer, show: str) -> None:
    body = b"a=1&b=23456"
    records = stream(Type.STDIN, chunks(body, 1), padding=3)
    one_by_one = (records[at : at + 1] for at in range(len(records)))
    assert seen(ask(shared_server, show, one_by_one, length=len(body)))[0] == {"a": "1", "b": "23456"}


@pytest.mark.parametrize("padding", [0, 1, 255])
@pytest.mark.parametrize("size", [1, 7, 8, 255, 4096, 65535])
def test_body_may_come_in_records_of_any_size(
    shared_server: FpmServer, show: str, size: int, padding: int
) -> None:
    records = [record(Type.STDIN, piece, padding=padding) for piece in chunks(CONTENT, size)]
    sent = [b"".join([*records, record(Type.STDIN)])]
    post, _files, read, digest = seen(ask(shared_server, show, sent, length=len(CONTENT)))
    assert (post["a"], read, digest) == (CONTENT[2:].decode(), len(CONTENT), md5(CONTENT))


# ---------------------------------------------------------------- uploads


def upload(server: FpmServer, uri: str, fields: dict[str, str | File]) -> tuple[Response, dict[str, Any]]:
    kind, body = multipart(fields)
    response = ask(server, uri, body, length=len(body), kind=kind)
    post, files, *_ = seen(response)
    return response, {"post": post or {}, "files": files or {}}


def file(size: int) -> File:
    return File("name", "x/y", b"z" * size)


def test_file_above_its_limit_leaves_the_rest_of_the_form(shared_server: FpmServer, show: str) -> None:
    _, found = upload(shared_server, show, {"a": "1", "big": file(21_000), "small": file(20_480), "b": "2"})
    assert found == {
        "post": {"a": "1", "b": "2"},
        "files": {"big": [1, 0, False], "small": [0, 20_480, True]},
    }


def test_no_more_files_are_taken_than_allowed(shared_server: FpmServer, show: str) -> None:
    response, found = upload(shared_server, show, {f"f{number}": file(10) for number in range(6)})
    assert list(found["files"]) == ["f0", "f1", "f2"]
    assert "Maximum number of allowable file uploads has been exceeded" in response.stderr.decode()


def test_no_more_variables_are_taken_than_allowed(shared_server: FpmServer, show: str) -> None:
    body = "&".join(f"a{number}=1" for number in range(20)).encode()
    response = ask(shared_server, show, body, length=len(body))
    assert len(seen(response)[0]) in (5, 6)  # PHP notices it one later
    assert "Input variables exceeded 5" in response.stderr.decode()


def test_form_with_files_above_the_limit_is_dropped(shared_server: FpmServer, show: str) -> None:
    response, found = upload(shared_server, show, {"a": "1", "big": file(2 * LIMIT)})
    assert found == {"post": {}, "files": {}}
    assert "exceeds the limit of 102400 bytes" in response.stderr.decode()


def test_upload_that_breaks_off_is_a_partial_file(shared_server: FpmServer, show: str) -> None:
    kind, body = multipart({"a": "1", "f": file(1000)})
    response = ask(shared_server, show, body[:700], length=len(body), kind=kind)
    upload_err_partial = 3
    assert seen(response)[:2] == [{"a": "1"}, {"f": [upload_err_partial, 0, False]}]


ENDS = {
    "its last line": "",
    "exit": "exit;",
    "a fatal error": "nothing_of_that_name();",
    "too little memory": "ini_set('memory_limit', '4M'); for (;;) { $more[] = str_repeat('x', 1 << 16); }",
    "a finished answer": "fastcgi_finish_request(); nothing_of_that_name();",
}


@pytest.mark.parametrize("end", ENDS)
def test_temporary_files_are_gone_after_the_request(shared_server: FpmServer, end: str) -> None:
    name = f"{end.replace(' ', '-')}.php"
    uri = shared_server.script(name, f"echo $_FILES['f']['tmp_name'], \"\\n\"; flush(); {ENDS[end]}")
    kind, body = multipart({"f": file(1000)})
    response = ask(shared_server, uri, body, length=len(body), kind=kind)
    path = Path(response.text.splitlines()[0]) if response.body else None
    assert path is None or path.parent == shared_server.directory / "uploads"
    wait_until(lambda: not list((shared_server.directory / "uploads").iterdir()), what="nothing is left")


def test_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing(
    shared_server: FpmServer, show: str
) -> None:
    kind, body = multipart({"a": "1", "f": file(20_000)})
    params = shared_server.params(show, method="POST")
    params |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
    uploads = shared_server.directory / "uploads"
    (worker,) = shared_server.workers()
    for sent in (1, 300, 19_000):
        with Connection(shared_server.address) as connection:
            connection.send(begin() + stream(Type.PARAMS, chunks(pairs(params))))
            connection.send(record(Type.STDIN, body[:sent]))
        assert seen(ask(shared_server, show, b"a=1", length=3))[0] == {"a": "1"}
        wait_until(lambda: not list(uploads.iterdir()), what="nothing is left")
    assert shared_server.workers() == {worker}


# ---------------------------------------------------------------- answers before the end of a body


@pytest.mark.parametrize(
    ("status", "kind"),
    [(413, FORM), (413, "multipart/form-data; boundary=x"), (403, "text/plain"), (404, FORM)],
)
def test_answer_to_a_body_that_nobody_reads_is_not_lost(
    shared_server: FpmServer, status: int, kind: str
) -> None:
    uris = {413: "/refuse.php", 403: "/page.txt", 404: "/not-there.php"}
    for name in ("refuse.php", "page.txt"):
        if not (shared_server.root / name).exists():
            shared_server.script(name, "http_response_code(413); echo 'too much';")
    body = b"x" * (20 * MEGABYTE)
    response = ask(shared_server, uris[status], body, length=len(body), kind=kind)
    assert response.status == status
    assert response.body


def test_kept_connection_goes_on_after_a_body_that_nobody_read(shared_server: FpmServer, show: str) -> None:
    uri = shared_server.script("refuse-and-keep.php", "http_response_code(413); echo 'too much';")
    body = b"x" * (20 * MEGABYTE)
    params = shared_server.params(uri, method="POST")
    params |= {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": str(len(body))}
    with Connection(shared_server.address) as connection:
        for _ in range(2):
            connection.send(begin(flags=1) + stream(Type.PARAMS, chunks(pairs(params))))
            connection.send(stream(Type.STDIN, chunks(body)))
            assert connection.response().text == "too much"


# ---------------------------------------------------------------- large bodies

SIZE = 256 * MEGABYTE
# What a worker may grow by, whatever the size of the body: buffers, and the first use of code.
GROWTH = 16 * MEGABYTE
ROOMY = {"php_admin_value[post_max_size]": "4G", "php_admin_value[upload_max_filesize]": "4G"}
LARGE = {
    "php://input in pieces": (
        {"php_value[enable_post_data_reading]": "0"},
        "for ($in = fopen('php://input', 'r'), $size = 0; ($piece = fread($in, 65536)) != ''; ) "
        "{ $size += strlen($piece); } echo $size;",
    ),
    "an uploaded file": ({}, "echo filesize($_FILES['f']['tmp_name']);"),
}


def peak(pid: int) -> int:
    """The most bytes that a process had in memory."""
    return int(processes.status(pid)["VmHWM"].split()[0]) * KILOBYTE


def large_body(parts: tuple[bytes, bytes], size: int) -> Iterator[bytes]:
    """The records of a body with so many zeros between the two parts."""
    piece = record(Type.STDIN, bytes(32_768))
    together = 64
    yield record(Type.STDIN, parts[0])
    for _ in range(size // 32_768 // together):
        yield piece * together
    yield record(Type.STDIN, parts[1]) + record(Type.STDIN)


@pytest.mark.slow
@pytest.mark.parametrize("way", LARGE)
def test_large_bodies_take_no_memory(start_server: StartServer, way: str) -> None:
    settings, code = LARGE[way]
    server = start_server(pool=ROOMY | settings)
    uri = server.script("large.php", code)
    kind, form = multipart({"f": File("name", "x/y", b"|")})
    parts = form.split(b"|")
    before = parts[0], parts[1]
    small = 2 * MEGABYTE

    def send(size: int) -> int:
        length = size + len(before[0]) + len(before[1])
        response = ask(server, uri, large_body(before, size), length=length, kind=kind)
        return int(response.body) - (0 if "file" in way else length - size)

    assert send(small) == small
    (worker,) = server.workers()
    used = peak(worker)
    started = time.monotonic()
    assert send(SIZE) == SIZE
    print(f"{way}: {time.monotonic() - started:.1f} s, {(peak(worker) - used) >> 10} KB more")
    assert peak(worker) - used < GROWTH
    wait_until(lambda: not list((server.directory / "uploads").iterdir()), what="nothing is left")
