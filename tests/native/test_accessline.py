"""The lines of the access log, made in C from formats that Python compiles.

The C side runs without PHP under the address and undefined-behaviour sanitizers; see accessline.c.
"""

import json
import os
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraal.logs.access import compile_access

ROOT = Path(__file__).parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
COMPILE = ["gcc", "-std=gnu11", "-g", "-O1", *WARNINGS, "-fno-sanitize-recover=all"]
SOURCES = [
    ROOT / "tests/native/accessline.c",
    *(ROOT / f"native/{n}.c" for n in ("accessline", "waiting", "params")),
]
SECOND = 1_000_000_000
NOON = 1_796_040_000 * SECOND  # 30 November 2026, 12:00:00 UTC


@dataclass(frozen=True)
class Request:
    """What a line tells of."""

    method: bytes | None = b"GET"
    uri: bytes | None = b"/index.php"
    query: bytes | None = None
    script: bytes | None = b"/srv/index.php"
    user: bytes | None = None
    remote: bytes | None = b"10.0.0.1"
    pool: bytes | None = b"www"
    id: bytes | None = b"abc"
    params: Mapping[bytes, bytes] = field(default_factory=dict)
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    length: int = 0
    memory: int = 2_621_440
    status: int = 200
    pid: int = 4711
    parent: int = 1
    started_ns: int = NOON
    logged_ns: int = NOON + 1_500_000
    duration_ns: int = 1_234_567
    user_ns: int = 600_000
    system_ns: int = 17_283


def pairs(found: Mapping[bytes, bytes]) -> bytes:
    return b"".join(
        struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + name + value
        for name, value in found.items()
    )


