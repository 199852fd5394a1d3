"""HTTP as it is on the wire: what a client sends and gets, without a library that tidies it up."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The head with newlines alone at the ends of its lines, and the body without its chunks."""

    head: bytes
    body: bytes


def request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request that asks for the connection's end.

    A body gets its length, unless a header says how it comes.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if (body or method in ("POST", "PUT", "PATCH")) and "Transfer-Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def exchange(port: int, content: bytes, *, timeout: float = 60.0) -> bytes:
    """Send to a local port, and read to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(content)
        pieces = []
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def parse(content: bytes) -> Answer:
    head, _, body = content.partition(b"\r\n\r\n")
    chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)
    return Answer(head.replace(b"\r\n", b"\n"), _unchunked(body) if chunked else body)


def _unchunked(content: bytes) -> bytes:
    """The chunks put together.  Where they are cut is a matter of time."""
    pieces = []
    while content:
        size, _, rest = content.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        pieces.append(rest[:length])
        content = rest[length + 2 :] if length else b""
    return b"".join(pieces)
