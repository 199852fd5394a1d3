"""A light load on a FastCGI socket: bytes made beforehand, blocking sockets, every answer compared."""

import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool

from kraal.fastcgi import records

CLIENTS = 4
_READ_SIZE = 1 << 18
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Task:
    """What one client does: the same request again and again, the same answer expected each time."""

    address: str
    request: bytes
    answer: bytes
    count: int
    keep: bool


@dataclass(frozen=True)
class Result:
    """What all clients saw."""

    requests: int
    failures: int
    seconds: float


def learn_answer(address: str, request: bytes, body: bytes | None) -> bytes:
    """The bytes of the answer, once it was seen to be complete and to carry this body, or any."""
    received = stdout = b""
    with _connect(address) as connection:
        connection.sendall(request)
        while True:
            raw = _read(connection, records.HEADER_SIZE)
            header = records.decode_header(raw)
            rest = _read(connection, header.record_length - records.HEADER_SIZE)
            received += raw + rest
            if header.type == records.RecordType.STDOUT:
                stdout += rest[: header.content_length]
            elif header.type == records.RecordType.END_REQUEST:
                break
    if body is not None and stdout.partition(b"\r\n\r\n")[2] != body:
        raise SystemExit(f"a wrong answer from {address}: {stdout[:200]!r}")
    return received


@contextmanager
def clients() -> Iterator[Pool]:
    """Client processes that wait for tasks."""
    with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
        yield pool


def run(pool: Pool, task: Task) -> Result:
    """Let all clients do the task at the same time."""
    before = time.monotonic()
    failures = sum(pool.map(_do, [task] * CLIENTS, chunksize=1))
    return Result(task.count * CLIENTS, failures, time.monotonic() - before)


def _do(task: Task) -> int:
    """Returns the number of requests that failed."""
    return _on_one_connection(task) if task.keep else sum(_once(task) for _ in range(task.count))


def _once(task: Task) -> int:
    try:
        with _connect(task.address) as connection:
            connection.sendall(task.request)
            return int(_receive(connection, len(task.answer)) != task.answer)
    except OSError:
        return 1


def _on_one_connection(task: Task) -> int:
    done = 0
    try:
        with _connect(task.address) as connection:
            for done in range(task.count):
                connection.sendall(task.request)
                if _receive(connection, len(task.answer)) != task.answer:
                    return task.count - done
    except OSError:
        return task.count - done
    return 0


def _connect(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_TIMEOUT)
    connection.connect(address)
    return connection


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer at the end of the stream.  A small answer takes one system call."""
    first = connection.recv(_READ_SIZE)
    if len(first) == size or not first:
        return first
    chunks, left = [first], size - len(first)
    while left > 0 and (chunk := connection.recv(_READ_SIZE)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _read(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        chunk = connection.recv(size - len(read))
        if not chunk:
            raise SystemExit("a server closed the connection in the middle of an answer")
        read += chunk
    return read
