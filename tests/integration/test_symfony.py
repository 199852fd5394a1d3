"""A small Symfony application, on Debian's packages: its answers on kraal are those on php-fpm."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.apps import symfony
from tests.support.http import HOST, Browser, File, Page, multipart
from tests.support.nginx import nginx
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import workspace

SITE = f"http://{HOST}"
TIME = re.compile(r"\w{3}, \d\d[ -]\w{3}[ -]20\d\d \d\d:\d\d:\d\d GMT")


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[Kind, int]]:
    """Both servers, each with the application for itself.

    With one worker, a page waits for what the last one does after its answer.
    """
    with ExitStack() as stack:
        found = {}
        for kind in KINDS:
            place = stack.enter_context(workspace())
            root = symfony(place / "app")
            server = FpmServer.start(kind, place, root=root)
            stack.callback(server.stop)
            found[kind] = stack.enter_context(nginx(place, root, server.address))
        yield found


@pytest.fixture
def browsers(ports: dict[Kind, int]) -> dict[Kind, Browser]:
    return {kind: Browser(port) for kind, port in ports.items()}


def settled(page: Page) -> tuple[int, list[str], bytes]:
    """Status, headers and body; times and session ids are not the same twice."""
    headers = []
    for name, value in page.headers:
        text = TIME.sub("TIME", f"{name}: {value}")
        headers.append(re.sub(r"(PHPSESSID=)[^;]+", r"\1ID", text))
    return page.status, headers, page.body


def ask(
    browsers: dict[Kind, Browser], method: str, path: str, body: bytes | None = None, **headers: str
) -> Page:
    """Ask both, and compare.  Gives kraal's page."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    pages = {
        kind: browser.request(method, SITE + path, body=body, headers=sent)
        for kind, browser in browsers.items()
    }
    assert settled(pages["kraal"]) == settled(pages["php-fpm"]), path
    return pages["kraal"]


def test_symfony_shows_a_page(browsers: dict[Kind, Browser]) -> None:
    page = ask(browsers, "GET", "/")
    assert (page.status, f'<a href="{SITE}/form">' in page.text) == (200, True)
    assert page.header("Content-Type") == "text/html; charset=UTF-8"
    assert ask(browsers, "HEAD", "/").body == b""


def test_symfony_answers_in_json(browsers: dict[Kind, Browser]) -> None:
    page = ask(browsers, "GET", "/animals/zebra.json?a[]=1&b=%C3%BC")
    assert page.header("Content-Type") == "application/json"
    assert page.text == r'{"name":"zebra","query":{"a":["1"],"b":"\u00fc"},"format":"json"}'


@pytest.mark.parametrize(
    "path", ["/request/", "/request/a/b%20c?d=e", "/index.php/request/x", "/request//%C3%BC"]
)
def test_symfony_understands_a_request(browsers: dict[Kind, Browser], path: str) -> None:
    page = ask(browsers, "GET", path, Authorization="Basic a2VlcGVyOnBhc3M=", Accept_Language="de, en;q=0.5")
    assert '"user":["keeper","pass"]' in page.text


def test_symfony_takes_a_form_and_remembers_it_in_the_session(browsers: dict[Kind, Browser]) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert "<p></p><p>1</p>" in ask(browsers, "GET", "/form").text
    saved = ask(browsers, "POST", "/form", b"name=%3Ckeeper%3E", **form)
    assert (saved.status, saved.header("Location")) == (303, "/form")
    assert "<p>Hello, &lt;keeper&gt;</p><p>2</p>" in ask(browsers, "GET", "/form").text
    assert "<p></p><p>3</p>" in ask(browsers, "GET", "/form").text
    assert ask(browsers, "PUT", "/form", b"text", Content_Type="text/plain").text == "PUT text"
    assert ask(browsers, "POST", "/form", b"_method=DELETE", **form).text == "DELETE _method=DELETE"
    assert ask(browsers, "PATCH", "/form").status == 405


def test_symfony_takes_an_upload(browsers: dict[Kind, Browser]) -> None:
    kind, body = multipart({"file": File("gate.txt", "text/plain", b"a gate" * 5000), "a": "1"})
    page = ask(browsers, "POST", "/upload", body, Content_Type=kind)
    assert page.text.startswith('["gate.txt",30000,true,')


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fail/404", 404),
        ("/fail/418", 418),
        ("/fail/503", 503),
        ("/crash", 500),
        ("/none", 404),
        ("/old", 301),
    ],
)
def test_symfony_has_a_page_for_what_goes_wrong(
    browsers: dict[Kind, Browser], path: str, status: int
) -> None:
    assert ask(browsers, "GET", path).status == status


def test_symfony_streams(browsers: dict[Kind, Browser]) -> None:
    page = ask(browsers, "GET", "/stream")
    assert page.text == "".join(f"{number}" * 1000 + "\n" for number in range(1, 6))


def test_symfony_sends_a_file_in_whole_and_in_parts(browsers: dict[Kind, Browser]) -> None:
    whole = ask(browsers, "GET", "/download")
    assert (whole.status, len(whole.body)) == (200, 200_000)
    assert "filename=gate.bin" in (whole.header("Content-Disposition") or "")
    part = ask(browsers, "GET", "/download", Range="bytes=100-199")
    assert (part.status, part.body) == (206, whole.body[100:200])
    ask(browsers, "GET", "/download", Range="bytes=900000-")
    assert ask(browsers, "GET", "/download", If_None_Match=whole.header("ETag") or "").status == 304


def test_symfony_knows_what_a_client_has(browsers: dict[Kind, Browser]) -> None:
    page = ask(browsers, "GET", "/cached")
    again = ask(browsers, "GET", "/cached", If_None_Match=page.header("ETag") or "")
    assert (page.text, again.status, again.body) == ("worth keeping", 304, b"")


def test_symfony_works_on_after_its_answer(browsers: dict[Kind, Browser]) -> None:
    ask(browsers, "GET", "/cached?note=late")
    assert ask(browsers, "GET", "/noted/late").text == "/cached"
