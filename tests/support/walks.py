"""A visitor with a real browser: applications look and work on kraal as they do on php-fpm.

Each walk is made on both servers, from an empty application on.  Whatever a browser calls an error ends
it: a script that fails, a file that is missing, an answer that is refused.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.support.apache import apache
from tests.support.apps import picture
from tests.support.browser import Chromium, Shown, chromium
from tests.support.caddy import caddy
from tests.support.fastcgi import Address
from tests.support.nginx import nginx
from tests.support.servers import FpmServer, Kind
from tests.support.workspace import give, workspace

Walk = Callable[[Chromium, Path], Iterator[Shown]]
Front = Callable[[Path, Path, Address], AbstractContextManager[int]]


def apache_with_handler(directory: Path, root: Path, backend: Address) -> AbstractContextManager[int]:
    return apache(directory, root, backend, "SetHandler")


FRONTS: dict[str, Front] = {"nginx": nginx, "apache": apache_with_handler, "caddy": caddy}
each_front = pytest.mark.parametrize("front", FRONTS)

# What PHP writes on its own, and what web servers say of it.
TROUBLE = {
    "php.log": r".",
    "dokuwiki/log/error/*.log": r".",
    "log": r"WARNING|ERROR|ALERT",
    "nginx.log": r"\[(error|crit|alert|emerg)\]",
    "apache.log": r"proxy_fcgi:error|core:error",
    "caddy.out": r'"level":"error"',
}
# Of WordPress's installer: Debian's change uses two variables that nobody sets, and nobody can be asked for
# translations.  Of Caddy: a visitor who goes on does not wait for what a page still wants.
KNOWN = re.compile(
    r"Undefined variable \$upload_(url_)?path in .*/wp-admin/install\.php"
    r"|Something may be wrong with WordPress\.org .*/wp-admin/includes/translation-install\.php"
    r"|context canceled|: write: (broken pipe|connection reset by peer)"
)

# What two walks at different times differ in.
CHANGING = (
    (r"\b(a|one|\d+) (second|minute|hour)s? ago", "AGO"),
    (r"\b\d{2,4}([-/])\d\d\1\d{2,4}", "DAY"),
    (r"\b(January|February|March|April|May|June|July|August|September|October|November|December)"
     r"( \d{1,2},)? \d{4}", "DAY"),
    (r"\b\d{1,2}:\d\d(:\d\d)?( [ap]m)?", "TIME"),
    (r"\b(item|post)=\d+", r"\1=N"),
)  # fmt: skip


def lasting(shown: Shown) -> Shown:
    """What was seen, without what changes by itself."""
    url, text = shown.url, shown.text
    for pattern, instead in CHANGING:
        url, text = re.sub(pattern, instead, url), re.sub(pattern, instead, text)
    return replace(shown, url=url, text="\n".join(line.strip() for line in text.splitlines() if line.strip()))


def trouble(place: Path) -> list[str]:
    """The lines in all logs that tell of something that went wrong."""
    return [
        f"{file.name}: {line}"
        for files, pattern in TROUBLE.items()
        for file in place.glob(files)
        for line in file.read_text(errors="replace").splitlines()
        if re.search(pattern, line) and not KNOWN.search(line)
    ]


def walked(walk: Walk, install: Callable[[Path], Path], front: str, kind: Kind) -> list[Shown]:
    """Everything that a visitor saw of an application, on one server behind one web server."""
    seen = []
    with ExitStack() as stack:
        place = stack.enter_context(workspace())
        (place / "gate.png").write_bytes(picture())
        (place / "php.log").touch()
        give(place / "php.log")
        root = install(place / "root")
        pool = {"pm.max_children": "3", "php_admin_value[error_log]": f"{place}/php.log"}
        server = FpmServer.start(kind, place, root=root, pool=pool)
        stack.callback(server.stop)
        port = stack.enter_context(FRONTS[front](place, root, server.address))
        browser = stack.enter_context(chromium(place, port))
        for shown in walk(browser, place / "gate.png"):
            assert browser.complaints() == [], shown.url
            seen.append(lasting(shown))
        assert trouble(place) == []
    return seen


def lines(seen: list[Shown]) -> list[str]:
    return [
        line
        for shown in seen
        for line in (shown.url, shown.title, *shown.text.splitlines(), f"{shown.pictures}")
    ]


def check_walk(walk: Walk, install: Callable[[Path], Path], front: str) -> None:
    """Raises AssertionError if the two servers showed something different."""
    kraal = walked(walk, install, front, "kraal")
    fpm = walked(walk, install, front, "php-fpm")
    difference = "\n".join(unified_diff(lines(fpm), lines(kraal), "php-fpm", "kraal", lineterm=""))
    assert not difference, difference
