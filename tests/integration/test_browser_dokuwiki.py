"""DokuWiki looks and works for a visitor with a browser as on php-fpm; see tests/support/walks.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import PASSWORD, USER, dokuwiki
from tests.support.browser import Chromium, Shown
from tests.support.walks import check_walk, each_front

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def walk_through_dokuwiki(browser: Chromium, image: Path) -> Iterator[Shown]:
    """Log in, write pages, upload a picture, find it all, change a setting, and leave."""
    yield from dokuwiki_lets_its_keeper_in(browser)
    yield from dokuwiki_saves_a_page(browser)
    yield from dokuwiki_takes_a_picture(browser, image)
    yield from dokuwiki_finds_a_page(browser)
    yield from dokuwiki_changes_a_setting(browser)
    yield from dokuwiki_is_left(browser)


def dokuwiki_lets_its_keeper_in(browser: Chromium) -> Iterator[Shown]:
    browser.go("/")
    front = browser.see()
    assert "This is the enclosure." in front.text
    yield front
    browser.leave("#dokuwiki__usertools a[href*='do=login']")
    yield browser.see()
    browser.fill("#dw__login [name=u]", USER)
    browser.fill("#dw__login [name=p]", PASSWORD)
    browser.leave("#dw__login [type=submit]")
    inside = browser.see()
    assert "Logged in as: The Keeper" in inside.text
    yield inside


def dokuwiki_write(browser: Chromium, page: str, text: str) -> Shown:
    browser.go(f"/doku.php?id={page}&do=edit")
    browser.settle()
    browser.fill("#wiki__text", text)
    browser.fill("#edit__summary", "made by a test")
    browser.leave("#edbtn__save")
    return browser.see()


def dokuwiki_saves_a_page(browser: Chromium) -> Iterator[Shown]:
    saved = dokuwiki_write(browser, "animals", "====== Animals ======\n\nFour **elephants**: äöü €.\n")
    assert "Four elephants: äöü €." in saved.text
    yield saved
    browser.go("/doku.php?id=animals&do=revisions")
    history = browser.see()
    assert "made by a test" in history.text
    yield history


def dokuwiki_takes_a_picture(browser: Chromium, image: Path) -> Iterator[Shown]:
    browser.leave("#dokuwiki__sitetools a[href*='do=media']")
    browser.click("#mediamanager__page .filelist .tabs a[href*='tab_files=upload']")
    browser.choose("#mediamanager__uploader input[type=file]", image)
    browser.click("#mediamanager__upload_button")
    browser.find("#mediamanager__uploader .qq-upload-success")
    browser.go("/doku.php?id=animals&do=media&ns=")
    library = browser.see()
    assert "gate.png" in library.text
    yield library
    shown = dokuwiki_write(browser, "gate", "====== A gate ======\n\nHere: {{:gate.png}}\n")
    assert 640 in shown.pictures
    yield shown


def dokuwiki_finds_a_page(browser: Chromium) -> Iterator[Shown]:
    """A page is put into the index behind the back of who looked at it."""

    def found() -> bool:
        browser.fill("#qsearch__in", "elephants")
        browser.leave("#dw__search button[type=submit]")
        return "1 Hits" in browser.see().text

    browser.until(found, "the page is found")
    yield browser.see()
    browser.fill("#qsearch__in", "anim")
    assert browser.find("#qsearch__out li a").text == "animals"


def dokuwiki_changes_a_setting(browser: Chromium) -> Iterator[Shown]:
    browser.leave("#dokuwiki__usertools a[href*='do=admin']")
    administration = browser.see()
    assert "Configuration Settings" in administration.text
    yield administration
    browser.leave("#dokuwiki__content a[href*='page=config']")
    browser.fill("#config___tagline", "Elephants behind gates")
    browser.leave("#config__manager button[type=submit]")
    saved = browser.see()
    assert "Settings updated successfully." in saved.text
    yield saved


def dokuwiki_is_left(browser: Chromium) -> Iterator[Shown]:
    browser.leave("#dokuwiki__usertools a[href*='do=logout']")
    left = browser.see()
    assert "Logged in as" not in left.text
    assert "Elephants behind gates" in left.text
    yield left


@each_front
def test_dokuwiki_is_the_same_to_a_browser(front: str) -> None:
    check_walk(walk_through_dokuwiki, dokuwiki, front)
