"""WordPress looks and works for a visitor with a browser as on php-fpm; see tests/support/walks.py."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Keys

from tests.support.apps import PASSWORD, USER, wordpress
from tests.support.browser import SITE, Chromium, Shown
from tests.support.mariadb import MariaDB
from tests.support.walks import check_walk, each_front

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def walk_through_wordpress(browser: Chromium, image: Path) -> Iterator[Shown]:
    """Install it, choose nice addresses, publish a post and pictures, comment, and leave."""
    yield from wordpress_is_installed(browser)
    yield from wordpress_changes_its_addresses(browser)
    yield from wordpress_takes_a_picture(browser, image)
    yield from wordpress_publishes_a_post(browser, image)
    yield from wordpress_takes_a_comment(browser)
    yield from wordpress_is_left(browser)


def wordpress_is_installed(browser: Chromium) -> Iterator[Shown]:
    browser.go("/")  # not compared: what the form says of its password comes whenever its dictionary is there
    browser.fill("#weblog_title", "Kraal")
    browser.fill("#user_login", USER)
    browser.fill("#pass1", PASSWORD)
    browser.fill("#admin_email", "keeper@kraal.test")
    browser.leave("#submit")
    installed = browser.see()
    assert "WordPress has been installed" in installed.text
    yield installed
    browser.go("/")
    front = browser.see()
    assert (front.url, front.title) == (f"{SITE}/", "Kraal")
    assert "Hello world!" in front.text
    yield front
    browser.go("/wp-admin/")
    browser.focus("#user_login")  # the page moves it there a moment after it was loaded
    browser.fill("#user_login", USER)
    browser.fill("#user_pass", PASSWORD)
    browser.leave("#wp-submit")
    dashboard = browser.see()
    assert "Howdy, keeper" in dashboard.text
    yield dashboard


def wordpress_changes_its_addresses(browser: Chromium) -> Iterator[Shown]:
    browser.go("/wp-admin/options-permalink.php")
    browser.fill("#permalink_structure", "/%postname%/")
    browser.leave("#submit")
    changed = browser.see()
    assert re.search(r"Permalink structure updated|You should update your \.htaccess file", changed.text)
    yield changed
    browser.go("/wp-admin/options-general.php")
    browser.fill("#blogdescription", "Elephants behind gates")
    browser.leave("#submit")
    saved = browser.see()
    assert "Settings saved." in saved.text
    yield saved


def wordpress_takes_a_picture(browser: Chromium, image: Path) -> Iterator[Shown]:
    browser.go("/wp-admin/media-new.php")
    browser.settle()
    browser.choose(".moxie-shim input[type=file]", image)
    browser.find(".media-item .pinkynail")
    browser.go("/wp-admin/upload.php")
    browser.find(".attachment img")
    library = browser.see()
    assert library.pictures == (300,)
    yield library
    browser.click(".attachment")
    browser.find(".attachment-details .details-image")
    yield browser.see()
    browser.leave(".attachment-details .view-attachment")
    page = browser.see()
    assert (page.url, page.pictures) == (f"{SITE}/gate/", (300,))
    yield page


def wordpress_publishes_a_post(browser: Chromium, image: Path) -> Iterator[Shown]:
    """In the block editor, which does everything over the REST API."""
    browser.go("/wp-admin/post-new.php")
    browser.click(".components-modal__header button")  # it welcomes who comes for the first time
    browser.click(".editor-post-title__input")
    browser.focus(".editor-post-title__input")
    browser.press("A gate", Keys.ENTER)
    browser.focus("p.wp-block-paragraph")
    browser.press("Four elephants: äöü €", Keys.ENTER)
    browser.focus("p.wp-block-paragraph[data-empty=true]")
    browser.press("/image")
    browser.until(
        lambda: browser.find(".components-autocomplete__result.is-selected").text == "Image",
        "a picture is proposed",
    )
    browser.press(Keys.ENTER)
    browser.choose(".block-editor-media-placeholder input[type=file]", image)
    uploaded = f".wp-block-image img[src^='{SITE}/wp-content/uploads/']"
    browser.until(lambda: browser.find(uploaded).get_property("naturalWidth") == 640, "the picture is there")
    browser.click(".editor-post-publish-panel__toggle:not([aria-disabled=true])")
    browser.click(".editor-post-publish-panel .editor-post-publish-button:not([aria-disabled=true])")
    browser.find(".post-publish-panel__postpublish")
    browser.leave(".post-publish-panel__postpublish-buttons a")
    post = browser.see()
    assert post.url == f"{SITE}/a-gate/"
    assert "Four elephants: äöü €" in post.text
    assert post.pictures == (640,)
    yield post


def wordpress_takes_a_comment(browser: Chromium) -> Iterator[Shown]:
    browser.fill("#comment", "A remark by the keeper.")
    browser.leave("#commentform [type=submit]")
    post = browser.see()
    assert "One response to “A gate”" in post.text
    assert "A remark by the keeper." in post.text
    yield post


def wordpress_is_left(browser: Chromium) -> Iterator[Shown]:
    browser.hover("#wp-admin-bar-my-account")
    browser.leave("#wp-admin-bar-logout a")
    left = browser.see()
    assert "You are now logged out." in left.text
    yield left
    browser.go("/wp-admin/")
    assert browser.see().url.startswith(f"{SITE}/wp-login.php?")
    browser.go("/?s=elephants")
    found = browser.see()
    assert "A gate" in found.text
    assert "Howdy" not in found.text
    yield found


@each_front
def test_wordpress_is_the_same_to_a_browser(database: MariaDB, front: str) -> None:
    check_walk(walk_through_wordpress, lambda root: wordpress(root, database), front)
