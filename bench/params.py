"""FastCGI requests as nginx makes them with Debian's fastcgi_params."""

from pathlib import Path

from kraal.fastcgi import records

HOST = "kraal.test"
_REQUEST_ID = 1


def params(
    script: str | Path, path: str = "", *, method: str = "GET", content_type: str = "", size: int = 0
) -> dict[str, str]:
    """Of a request for this path, which may have a query; none: that of the script in its folder."""
    script = Path(script)
    name = f"/{script.name}"
    path = path or name
    uri, _, query = path.partition("?")
    return {
        "SCRIPT_FILENAME": str(script),
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(size) if size else "",
        "SCRIPT_NAME": name,
        "REQUEST_URI": path,
        "DOCUMENT_URI": uri,
        "DOCUMENT_ROOT": str(script.parent),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "nginx/1.22.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_NAME": HOST,
        "REDIRECT_STATUS": "200",
        "HTTP_HOST": HOST,
        "HTTP_USER_AGENT": "bench",
        "HTTP_ACCEPT": "*/*",
    }


def encode(
    script: str | Path, path: str = "", *, keep: bool, body: bytes = b"", content_type: str = ""
) -> bytes:
    """A whole request; with a body it is a POST."""
    method = "POST" if body else "GET"
    told = params(script, path, method=method, content_type=content_type, size=len(body))
    return b"".join(
        (
            records.begin_request(_REQUEST_ID, keep_connection=keep),
            records.params(_REQUEST_ID, [(key.encode(), value.encode()) for key, value in told.items()]),
            records.stdin(_REQUEST_ID, body) if body else b"",
            records.stdin_end(_REQUEST_ID),
        )
    )
