"""What a URL path stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.http.routing import NotFound, Redirect, Route, Script, Static, is_source, normalize, route

ROOT = "/srv/site"
PAGES = frozenset({"/status", "/ping"})


class Site:
    """A file system view from a list of files."""

    def __init__(self, *files: str) -> None:
        self.files = set(files)
        self.directories = {""}
        for file in files:
            parts = file.split("/")[:-1]
            self.directories |= {"/".join(parts[: n + 1]) for n in range(len(parts))}

    def is_file(self, path: str) -> bool:
        return path in self.files

    def is_directory(self, path: str) -> bool:
        return path in self.directories


PLAIN = Site(
    "page.php",
    "style.css",
    "name with space.txt",
    "docs/index.html",
    "app/index.php",
    "app/index.html",
    "empty/readme.txt",
    "odd.php/file.txt",
    "été.txt",
    ".env",
    ".git/config",
    ".well-known/acme",
    ".well-known/.secret",
    "lib/secret.inc",
    "page.php~",
)
APPLICATION = Site(
    "index.php", "style.css", "uploads/photo.jpg", "lib/secret.inc", ".env", "status/index.html"
)


def to(path: str | bytes, site: Site = PLAIN) -> Route:
    raw = path if isinstance(path, bytes) else path.encode()
    return route(raw, site, root=ROOT, local_pages=PAGES)


# -- scripts --


def test_script_is_run() -> None:
    assert to("/page.php") == Script("/srv/site/page.php", "/page.php")


def test_path_after_a_script_is_its_path_info() -> None:
    assert to("/page.php/some/thing") == Script("/srv/site/page.php", "/page.php", "/some/thing")


def test_path_info_keeps_its_slash() -> None:
    assert to("/page.php/") == Script("/srv/site/page.php", "/page.php", "/")


def test_path_info_may_hold_dot_names_and_scripts() -> None:
    assert to("/page.php/.x/other.php") == Script("/srv/site/page.php", "/page.php", "/.x/other.php")


def test_directory_may_be_named_like_a_script() -> None:
    assert to("/odd.php/file.txt") == Static("/srv/site/odd.php/file.txt")


@pytest.mark.parametrize("site", [PLAIN, APPLICATION], ids=["plain", "application"])
@pytest.mark.parametrize("path", ["/none.php", "/none.php/info", "/docs/none.php"])
def test_script_that_is_not_there_is_not_found(path: str, site: Site) -> None:
    assert to(path, site) == NotFound()


# -- files and directories --


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/style.css", "style.css"),
        ("/name%20with%20space.txt", "name with space.txt"),
        ("/%C3%A9t%C3%A9.txt", "été.txt"),
        ("//docs///index.html", "docs/index.html"),
        ("/docs/./../style.css", "style.css"),
        ("/.well-known/acme", ".well-known/acme"),
    ],
)
def test_file_is_sent(path: str, name: str) -> None:
    assert to(path) == Static(f"{ROOT}/{name}")


def test_directory_without_its_slash_redirects() -> None:
    assert to("/docs") == Redirect("/docs/")


def test_redirect_stays_on_the_site() -> None:
    assert to("//docs") == Redirect("/docs/")


def test_redirect_is_encoded() -> None:
    assert to("/a%0d%0ab%3f", Site("a\r\nb?/x")) == Redirect("/a%0D%0Ab%3F/")


def test_directory_gives_its_index_script_first() -> None:
    assert to("/app/") == Script("/srv/site/app/index.php", "/app/index.php")


def test_directory_without_a_script_gives_its_index_page() -> None:
    assert to("/docs/") == Static("/srv/site/docs/index.html")


def test_directory_without_an_index_is_not_listed() -> None:
    assert to("/empty/") == NotFound()


def test_file_with_a_slash_behind_it_is_not_found() -> None:
    assert to("/style.css/") == NotFound()


# -- the front controller --


@pytest.mark.parametrize(
    "path", ["/", "/blog/2024/", "/a%20b", "/uploads/", "/uploads/none.jpg", "/style.css/x"]
)
def test_front_controller_gets_what_no_file_answers(path: str) -> None:
    assert to(path, APPLICATION) == Script("/srv/site/index.php", "/index.php")


@pytest.mark.parametrize("path", ["/", "/nothing", "/docs/none.html"])
def test_without_a_front_controller_it_is_not_found(path: str) -> None:
    assert to(path) == NotFound()


def test_file_comes_before_the_front_controller() -> None:
    assert to("/uploads/photo.jpg", APPLICATION) == Static("/srv/site/uploads/photo.jpg")


# -- the pool's own pages --


@pytest.mark.parametrize("path", sorted(PAGES))
def test_local_page_goes_to_the_pool(path: str) -> None:
    assert to(path) == Script(ROOT + path, path)


def test_local_page_comes_before_the_front_controller() -> None:
    assert to("/ping", APPLICATION) == Script("/srv/site/ping", "/ping")


def test_file_of_the_site_comes_before_a_local_page() -> None:
    assert to("/status", APPLICATION) == Redirect("/status/")


def test_local_page_is_the_exact_path_only() -> None:
    assert to("/status/x") == NotFound()


# -- what must never be sent --


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/.git/config",
        "/.git",
        "/%2eenv",
        "/%2Egit/config",
        "/docs/../.env",
        "/app/.%2e/.env",
        "/.well-known/.secret",
        "/lib/.htaccess",
    ],
)
@pytest.mark.parametrize("site", [PLAIN, APPLICATION], ids=["plain", "application"])
def test_dot_names_are_not_found(path: str, site: Site) -> None:
    assert to(path, site) == NotFound()


@pytest.mark.parametrize("path", ["/lib/secret.inc", "/page.php~"])
def test_sources_are_not_found(path: str) -> None:
    assert to(path) == NotFound()


@pytest.mark.parametrize(
    "name",
    [
        "a.php",
        "a.PHP",
        "a.php5",
        "a.phtml",
        "a.pht",
        "a.phps",
        "a.phar",
        "a.inc",
        "a.php~",
        "a.php.bak",
        "a.inc.old",
    ],
)
def test_source_is_known_by_its_name(name: str) -> None:
    assert is_source(name)


@pytest.mark.parametrize(
    "name", ["a.css", "php", "a.php.js", "a.included", "graph.png", "a.incident", "phar.txt"]
)
def test_other_files_are_no_sources(name: str) -> None:
    assert not is_source(name)


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../etc/passwd",
        "/docs/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/..%2fetc/passwd",
        "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/page.php%00.css",
        "/style.css%00",
        "*",
        "",
        "etc/passwd",
    ],
)
@pytest.mark.parametrize("site", [PLAIN, APPLICATION], ids=["plain", "application"])
def test_path_that_leads_out_of_the_site_is_not_found(path: str, site: Site) -> None:
    assert to(path, site) == NotFound()


def test_path_is_decoded_once() -> None:
    assert normalize(b"/%252e%252e/x") == "/%2e%2e/x"


def test_bytes_that_are_no_utf8_survive() -> None:
    assert to(b"/%ff.txt", Site("\udcff.txt")) == Static(ROOT + "/\udcff.txt")


SEGMENTS = st.sampled_from(
    ["..", ".", "", "%2e%2e", "%2e", "%2f", "docs", "page.php", ".env", "%00", "a b", "..%2f"]
)


@given(st.lists(SEGMENTS, max_size=8))
def test_no_path_leads_out_of_the_site_or_to_a_dot_name(segments: list[str]) -> None:
    path = normalize(("/" + "/".join(segments)).encode())

    assert path is None or not {"..", "."} & set(path.split("/"))
    match to("/" + "/".join(segments)):
        case Static(found) | Script(found):
            assert found.startswith(ROOT + "/")
            assert "/." not in found
        case _:
            pass
