"""The FastCGI reader in C and the one in Python: for every stream of bytes they see the same.

The C side runs without PHP under the address and undefined-behaviour sanitizers; see decoder.c.
Streams end with a whole record or with a broken header: in the middle of a record C, which does not
wait for the rest, may already know that the stream is wrong, or have the first bytes of a body.
In what they differ on purpose, and why the tests look past it, stands in readers.py.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kraal.fastcgi import records
from kraal.fastcgi.records import RecordType
from tests.native.readers import (
    HANDS_OVER,
    MOVES,
    READS_BODY,
    SKIPS_BODY,
    Reader,
    Request,
    Seen,
    comparable,
    understand,
    whole_records,
)

ROOT = Path(__file__).parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
COMPILE = ["gcc", "-std=gnu11", "-g", "-O1", *WARNINGS, "-fno-sanitize-recover=all"]
WRAPPED = ",".join(f"--wrap={name}" for name in ("recv", "send", "sendmsg", "shutdown"))

# ---------------------------------------------------------------- C


class Decoder:
    """The C reader, one process for many streams."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def read(self, pieces: list[bytes], mode: bytes) -> Seen:
        assert self._process.stdin
        framed = b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces if piece)
        self._process.stdin.write(mode + framed + bytes(4))
        self._process.stdin.flush()
        return understand(list(self._lines()))

    def _lines(self) -> Iterator[list[str]]:
        assert self._process.stdout
        while (line := self._process.stdout.readline()) != b".\n":
            if not line:
                _rest, error = self._process.communicate()
                pytest.fail(f"the reader died:\n{error.decode()}")
            yield line.decode().rstrip("\n").split(" ", 2)

    def close(self) -> None:
        _rest, error = self._process.communicate()
        assert self._process.returncode == 0, error.decode()


