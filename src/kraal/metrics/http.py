"""As much of HTTP as a scrape needs: one request a connection, of which the first line counts.  Pure."""

from enum import Enum

from kraal.fields import Frozen

MOST = 8192  # bytes of a request's head
_END = b"\r\n\r\n"
_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class Question(Enum):
    """What there is to be asked for."""

    METRICS = "/metrics"
    HEALTH = "/health"
    READY = "/ready"


class Page(Frozen):
    """An answer."""

    status: int
    body: bytes
    kind: str = _TEXT


class Request(Frozen):
    """A request that can be answered."""

    question: Question
    head_only: bool = False


def read(received: bytes) -> Request | Page | None:
    """What somebody asks for, or what he is told instead; None: there is more to come."""
    line, ended, _rest = received.partition(b"\r\n")
    if _END not in received[:MOST]:
        return _refusal(431) if len(received) >= MOST else None
    words = line.split(b" ")
    if not ended or len(words) != 3 or not words[2].startswith(b"HTTP/"):
        return _refusal(400)
    method, target, version = words
    if not version.startswith(b"HTTP/1."):
        return _refusal(505)
    if method not in (b"GET", b"HEAD"):
        return _refusal(405)
    path = target.partition(b"?")[0]
    for question in Question:
        if path == question.value.encode():
            return Request(question, head_only=method == b"HEAD")
    return Page(404, b"There are " + ", ".join(each.value for each in Question).encode() + b".\n")


def _refusal(status: int) -> Page:
    return Page(status, _REASONS[status].encode() + b"\n")


def response(page: Page, *, head_only: bool = False) -> bytes:
    """All bytes of it."""
    lines = [
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *(["Allow: GET, HEAD"] if page.status == 405 else []),
    ]
    head = "\r\n".join(lines).encode() + _END
    return head if head_only else head + page.body
