"""The params of a web request."""

import pytest

from kraal.http.params import Header, WebRequest, cgi_params, header_params
from kraal.http.routing import Script

SCRIPT = Script("/srv/site/page.php", "/page.php", "/info")


def web_request(
    *headers: Header, method: str = "GET", query: bytes = b"", target: bytes = b"/page.php/info"
) -> WebRequest:
    return WebRequest(
        method=method,
        target=target,
        query=query,
        http_version="1.1",
        scheme="http",
        headers=headers,
        remote=("192.0.2.7", 40000),
        local=("127.0.0.1", 8080),
    )


def params(request: WebRequest, length: int | None = None, script: Script = SCRIPT) -> dict[str, bytes]:
    pairs = cgi_params(request, script, document_root="/srv/site", content_length=length)
    found = {name.decode(): value for name, value in pairs}
    assert len(found) == len(pairs), "a param was sent twice"
    return found


def test_params_are_those_of_nginx() -> None:
    assert params(web_request((b"host", b"example.org:8080"), query=b"a=1&b=%20")) == {
        "SCRIPT_FILENAME": b"/srv/site/page.php",
        "PATH_INFO": b"/info",
        "QUERY_STRING": b"a=1&b=%20",
        "REQUEST_METHOD": b"GET",
        "CONTENT_TYPE": b"",
        "CONTENT_LENGTH": b"",
        "SCRIPT_NAME": b"/page.php",
        "REQUEST_URI": b"/page.php/info?a=1&b=%20",
        "DOCUMENT_URI": b"/page.php/info",
        "DOCUMENT_ROOT": b"/srv/site",
        "SERVER_PROTOCOL": b"HTTP/1.1",
        "REQUEST_SCHEME": b"http",
        "GATEWAY_INTERFACE": b"CGI/1.1",
        "SERVER_SOFTWARE": b"kraal",
        "REMOTE_ADDR": b"192.0.2.7",
        "REMOTE_PORT": b"40000",
        "SERVER_ADDR": b"127.0.0.1",
        "SERVER_PORT": b"8080",
        "SERVER_NAME": b"example.org",
        "REDIRECT_STATUS": b"200",
        "HTTP_HOST": b"example.org:8080",
    }


def test_body_has_type_and_length_and_no_headers_of_them() -> None:
    found = params(web_request((b"content-type", b"text/plain"), (b"content-length", b"5"), method="POST"), 5)

    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == (b"text/plain", b"5")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(found)


def test_empty_body_has_a_length() -> None:
    assert params(web_request(method="POST"), 0)["CONTENT_LENGTH"] == b"0"


def test_uri_is_passed_as_it_was_sent() -> None:
    assert params(web_request(target=b"/a%20b//c"))["REQUEST_URI"] == b"/a%20b//c"


def test_file_name_that_is_no_utf8_keeps_its_bytes() -> None:
    assert (
        params(web_request(), script=Script("/srv/\udcff.php", "/\udcff.php"))["SCRIPT_NAME"] == b"/\xff.php"
    )


def test_headers_become_params() -> None:
    pairs = header_params([(b"X-Request-Id", b"7"), (b"accept", b"*/*")])

    assert pairs == [(b"HTTP_X_REQUEST_ID", b"7"), (b"HTTP_ACCEPT", b"*/*")]


def test_authorization_is_passed() -> None:
    assert params(web_request((b"authorization", b"Basic eDp5")))["HTTP_AUTHORIZATION"] == b"Basic eDp5"


def test_equal_headers_become_one() -> None:
    pairs = header_params([(b"accept", b"text/html"), (b"x", b"1"), (b"Accept", b"text/plain")])

    assert pairs == [(b"HTTP_ACCEPT", b"text/html, text/plain"), (b"HTTP_X", b"1")]


def test_cookies_are_joined_as_cookies() -> None:
    assert header_params([(b"cookie", b"a=1"), (b"cookie", b"b=2")]) == [(b"HTTP_COOKIE", b"a=1; b=2")]


@pytest.mark.parametrize(
    "name", [b"proxy", b"Proxy", b"transfer-encoding", b"x_forwarded_for", b"a b", b"x\n"]
)
def test_dangerous_headers_are_dropped(name: bytes) -> None:
    assert header_params([(name, b"value")]) == []


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"example.org", b"example.org"),
        (b"[::1]:8080", b"[::1]"),
        (b"", b"127.0.0.1"),
        (b"<script>", b"127.0.0.1"),
        (b"a/b", b"127.0.0.1"),
    ],
)
def test_server_name_is_a_name_or_the_address(host: bytes, name: bytes) -> None:
    assert params(web_request((b"host", host)))["SERVER_NAME"] == name
