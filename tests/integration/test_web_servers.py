"""The configurations in docs/web-servers.md do what they are there for."""

import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support import apache, caddy, nginx
from tests.support.http import Browser, File
from tests.support.servers import free_port
from tests.support.webservers import running
from tests.support.workspace import POOL_USER, ROOT, give

DOCS = Path(__file__).parents[2]
PAGE = (DOCS / "docs/web-servers.md").read_text()
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SOCKET = "/run/php/php8.2-fpm.sock"

POOL = {"pm.max_children": "2", "pm.status_path": "/status", "ping.path": "/ping", "listen.mode": "0660"} | (
    {"listen.owner": POOL_USER, "listen.group": POOL_USER} if ROOT else {}
)
INDEX = "echo json_encode([$_SERVER['SCRIPT_NAME'], $_SERVER['REQUEST_URI'], $_GET]);"
UPLOAD = "echo $_POST['name'], ' ', $_FILES['file']['size'];"


def nginx_with(example: str, directory: Path, port: int) -> AbstractContextManager[int]:
    file = directory / "nginx.conf"
    site = example.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("example.org", "kraal.test")
    site = re.sub(r"include (?=\w)", "include /etc/nginx/", site)
    user = f"user {POOL_USER};" if ROOT else ""
    file.write_text(nginx.CONFIGURATION.format(directory=directory, user=user, sites=site))
    # The snippet of Debian includes a file beside nginx's own configuration.
    snippet = Path("/etc/nginx/snippets/fastcgi-php.conf").read_text()
    (directory / "fastcgi-php.conf").write_text(
        snippet.replace("include fastcgi.conf", "include /etc/nginx/fastcgi.conf")
    )
    text = file.read_text().replace("/etc/nginx/snippets/fastcgi-php.conf", f"{directory}/fastcgi-php.conf")
    file.write_text(text)
    log = directory / "nginx.log"
    argv: list[str | Path] = ["/usr/sbin/nginx", "-e", log, "-c", file]
    return running(argv, port, output=directory / "nginx.out", log=log)


def apache_with(example: str, directory: Path, port: int) -> AbstractContextManager[int]:
    file = directory / "apache.conf"
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in apache.MODULES
    )
    file.write_text(
        apache.CONFIGURATION.format(
            directory=directory,
            port=port,
            modules=modules,
            user=f"User {POOL_USER}\nGroup {POOL_USER}" if ROOT else "",
            root=directory / "nowhere",
            sites=example.replace("*:80", f"127.0.0.1:{port}").replace("example.org", "kraal.test"),
        )
    )
    argv: list[str | Path] = ["/usr/sbin/apache2", "-f", file, "-DFOREGROUND"]
    return running(argv, port, output=directory / "apache.out")


def caddy_with(example: str, directory: Path, port: int) -> AbstractContextManager[int]:
    file = directory / "Caddyfile"
    site = example.replace("http://example.org", f"http://kraal.test:{port}")
    file.write_text(caddy.CONFIGURATION.format(directory=directory, sites=site))
    home = {name: str(directory) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    argv: list[str | Path] = ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", file]
    return running(argv, port, output=directory / "caddy.out", environ=home)


FRONTS: dict[str, Callable[[str, Path, int], AbstractContextManager[int]]] = {
    "nginx": nginx_with,
    "apache": apache_with,
    "caddy": caddy_with,
}


@contextmanager
def site(start_kind: StartKind, directory: Path, kind: str, example: str) -> Iterator[Browser]:
    """A site with an application behind an example."""
    server = start_kind("kraal", pool=POOL)
    server.script("index.php", INDEX)
    server.script("upload.php", UPLOAD)
    (server.root / "style.css").write_text("p {}")
    text = example.replace(SOCKET, str(server.address)).replace("/var/www/html", str(server.root))
    with FRONTS[kind](text, give(directory), free_port()) as port:
        yield Browser(port)


def test_there_is_an_example_for_each() -> None:
    assert {kind for kind, _ in EXAMPLES} == FRONTS.keys()


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=[f"{k}{n}" for n, (k, _) in enumerate(EXAMPLES)])
def test_example_serves_an_application(
    start_kind: StartKind, directory: Path, kind: str, example: str
) -> None:
    with site(start_kind, directory, kind, example) as browser:
        assert browser.get("/").text == '["\\/index.php","\\/",[]]'
        assert browser.get("/some/page?a=1").text.endswith('"\\/some\\/page?a=1",{"a":"1"}]')
        assert browser.get("/style.css").text == "p {}"
        sent = browser.post(
            "/upload.php", {"name": "me", "file": File("a.bin", "application/octet-stream", b"x" * 300_000)}
        )
        assert sent.text == "me 300000"
        # Neither run nor shown.
        assert "<?php" not in browser.get("/style.css/x.php").text
        assert "index.php" in browser.get("/missing.php").text or browser.get("/missing.php").status == 404
        if "status" in example:
            assert browser.get("/ping").text == "pong"
            assert browser.get("/status").text.startswith("pool:")


def test_readme_shows_the_first_example() -> None:
    readme = (DOCS / "README.md").read_text()
    (shown,) = re.findall(r"^    server \{\n.*?^    \}\n", readme, re.MULTILINE | re.DOTALL)
    assert textwrap.dedent(shown) == EXAMPLES[0][1]
