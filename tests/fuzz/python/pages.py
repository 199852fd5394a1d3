"""The reader of `pm.status_listen`: a byte that says how a stream comes in pieces, and the stream.

Whatever is sent, what comes back are whole records of an application, with pages in them, and nobody stays.
"""

import mmap
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kraal.boot import Order, Php
from kraal.fastcgi import cgi, records
from kraal.fastcgi.events import ParamsComplete
from kraal.fastcgi.records import Record, RecordType
from kraal.memory.scoreboard import Scoreboard, size_for
from kraal.pages.local_pages import LocalPages, PageRequest
from kraal.pages.responder import Responder
from kraal.unix.loop import Loop
from kraal.unix.queue import Depth
from tests.fuzz.targets import Play

_ORDER = Order(
    pool="www",
    policy="static",
    max_children=2,
    php=Php(ini_path=None, ini_scan_dir=None),
    status_path="/status",
    ping_path="/ping",
)
_PARAMS = (b"SCRIPT_NAME", b"REQUEST_METHOD", b"QUERY_STRING")
WORDS = ["/status", "/ping", "full", "json", "html", "xml", "openmetrics", *map(bytes.decode, _PARAMS)]
_MOST_PIECES = 50
_ANSWERS = {
    RecordType.STDOUT,
    RecordType.END_REQUEST,
    RecordType.GET_VALUES_RESULT,
    RecordType.UNKNOWN_TYPE,
}


@contextmanager
def begin(folder: Path) -> Iterator[Play]:
    """Open a door, with a pool behind it that has two workers."""
    board = Scoreboard(mmap.mmap(-1, size_for(2)))
    board.initialize()
    for slot in range(2):
        board.prepare(slot)
        board.occupy(slot, 4711 + slot)
    pages = LocalPages(_ORDER, board, lambda: Depth(1, 2), (8, 4))

    def answer(asked: ParamsComplete, _fd: int) -> bytes:
        words = (asked.params.get(name, b"").decode("utf-8", "replace") for name in _PARAMS)
        return pages.answer(PageRequest(*words))

    loop = Loop()
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(folder / "door"))
    door.listen()

    def play(content: bytes) -> None:
        if not content:
            return
        responder = Responder(loop, answer, most=2, is_allowed=lambda _peer: True)
        with socket.socket(socket.AF_UNIX) as guest:
            guest.connect(str(folder / "door"))
            responder.let_in(door)
            received = _visit(loop, guest, content[0], content[1:])
        # One that is answered is waited for until it leaves.
        _turn(loop)
        assert len(responder) == 0
        _check(received)

    try:
        yield play
    finally:
        door.close()
        loop.close_in_child()


def _turn(loop: Loop) -> None:
    """Have whatever is ready done."""
    loop.call_later(0, loop.stop)
    loop.run()


def _visit(loop: Loop, guest: socket.socket, longest: int, stream: bytes) -> bytes:
    """Send all of it, as far as it is taken.  Returns what came back."""
    size = max(longest or len(stream), len(stream) // _MOST_PIECES, 1)
    received = b""
    try:
        for at in range(0, len(stream), size):
            guest.sendall(stream[at : at + size])
            _turn(loop)
            received += b"".join(_received(guest))
        guest.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it was turned out
    _turn(loop)
    return received + b"".join(_received(guest))


def _received(guest: socket.socket) -> Iterator[bytes]:
    try:
        while content := guest.recv(1 << 18, socket.MSG_DONTWAIT):
            yield content
    except (BlockingIOError, ConnectionResetError):
        return


def _records(received: bytes) -> Iterator[Record]:
    at = 0
    while at < len(received):
        header = records.decode_header(received[at : at + records.HEADER_SIZE])
        end = at + records.HEADER_SIZE + header.content_length
        yield Record(header.type, header.request_id, received[at + records.HEADER_SIZE : end])
        at += header.record_length
    assert at == len(received), "a record is cut"


def _check(received: bytes) -> None:
    page = b""
    for record in _records(received):
        assert record.type in _ANSWERS, record
        if record.type == RecordType.STDOUT:
            page += record.content
        elif record.type == RecordType.END_REQUEST:
            records.decode_end(record.content)
            _check_page(page)
            page = b""
    assert not page, "an answer has no end"


def _check_page(page: bytes) -> None:
    if page:
        found = cgi.split_head(page)
        assert found, page
        assert found[0].status in (200, 404), page
