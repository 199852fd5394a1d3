"""Say in CGI/1.1 params what a web request is, as nginx's fastcgi_params file does.

Pure; the values are bytes as they came, for PHP decides itself what they mean.
"""

import re
from collections.abc import Sequence

from kraal.fastcgi.records import Pair
from kraal.fields import Frozen
from kraal.http.routing import Script

Header = tuple[bytes, bytes]

# A name with other characters could pass for another header once `-` has become `_`.
_HEADER_NAME = re.compile(rb"[A-Za-z0-9-]+\Z")
_HOST_NAME = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:\d+)?\Z")

# `Proxy` would become HTTP_PROXY, which libraries take for a proxy to use (httpoxy).  The body
# arrives whole, whatever its transfer encoding was.  The other two are params of their own.
_NOT_PASSED = frozenset({b"proxy", b"transfer-encoding", b"content-type", b"content-length"})


class WebRequest(Frozen):
    """What the web server knows about a request.  `target` is the path as sent, still encoded."""

    method: str
    target: bytes
    query: bytes
    http_version: str
    scheme: str
    headers: Sequence[Header]
    remote: tuple[str, int]
    local: tuple[str, int]

    def header(self, name: bytes) -> bytes:
        """The first header of this lower-case name, or nothing."""
        return next((value for found, value in self.headers if found.lower() == name), b"")


def cgi_params(
    request: WebRequest, script: Script, *, document_root: str, content_length: int | None
) -> list[Pair]:
    """The params of a request for `script`; `content_length` is None when it has no body."""
    values: dict[str, str | bytes] = {
        "SCRIPT_FILENAME": script.script_filename,
        "PATH_INFO": script.path_info,
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.header(b"content-type"),
        "CONTENT_LENGTH": "" if content_length is None else str(content_length),
        "SCRIPT_NAME": script.script_name,
        "REQUEST_URI": request.target + (b"?" + request.query if request.query else b""),
        "DOCUMENT_URI": script.script_name + script.path_info,
        "DOCUMENT_ROOT": document_root,
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "REQUEST_SCHEME": request.scheme,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "kraal",
        "REMOTE_ADDR": request.remote[0],
        "REMOTE_PORT": str(request.remote[1]),
        "SERVER_ADDR": request.local[0],
        "SERVER_PORT": str(request.local[1]),
        "SERVER_NAME": _server_name(request),
        "REDIRECT_STATUS": "200",  # PHP built with force-cgi-redirect asks for it
    }
    if request.scheme == "https":
        values["HTTPS"] = "on"
    pairs = [(name.encode(), _encode(value)) for name, value in values.items()]
    return pairs + header_params(request.headers)


def header_params(headers: Sequence[Header]) -> list[Pair]:
    """The request's headers as HTTP_*; headers of equal name become one."""
    merged: dict[bytes, bytes] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name in _NOT_PASSED or not _HEADER_NAME.match(name):
            continue
        separator = b"; " if name == b"cookie" else b", "
        merged[name] = merged[name] + separator + value if name in merged else value
    return [(b"HTTP_" + name.upper().replace(b"-", b"_"), value) for name, value in merged.items()]


def _server_name(request: WebRequest) -> bytes:
    """The name in `Host`; the address when there is none, or one that is no name."""
    host = _HOST_NAME.match(request.header(b"host"))
    return host[1] if host else request.local[0].encode()


def _encode(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