def compile_decoder(folder: Path, *flags: str) -> Path:
    assert shutil.which("gcc"), "gcc is not installed"
    program = folder / "decoder"
    parts = ("fastcgi", "fastcgi_body", "fastcgi_decode", "fastcgi_encode", "fastcgi_write", "params")
    sources = [ROOT / "tests/native/decoder.c", *(ROOT / "native" / f"{part}.c" for part in parts)]
    done = subprocess.run(
        [*COMPILE, *flags, "-o", program, *sources, f"-Wl,{WRAPPED}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_decoder(tmp_path_factory.mktemp("decoder"), "-fsanitize=address,undefined")


@pytest.fixture(scope="module")
def decoder(program: Path) -> Iterator[Decoder]:
    decoder = Decoder(program)
    yield decoder
    decoder.close()


# ---------------------------------------------------------------- streams


def check(decoder: Decoder, stream: bytes, random: Random, mode: bytes) -> Seen:
    """Both readers see the same, whole, byte by byte and in random pieces."""
    stream = whole_records(stream)
    expected = Reader(mode).read([stream])

    def read(pieces: list[bytes]) -> Seen:
        return comparable(decoder.read(pieces, mode), expected, mode)

    assert read([stream]) == expected
    if len(stream) <= 20_000:
        each = [stream[at : at + 1] for at in range(len(stream))]
        assert read(each) == expected
        assert Reader(mode).read(each) == expected
    places = sorted(random.sample(range(len(stream) + 1), min(len(stream), 8)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(pieces) == expected
    return expected


def record(kind: int, content: bytes = b"", request: int = 1, padding: int = 0) -> bytes:
    head = struct.pack(">BBHHBB", 1, kind, request, len(content), padding, 0)
    return head + content + b"\xee" * padding


ids = st.sampled_from([1, 1, 1, 2, 255, 256, 65535])
padding = st.sampled_from([0, 0, 1, 7, 8, 255])
content = st.binary(max_size=40) | st.builds(bytes, st.sampled_from([127, 128, 256, 300, 65535]))
name = st.sampled_from([b"", b"A", b"SCRIPT_NAME", b"HTTP_\x00", b"x" * 128]) | st.binary(max_size=6)
params = st.lists(st.tuples(name, content), max_size=6)


@st.composite
def requests(draw: st.DrawFn, keep: bool = True) -> bytes:
    """A request as a web server sends it, cut into records anyhow, with management in between."""
    request = draw(ids)
    encoded = records.encode_pairs(draw(params))
    body = draw(st.binary(max_size=100))
    stream = record(1, struct.pack(">HB5x", 1, int(keep)), request, draw(padding))
    for kind, whole in ((RecordType.PARAMS, encoded), (RecordType.STDIN, body)):
        at = 0
        while at < len(whole):
            size = draw(st.integers(1, min(len(whole) - at, 65535)))
            stream += record(kind, whole[at : at + size], request, draw(padding))
            at += size
            if draw(st.integers(0, 9)) == 0:
                stream += draw(asides)
        stream += record(kind, b"", request, draw(padding))
    return stream


begins = st.builds(
    record,
    st.just(1),
    st.builds(
        lambda role, flags, rest: struct.pack(">HB", role, flags) + rest,
        st.sampled_from([1, 1, 1, 0, 2, 3, 258]),
        st.sampled_from([0, 1, 1, 3, 255]),
        st.sampled_from([bytes(5)] * 5 + [b"", bytes(4), bytes(6), bytes(300)]),
    ),
    st.sampled_from([1, 1, 1, 2, 0]),
    padding,
)
asked = st.lists(
    st.tuples(
        st.sampled_from([b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS", b"OTHER", b""]),
        st.sampled_from([b"", b"value"]),
    ),
    max_size=12,
)
asides = st.one_of(
    st.builds(lambda pairs, p: record(9, records.encode_pairs(pairs), 0, p), asked, padding),
    st.builds(record, st.sampled_from([10, 11, 12, 255, 0]), content, st.just(0), padding),
    st.builds(record, st.sampled_from([2, 4, 5, 8, 9, 77]), content, st.just(3), padding),
)
strange = st.builds(record, st.integers(0, 255), content, st.sampled_from([1, 1, 2, 0]), padding)
streams = st.lists(st.one_of(requests(), begins, asides, strange, requests(keep=False)), max_size=6).map(
    b"".join
)
flips = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4)
modes = st.sampled_from([READS_BODY, SKIPS_BODY, HANDS_OVER])
all_modes = st.sampled_from([READS_BODY, SKIPS_BODY, HANDS_OVER, MOVES])
randoms = st.randoms(use_true_random=False)

BEGIN = record(1, struct.pack(">HB5x", 1, 1))
PARAMS = record(4, records.encode_pairs([(b"A", b"1")])) + record(4)
BODY = record(5, b"body") + record(5)

NAMES = b"".join(b"\4\0%04x" % number for number in range(4096))

CORPUS = {
    "a request": BEGIN + PARAMS + BODY,
    "two requests": (BEGIN + PARAMS + BODY) * 2,
    "not kept, and another behind it": record(1, struct.pack(">HB5x", 1, 0)) + (PARAMS + BODY + BEGIN) * 2,
    "no params": BEGIN + record(4) + BODY,
    "begun with 7 bytes": record(1, bytes([0, 1, 1, 0, 0, 0, 0])),
    "begun with 9 bytes": record(1, bytes([0, 1, 1, 0, 0, 0, 0, 0, 0])),
    "begun twice with one id": BEGIN + BEGIN,
    "another begun meanwhile": BEGIN + record(1, struct.pack(">HB5x", 1, 1), 2) + PARAMS + BODY,
    "begun without an id": record(1, struct.pack(">HB5x", 1, 1), 0),
    "another role, kept": record(1, struct.pack(">HB5x", 2, 1)) + BEGIN + PARAMS + BODY,
    "another role, not kept": record(1, struct.pack(">HB5x", 3, 0)) + BEGIN + PARAMS + BODY,
    "a body before the end of the params": BEGIN + record(5, b"x") + PARAMS + BODY,
    "an empty body before the end of the params": BEGIN + record(5) + PARAMS + BODY,
    "params after their end": BEGIN + PARAMS + PARAMS + BODY,
    "params after the body": BEGIN + PARAMS + BODY + PARAMS + BEGIN + PARAMS + BODY,
    "a body after the body": BEGIN + PARAMS + BODY + BODY + BEGIN + PARAMS + BODY,
    "data for another role": BEGIN + PARAMS + record(8, b"x") + BODY,
    "a type that nobody knows": BEGIN + record(200, b"x") + PARAMS + BODY,
    "a type that nobody knows, of no request": record(200, b"x", 0) + BEGIN + PARAMS + BODY,
    "type 0 of no request": record(0, b"x", 0),
    "an answer": BEGIN + record(6, b"x") + PARAMS,
    "params of no request": BEGIN + record(4, b"x", 0),
    "aborted in the params": BEGIN + record(4, b"\x01") + record(2) + BEGIN + PARAMS + BODY,
    "aborted in the params, not kept": record(1, struct.pack(">HB5x", 1, 0)) + record(2) + BEGIN,
    "aborted in the body": BEGIN + PARAMS + record(5, b"x") + record(2) + BEGIN,
    "aborted before it began": record(2) + BEGIN + PARAMS + BODY,
    "aborted after its end": BEGIN + PARAMS + BODY + record(2) + BEGIN + PARAMS + BODY,
    "GET_VALUES with nothing asked": record(9, b"", 0),
    "GET_VALUES of a request": record(9, b"", 1) + BEGIN + record(9, b"", 1),
    "GET_VALUES of 256 bytes": record(9, records.encode_pairs([(b"x" * 251, b"")]), 0),
    "GET_VALUES of 257 bytes": record(9, records.encode_pairs([(b"x" * 252, b"")]), 0),
    "GET_VALUES that is cut": record(9, b"\x05\x00abc", 0),
    "a megabyte of params": BEGIN
    + b"".join(record(4, piece) for piece in [struct.pack(">BI", 0, (1 << 20) - 5 | 1 << 31) + bytes(65530)])
    + record(4, bytes(65535)) * 15
    + record(4, bytes((1 << 20) - 65535 * 16))
    + record(4),
    "a megabyte and a byte": BEGIN + record(4, bytes(65535)) * 16 + record(4, bytes(17)),
    "a name of two gigabytes": BEGIN + record(4, b"\xff\xff\xff\xff\x00a") + record(4),
    "a name that comes twice": BEGIN + record(4, b"\1\1A1\1\1B2\1\1A3") + record(4) + BODY,
    "4096 names": BEGIN + record(4, NAMES) + record(4) + BODY,
    "4097 names": BEGIN + record(4, NAMES + b"\1\0x") + record(4) + BODY,
    "one name 20000 times": BEGIN + record(4, b"\1\0A" * 20_000) + record(4) + BODY,
    "version 0": bytes(8),
    "version 2 later": BEGIN + b"\2" + PARAMS[1:],
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize(
    "mode", [READS_BODY, SKIPS_BODY, HANDS_OVER], ids=["body read", "body not read", "handed over"]
)
@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS.keys())
def test_both_readers_agree_on_known_streams(decoder: Decoder, stream: bytes, mode: bytes) -> None:
    check(decoder, stream, Random(1), mode)


def test_request_is_seen_whole(decoder: Decoder) -> None:
    seen = check(decoder, CORPUS["a request"], Random(1), READS_BODY)

    assert seen == Seen([Request(1, True, [(b"A", b"1")], b"body", "complete")])


@given(st.lists(requests(), min_size=1, max_size=3), randoms, all_modes)
@settings(deadline=None, max_examples=100)
def test_both_readers_agree_on_valid_streams(
    decoder: Decoder, stream: list[bytes], random: Random, mode: bytes
) -> None:
    seen = check(decoder, b"".join(stream), random, mode)

    assert len(seen.requests) == len(stream)
    assert not seen.broken


@given(streams, flips, randoms, modes)
@settings(deadline=None, max_examples=300)
@example(BEGIN + PARAMS + record(5, b"x") + BEGIN, [], Random(0), SKIPS_BODY)
def test_both_readers_agree_on_damaged_streams(
    decoder: Decoder, stream: bytes, flips: list[tuple[int, int]], random: Random, mode: bytes
) -> None:
    damaged = bytearray(stream)
    for at, byte in flips:
        if damaged:
            damaged[at % len(damaged)] = byte

    check(decoder, bytes(damaged), random, mode)


@pytest.mark.slow
def test_no_random_stream_harms_the_reader_in_c(program: Path) -> None:
    done = subprocess.run([program, "5"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 500