class Writer:
    """The C side, one process for many lines."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TZ": "UTC"},
        )

    def line(self, text: str, request: Request, *, limit: int = 0) -> bytes:
        access = compile_access("/a", text, ())
        said = [access.json, limit, len(access.steps)]
        parts: list[int | bytes | None] = [*said]
        for item, form, literal in access.steps:
            parts += [item, form, literal.encode("utf-8", "surrogateescape")]
        parts += [pairs(request.params), pairs(request.headers), request.method, request.uri, request.query]
        parts += [request.script, request.user, request.remote, request.pool, request.id, request.length]
        parts += [request.memory, request.status, request.pid, request.parent, request.started_ns]
        parts += [request.logged_ns, request.duration_ns, request.user_ns, request.system_ns]
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"".join(map(framed, parts)))
        self._process.stdin.flush()
        head = self._process.stdout.read(8)
        if not head:
            pytest.fail(f"the writer died:\n{self._process.communicate()[1].decode()}")
        return self._process.stdout.read(int.from_bytes(head, "little"))

    def close(self) -> None:
        _rest, error = self._process.communicate()
        assert self._process.returncode == 0, error.decode()


def framed(part: int | bytes | None) -> bytes:
    if part is None:
        return struct.pack("<q", -1)
    if isinstance(part, bytes):
        return struct.pack("<q", len(part)) + part
    return struct.pack("<Q", part % (1 << 64))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    program = tmp_path_factory.mktemp("accessline") / "accessline"
    command: list[str | Path] = [
        *COMPILE,
        "-fsanitize=address,undefined",
        "-I",
        ROOT / "native",
        "-o",
        program,
    ]
    done = subprocess.run([*command, *SOURCES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    writer = Writer(program)
    yield writer
    writer.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("%C %{user}C %{system}C", "50.00 48.60 1.40"),
        ("%d %{seconds}d %{milli}d %{micro}d", "0.001 0.001 1.234 1234"),
        ("%M %{kilo}M %{mega}M", "2621440 2560 2"),
        ("%f %l %m %n %p %P %r %R %s", "/srv/index.php 0 GET www 4711 1 /index.php 10.0.0.1 200"),
        ("[%q%Q%u]", "[]"),
        ("%{A}e %{B}e %{X-A}o %{x-a}o %{Y}o", "1 - 2 2 -"),
        ("%t %{%s}t", "30/Nov/2026:12:00:00 +0000 1796040000"),
        ("%{%H:%M:%S}T %{}T", "12:00:00 30/Nov/2026:12:00:00 +0000"),
        ("%i %w", "abc -"),
        ("%%", "%"),
    ],
)
def test_every_placeholder(writer: Writer, text: str, shown: str) -> None:
    request = Request(params={b"A": b"1"}, headers={b"X-A": b"2", b"x-a": b"2"})
    assert writer.line(text, request) == shown.encode() + b"\n"


def test_missing_values_look_as_in_php_fpm(writer: Writer) -> None:
    nothing = Request(method=None, uri=None, script=None, remote=None, pool=None, id=None)
    assert writer.line("%m|%r|%f|%R|%n|%i|%q|%u", nothing) == b"-||-|-|-|-||\n"


@pytest.mark.parametrize(
    ("start", "waited"),
    [
        (b"1796039999", "1000.000"),
        (b"t=1796039999.5", "500.000"),
        (b"1796039999.123456789", "876.543"),
        (b"t=1796039999250", "750.000"),
        (b"1796039999250.5", "749.500"),
        (b"t=1796039999999000", "1.000"),
        (b"1796039999999999000", "0.001"),
        (b"1796040001", "0.000"),
        (b"1795900000", "-"),
        *(
            (text, "-")
            for text in (b"", b"t=", b"soon", b"1796039999 ", b"-1", b"99999999999999999999", b"1e9")
        ),
    ],
)
@pytest.mark.parametrize("name", [b"REQUEST_START", b"HTTP_X_REQUEST_START"])
def test_wait_is_told_by_what_the_web_server_says(
    writer: Writer, name: bytes, start: bytes, waited: str
) -> None:
    assert writer.line("%{milli}w", Request(params={name: start})) == waited.encode() + b"\n"


def test_control_characters_of_others_are_escaped(writer: Writer) -> None:
    request = Request(query=b'a\nb\r\x1b[31m\x7f\xc2\x85\t\\"\xc3\xa9\xff', user=b"x\ny")
    shown = b'a\\x0ab\\x0d\\x1b[31m\\x7f\\xc2\\x85\\x09\\"\xc3\xa9\xff x\\x0ay\n'
    assert writer.line("%q %u", request) == shown


def test_text_of_the_format_stands_as_it_is(writer: Writer) -> None:
    assert writer.line("a\té%m", Request()) == "a\téGET\n".encode()


def test_json_has_the_values(writer: Writer) -> None:
    request = Request(
        query=b'q="\\\x00\n\x1f\x7f\xc2\x9b\xff\xe2\x82\xac',
        params={b"REQUEST_START": b"1796039999", b"HTTP_X": b"1"},
    )
    line = writer.line("json %{HTTP_X}e %{None}o", request)
    assert json.loads(line) == {
        "time": "2026-11-30T12:00:00.001+00:00",
        "pool": "www",
        "pid": 4711,
        "request_id": "abc",
        "remote": "10.0.0.1",
        "user": None,
        "method": "GET",
        "uri": "/index.php",
        # A text of C ends at a NUL, and is none of the params that come from a web server.
        "query": 'q="\\',
        "status": 200,
        "duration_ms": 1.234,
        "queue_ms": 1000.0,
        "memory": 2_621_440,
        "length": 0,
        "script": "/srv/index.php",
        "HTTP_X": "1",
        "None": None,
    }


def test_line_is_cut_at_its_limit(writer: Writer) -> None:
    request = Request(query=b"q" * 5000)
    assert writer.line("%m %q", request, limit=1024) == b"GET " + b"q" * 1019 + b"\n"
    assert writer.line("%m %q", Request(query=b"q" * 1019), limit=1024) == b"GET " + b"q" * 1019 + b"\n"
    assert len(writer.line("%q", Request(query=b"q" * 100_000))) == 65_535


@pytest.mark.parametrize("size", [100, 1000, 30_000])
@pytest.mark.parametrize("byte", [b"q", b"\xff", b"\n", b"\xe2\x82\xac"])
def test_json_that_is_cut_is_json(writer: Writer, size: int, byte: bytes) -> None:
    request = Request(query=byte * size, user=byte * size, uri=b"/" + byte * size)
    line = writer.line("json %{HTTP_X}e", request, limit=1024)
    assert json.loads(line)["status"] == 200
    assert len(line) <= 1024


texts = (
    st.none()
    | st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b""))
    | st.sampled_from(
        # Newlines take six bytes each, and all fields together are to fit into a line.
        [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xf0\x9f\x90\x98", b"x" * 3000, b"\n" * 1000]
    )
)
values = st.dictionaries(st.sampled_from([b"A", b"B", b"REQUEST_START"]), st.binary(max_size=40), max_size=3)
numbers = st.integers(-(1 << 63), (1 << 63) - 1)
requests = st.builds(
    Request,
    **dict.fromkeys(("method", "uri", "query", "script", "user", "remote", "pool", "id"), texts),
    **dict.fromkeys(("params", "headers"), values),
    **dict.fromkeys(("length", "memory"), st.integers(0, (1 << 64) - 1)),
    **dict.fromkeys(("status", "pid", "parent"), st.integers(-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys(("started_ns", "logged_ns", "duration_ns"), numbers),
    **dict.fromkeys(("user_ns", "system_ns"), st.integers(-(1 << 61), 1 << 61)),
)
formats = st.lists(
    st.sampled_from(
        [f"%{letter}" for letter in "CdflmMnpPqQrRstTuiw%"]
        + [
            "%{milli}d",
            "%{micro}w",
            "%{A}e",
            "%{B}o",
            "%{%Y}t",
            "%{%c %%}T",
            "%{user}C",
            "%{mega}M",
            "x",
            "\n",
        ]
    ),
    max_size=12,
).map("".join)


@given(text=formats, request=requests, limit=st.sampled_from([0, 512, 1024, 1 << 20]))
@settings(max_examples=300, deadline=None)
def test_any_request_gives_one_line_of_any_format(
    writer: Writer, text: str, request: Request, limit: int
) -> None:
    line = writer.line(text, request, limit=limit)
    assert len(line) <= (min(limit, 65_535) or 65_535)
    assert line == b"" or line.endswith(b"\n")
    # Those of the format stand as they are.
    assert line.count(b"\n") <= text.count("\n") + 1
    assert b"\0" not in line


@given(
    added=st.sampled_from(["", " %{A}e", " %{B}o %{A}e"]),
    request=requests,
    limit=st.sampled_from([0, 512, 4096]),
)
@settings(max_examples=300, deadline=None)
def test_any_request_gives_one_line_of_json(writer: Writer, added: str, request: Request, limit: int) -> None:
    line = writer.line(f"json{added}", request, limit=limit)
    assert line.count(b"\n") == 1
    found = json.loads(line.decode("utf-8"))
    assert found["memory"] == request.memory
    if request.uri and limit == 0:
        assert found["uri"] == decoded(request.uri)


def decoded(raw: bytes) -> str:
    """As Python reads it, where each byte of a wrong sequence is replaced by itself."""
    return "".join(
        "\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in raw.decode("utf-8", "surrogateescape")
    )
