"""Real applications, unmodified: they work on kraal, and their pages are those of php-fpm."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import unified_diff
from itertools import islice
from pathlib import Path

import pytest

from tests.support.apache import FORMS, apache
from tests.support.apps import PASSWORD, USER, dokuwiki, install_wordpress, picture, wordpress
from tests.support.http import HOST, Browser, File, Page
from tests.support.mariadb import MariaDB
from tests.support.nginx import nginx
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import make_directory, workspace

pytestmark = pytest.mark.slow

SITE = f"http://{HOST}"
POOL = {"pm.max_children": "3", "php_admin_value[upload_max_filesize]": "16M"}


@contextmanager
def served(kind: Kind, root: Path) -> Iterator[Browser]:
    """The application behind nginx and a unix socket."""
    with ExitStack() as stack:
        place = stack.enter_context(workspace())
        server = FpmServer.start(kind, place, root=root, pool=POOL)
        stack.callback(server.stop)
        yield Browser(stack.enter_context(nginx(place, root, server.address)))


# ---------------------------------------------------------------- DokuWiki


@pytest.fixture(scope="module")
def wiki(server_kind: Kind) -> Iterator[Browser]:
    with workspace() as place, served(server_kind, dokuwiki(place / "root")) as browser:
        yield browser


@pytest.fixture
def wiki_keeper(wiki: Browser) -> Browser:
    """A browser of its own, logged in."""
    browser = Browser(wiki.port)
    wiki_login(browser)
    return browser


def wiki_login(browser: Browser) -> None:
    page = browser.get(f"{SITE}/doku.php?id=start&do=login")
    done = browser.follow(browser.submit(page, page.form(having="p"), u=USER, p=PASSWORD))
    assert "Logged in as" in done.text


def wiki_token(browser: Browser) -> str:
    return browser.get(f"{SITE}/doku.php?id=start&do=edit").form(having="sectok").fields["sectok"]


def test_dokuwiki_is_browsed(wiki: Browser) -> None:
    front = wiki.follow(wiki.get(f"{SITE}/"))
    assert (front.status, "the enclosure" in front.text) == (200, True)
    assert wiki.get(f"{SITE}/doku.php?id=nothing:here").status == 404
    for url in ("doku.php?id=start&do=index", "doku.php?do=search&q=enclosure", "feed.php"):
        assert wiki.get(f"{SITE}/{url}").status == 200
    for url, kind in (("css.php", "text/css"), ("js.php", "application/javascript")):
        page = wiki.get(f"{SITE}/lib/exe/{url}")
        assert (page.status, len(page.body) > 10_000) == (200, True)
        assert (page.header("Content-Type") or "").startswith(kind)


def test_dokuwiki_does_not_let_a_reader_write(wiki: Browser) -> None:
    page = wiki.get(f"{SITE}/doku.php?id=start&do=edit")
    assert 'readonly="readonly"' in page.text


def test_dokuwiki_refuses_a_wrong_password(wiki: Browser) -> None:
    browser = Browser(wiki.port)
    page = browser.get(f"{SITE}/doku.php?id=start&do=login")
    done = browser.follow(browser.submit(page, page.form(having="p"), u=USER, p="wrong"))
    assert "Sorry, username or password was wrong." in done.text


def test_dokuwiki_saves_an_edited_page(wiki: Browser, wiki_keeper: Browser) -> None:
    page = wiki_keeper.get(f"{SITE}/doku.php?id=animals:list&do=edit")
    form = page.form(having="wikitext")
    for button in ("do[preview]", "do[cancel]"):
        form.fields.pop(button, None)
    text = "====== Animals ======\n\nThe **elephant** and the zebra: äöü €.\n" + "More text.\n" * 2000
    saved = wiki_keeper.submit(page, form, wikitext=text, summary="made by a test")
    assert saved.status == 302
    shown = wiki.get(f"{SITE}/doku.php?id=animals:list")
    assert "The <strong>elephant</strong> and the zebra: äöü €." in shown.text
    assert wiki.get(f"{SITE}/doku.php?id=animals:list&do=export_raw").text.strip() == text.strip()
    assert "made by a test" in wiki.get(f"{SITE}/doku.php?id=animals:list&do=revisions").text


def test_dokuwiki_keeps_an_uploaded_image(wiki: Browser, wiki_keeper: Browser) -> None:
    image = picture()
    page = wiki_keeper.get(f"{SITE}/lib/exe/mediamanager.php?ns=")
    upload = File("gate.png", "image/png", image)
    done = wiki_keeper.submit(page, page.form(having="upload"), upload=upload, mediaid="gate.png")
    assert "Upload successful" in wiki_keeper.follow(done).text
    fetched = wiki.get(f"{SITE}/lib/exe/fetch.php?media=gate.png")
    assert (fetched.header("Content-Type"), fetched.body == image) == ("image/png", True)
    again = wiki.get(f"{SITE}/lib/exe/fetch.php?media=gate.png", If_None_Match=fetched.header("ETag") or "")
    assert (again.status, again.body) == (304, b"")
    part = wiki.get(f"{SITE}/lib/exe/fetch.php?media=gate.png", Range="bytes=100-199")
    assert (part.status, part.body) == (206, image[100:200])


def test_dokuwiki_takes_an_image_as_the_body_of_a_request(wiki: Browser, wiki_keeper: Browser) -> None:
    image = picture(300, 200)
    query = f"call=mediaupload&ns=&qqfile=raw.png&sectok={wiki_token(wiki_keeper)}"
    headers = {"Content-Type": "application/octet-stream", "X-File-Name": "raw.png"}
    done = wiki_keeper.request("POST", f"{SITE}/lib/exe/ajax.php?{query}", body=image, headers=headers)
    assert json.loads(done.body)["success"] is True
    assert wiki.get(f"{SITE}/lib/exe/fetch.php?media=raw.png").body == image


# ---------------------------------------------------------------- WordPress


@pytest.fixture(scope="module")
def blog(server_kind: Kind, database: MariaDB) -> Iterator[Browser]:
    """WordPress, installed by its own installer on the server under test."""
    with workspace() as place, served(server_kind, wordpress(place / "root", database)) as browser:
        install_wordpress(browser)
        yield browser


def blog_login(browser: Browser) -> None:
    page = browser.get(f"{SITE}/wp-login.php")
    done = browser.follow(browser.submit(page, page.form(having="log"), log=USER, pwd=PASSWORD))
    assert (done.url, done.status) == (f"{SITE}/wp-admin/", 200)


@pytest.fixture
def blog_keeper(blog: Browser) -> Browser:
    """A browser of its own, logged in."""
    browser = Browser(blog.port)
    blog_login(browser)
    return browser


def rest(browser: Browser, path: str, given: Mapping[str, str] | None = None) -> Page:
    """Ask the REST API, or post to it with the nonce that its cookies need."""
    url = f"{SITE}/index.php?rest_route=/wp/v2/{path}"
    if given is None:
        return browser.get(url)
    nonce = browser.get(f"{SITE}/wp-admin/admin-ajax.php?action=rest-nonce").text
    headers = {"Content-Type": "application/json", "X-WP-Nonce": nonce}
    return browser.request("POST", url, body=json.dumps(dict(given)).encode(), headers=headers)


def test_wordpress_shows_its_front_page_and_a_post(blog: Browser) -> None:
    front = blog.get(f"{SITE}/")
    assert (front.status, "<title>Kraal</title>" in front.text) == (200, True)
    assert "Welcome to WordPress" in blog.get(f"{SITE}/?p=1").text
    assert (blog.get(f"{SITE}/?feed=rss2").header("Content-Type") or "").startswith("application/rss+xml")


def test_wordpress_has_a_page_for_what_is_not_there(blog: Browser) -> None:
    page = blog.get(f"{SITE}/?p=4711")
    assert (page.status, "This page could not be found." in page.text) == (404, True)
    assert blog.get(f"{SITE}/nothing-here.php").status == 404


def test_wordpress_refuses_a_wrong_password(blog: Browser) -> None:
    page = blog.get(f"{SITE}/wp-login.php")
    done = blog.submit(page, page.form(having="log"), log=USER, pwd="wrong")
    assert (done.status, "is incorrect" in done.text) == (200, True)
    assert blog.get(f"{SITE}/wp-admin/").status == 302


def test_wordpress_saves_its_settings(blog: Browser, blog_keeper: Browser) -> None:
    page = blog_keeper.get(f"{SITE}/wp-admin/options-general.php")
    form = page.form(having="blogdescription")
    done = blog_keeper.follow(blog_keeper.submit(page, form, blogdescription="Elephants behind gates"))
    assert "Settings saved." in done.text
    assert "Elephants behind gates" in blog.get(f"{SITE}/?feed=rss2").text


def test_wordpress_publishes_a_post_and_its_change(blog: Browser, blog_keeper: Browser) -> None:
    """As the block editor does it: through the REST API, with a nonce."""
    text = "<p>First words: äöü €.</p>" + "<p>more</p>" * 5000
    made = rest(blog_keeper, "posts", {"title": "A gate", "content": text, "status": "publish"})
    assert made.status == 201
    post = json.loads(made.body)
    assert made.header("Location") == f"{SITE}/index.php?rest_route=/wp/v2/posts/{post['id']}"
    assert "First words: äöü €." in blog.get(f"{SITE}/?p={post['id']}").text
    changed = rest(blog_keeper, f"posts/{post['id']}", {"content": "<p>Second thoughts</p>"})
    assert changed.status == 200
    shown = blog.get(f"{SITE}/?p={post['id']}").text
    assert ("First words" in shown, "Second thoughts" in shown) == (False, True)


def test_wordpress_saves_a_draft_from_the_dashboard(blog_keeper: Browser) -> None:
    page = blog_keeper.get(f"{SITE}/wp-admin/")
    form = page.form(having="post_title")
    blog_keeper.submit(page, form, post_title="An idea", content="to be written")
    drafts = rest(blog_keeper, "posts&status=draft&context=edit&_wpnonce=" + nonce(blog_keeper))
    assert [each["title"]["raw"] for each in json.loads(drafts.body)] == ["An idea"]


def nonce(browser: Browser) -> str:
    return browser.get(f"{SITE}/wp-admin/admin-ajax.php?action=rest-nonce").text


def test_wordpress_takes_a_comment(blog: Browser, blog_keeper: Browser) -> None:
    page = blog_keeper.get(f"{SITE}/?p=1")
    done = blog_keeper.submit(page, page.form(having="comment"), comment="A remark by the keeper.")
    assert done.status == 302
    assert "A remark by the keeper." in blog.get(f"{SITE}/?p=1").text


def test_wordpress_keeps_an_uploaded_image_and_scales_it(blog: Browser, blog_keeper: Browser) -> None:
    image = picture()
    page = blog_keeper.get(f"{SITE}/wp-admin/media-new.php?browser-uploader")
    form = page.form(having="async-upload")
    upload = File("gate.png", "image/png", image)
    done = blog_keeper.submit(page, form, **{"async-upload": upload})
    assert done.status == 302
    (media,) = json.loads(rest(blog, "media").body)
    assert media["source_url"].endswith("/gate.png")
    assert blog.get(media["source_url"]).body == image
    sizes = media["media_details"]["sizes"]
    assert {"thumbnail", "medium"} <= set(sizes)
    assert blog.get(sizes["thumbnail"]["source_url"]).body.startswith(b"\x89PNG")


def test_wordpress_answers_over_rest(blog: Browser) -> None:
    page = rest(blog, "posts&_fields=id,title")
    assert (page.header("Content-Type"), page.header("X-WP-TotalPages")) == (
        "application/json; charset=UTF-8",
        "1",
    )
    assert {"id": 1, "title": {"rendered": "Hello world!"}} in json.loads(page.body)
    assert rest(blog, "posts/4711").status == 404
    assert rest(blog, "users/me").status == 401


def test_wordpress_wants_a_nonce_for_a_post_over_rest(blog_keeper: Browser) -> None:
    url = f"{SITE}/index.php?rest_route=/wp/v2/posts"
    headers = {"Content-Type": "application/json"}
    page = blog_keeper.request("POST", url, body=b'{"title":"x"}', headers=headers)
    assert page.status == 401


# ---------------------------------------------------------------- the same bytes

BLOG_PAGES = (
    "/",
    "/?p=1",
    "/index.php",
    "/?s=hello",
    "/?feed=rss2",
    "/?p=4711",
    "/no/such/page/",
    "/wp-login.php",
    "/wp-login.php?action=lostpassword",
    "/wp-admin/",
    "/wp-admin/edit.php",
    "/wp-admin/options-general.php",
    "/wp-admin/tools.php",
    "/wp-admin/upload.php?mode=list",
    "/wp-admin/site-health.php?tab=debug",
    "/wp-admin/nothing.php",
    "/wp-admin/load-styles.php?c=1&load=buttons,common",
    "/wp-includes/js/wp-emoji-release.min.js",
    "/index.php?rest_route=/",
    "/index.php?rest_route=/wp/v2/posts",
    "/index.php?rest_route=/wp/v2/users/me",
    "/index.php/wp-json/wp/v2/posts",
    "/xmlrpc.php",
)

WIKI_PAGES = (
    "/",
    "/doku.php",
    "/doku.php?id=start",
    "/doku.php/start",
    "/doku.php?id=start&do=edit",
    "/doku.php?id=start&do=revisions",
    "/doku.php?id=nothing:here",
    "/doku.php?do=index",
    "/doku.php?do=recent",
    "/doku.php?do=search&q=enclosure",
    "/doku.php?id=start&do=export_xhtml",
    "/doku.php?id=start&do=export_raw",
    "/doku.php?do=login",
    "/doku.php?do=admin",
    "/doku.php?do=admin&page=config",
    "/doku.php?do=media",
    "/lib/exe/css.php?t=dokuwiki",
    "/lib/exe/js.php",
    "/lib/exe/jquery.php",
    "/lib/exe/ajax.php?call=linkwiz&q=start",
    "/lib/exe/opensearch.php",
    "/lib/exe/fetch.php?media=none.png",
    "/lib/exe/mediamanager.php",
    "/lib/exe/taskrunner.php?id=start",
    "/feed.php",
    "/lib/images/bullet.png",
)

# What may differ between two requests of the same page on the same server.
CHANGING = (
    (r"\b(a|one|\d+) (second|min|minute|hour)s?\b", "AGO"),
    (r"\d{1,2}:\d\d(:\d\d)?", "TIME"),
    (r"\b1[78]\d{8}(\.\d+)?\b", "TIMESTAMP"),
    (r"\b\d+\.\d+ (?=seconds)", "N "),
    (r"(nonce[^0-9a-f]{1,20})[0-9a-f]{10}", r"\1NONCE"),
    (r"kraal-test-\w+", "FOLDER"),
)
CHANGING_COOKIES = re.compile(r"^(DokuWiki|DW\w+|wordpress_\w+|wp-settings-time-\d+)=[^;]+")
LEFT_OUT = {"Date", "Server", "Expires", "Last-Modified", "ETag"}


def settled(page: Page) -> tuple[int, list[tuple[str, str]], str]:
    """The page without what changes by itself."""
    text = page.body.decode("latin-1")
    for pattern, instead in CHANGING:
        text = re.sub(pattern, instead, text)
    headers = [
        (name, CHANGING_COOKIES.sub(r"\1=VALUE", re.sub(r"expires=[^;]+", "expires=TIME", value)))
        for name, value in page.headers
        if name not in LEFT_OUT
    ]
    return page.status, headers, text


def difference(expected: str, found: str) -> list[str]:
    """The first lines that differ."""
    return list(islice(unified_diff(expected.splitlines(), found.splitlines(), "php-fpm", "kraal", n=0), 20))


def compare(ports: Mapping[Kind, int], cookies: Mapping[str, str], urls: tuple[str, ...]) -> None:
    """Fetch all pages from both servers, with the same cookies, twice: the first time warms caches."""
    for _ in range(2):
        found = {
            kind: {url: Browser(port, cookies=dict(cookies)).get(f"{SITE}{url}") for url in urls}
            for kind, port in ports.items()
        }
    for url in urls:
        kraal, fpm = (settled(found[kind][url]) for kind in KINDS)
        assert kraal[0] == fpm[0], url
        assert kraal[1] == fpm[1], url
        assert not difference(fpm[2], kraal[2]), url


@contextmanager
def behind(front: str, root: Path) -> Iterator[dict[Kind, int]]:
    """Both servers on the same files and sessions, each behind a web server of its own."""
    with ExitStack() as stack:
        sessions = make_directory(stack.enter_context(workspace()) / "sessions")
        pool = POOL | {"php_value[session.save_path]": str(sessions)}
        ports = {}
        for kind in KINDS:
            place = stack.enter_context(workspace())
            server = FpmServer.start(kind, place, root=root, pool=pool, tcp=front != "nginx")
            stack.callback(server.stop)
            if front == "nginx":
                running = nginx(place, root, server.address)
            else:
                running = apache(place, root, server.address, next(form for form in FORMS if form == front))
            ports[kind] = stack.enter_context(running)
        yield ports


FRONTS = ("nginx", "SetHandler", "ProxyPassMatch")


@pytest.fixture(scope="module")
def shared_wiki() -> Iterator[Path]:
    with workspace() as place:
        yield dokuwiki(place / "root")


@pytest.fixture(scope="module")
def shared_blog(database: MariaDB) -> Iterator[Path]:
    with workspace() as place:
        root = wordpress(place / "root", database)
        with served("php-fpm", root) as browser:
            install_wordpress(browser)
        yield root


@pytest.mark.parametrize("front", FRONTS)
def test_pages_of_dokuwiki_are_the_same_on_both_servers(shared_wiki: Path, front: str) -> None:
    with behind(front, shared_wiki) as ports:
        compare(ports, {}, WIKI_PAGES)
        keeper = Browser(ports["php-fpm"])
        wiki_login(keeper)
        compare(ports, keeper.cookies, WIKI_PAGES)


@pytest.mark.parametrize("front", FRONTS)
def test_pages_of_wordpress_are_the_same_on_both_servers(shared_blog: Path, front: str) -> None:
    with behind(front, shared_blog) as ports:
        compare(ports, {}, BLOG_PAGES)
        keeper = Browser(ports["php-fpm"])
        blog_login(keeper)
        compare(ports, keeper.cookies, BLOG_PAGES)
