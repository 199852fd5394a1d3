"""Both FastCGI readers see the same: a byte of mode, a byte of how the stream comes in pieces, the stream.

Inputs of the target `reader`; the C one is built without sanitizers, which are that target's.
"""

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.targets import HERE, NATIVE_TARGETS, Play
from tests.native.readers import (
    HANDS_OVER,
    READS_BODY,
    SKIPS_BODY,
    Reader,
    Seen,
    comparable,
    understand,
    whole_records,
)

# The fourth mode of the C one moves whenever a part of a body is there; what of a damaged stream it has then
# seen depends on the pieces.
_MODES = (READS_BODY, SKIPS_BODY, HANDS_OVER)


@contextmanager
def begin(folder: Path) -> Iterator[Play]:
    """Build the C one."""
    library = ctypes.CDLL(str(_build(folder)))
    read = library.protocol_read
    read.argtypes, read.restype = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_char_p

    def play(content: bytes) -> None:
        if len(content) < 2 or content[0] % 4 >= len(_MODES):
            return
        mode, longest, stream = _MODES[content[0] % 4], content[1], whole_records(content[2:])
        expected = Reader(mode).read([stream])
        if longest:
            pieces = [stream[at : at + longest] for at in range(0, len(stream), longest)]
            _same(Reader(mode).read(pieces), expected)
        said = read(content[:2] + stream, 2 + len(stream))
        if said is not None:
            lines = [line.split(" ", 2) for line in said.decode().splitlines()]
            _same(comparable(understand(lines), expected, mode), expected)

    yield play


def _same(seen: Seen, expected: Seen) -> None:
    if seen != expected:
        raise AssertionError(f"seen:     {seen}\nexpected: {expected}")


def _build(folder: Path) -> Path:
    library = folder / "protocol.so"
    reader = NATIVE_TARGETS["reader"]
    flags = ("-std=gnu11", "-O2", "-fPIC", "-shared", *reader.flags)
    sources = [HERE / "protocol.c", *reader.sources[1:]]
    subprocess.run(["gcc", *flags, "-o", library, *sources], check=True)
    return library
