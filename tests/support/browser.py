"""Chromium without a window: what a page shows, and what the browser complains of.

Debian's chromium and chromium-driver, through Selenium: the library speaks the standard that Debian's
driver comes with, and brings no browser of its own.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import NoSuchElementException, TimeoutException, WebDriverException
from selenium.webdriver import ActionChains, ChromeOptions, Remote
from selenium.webdriver.common.by import By
from selenium.webdriver.common.proxy import Proxy, ProxyType
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.support import processes
from tests.support.http import HOST
from tests.support.servers import free_port
from tests.support.webservers import running

T = TypeVar("T")

SITE = f"http://{HOST}"
PATIENCE = 60.0  # seconds for whatever a page does; the machine may be busy
ELSEWHERE = re.compile(rf"https?://(?!{re.escape(HOST)}/)\S+ - .*net::ERR_NAME_NOT_RESOLVED")

# It opens nothing but our own site, needs little of the machine, and calls nobody.
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--window-size=1280,1600",
    "--lang=en-US",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    "--password-store=basic",
)
PREFERENCES = {"credentials_enable_service": False, "safebrowsing.enabled": False}

# jQuery counts what it has asked for.  Pictures that one would have to scroll to are to come at once.
SETTLED = """(() => {
    const pictures = [...document.images];
    pictures.forEach(picture => { picture.loading = 'eager'; });
    return document.readyState === 'complete' && !(window.jQuery && jQuery.active)
        && pictures.every(picture => picture.complete);
})()"""
LOOK = """[
    location.href,
    document.title,
    document.body ? document.body.innerText : '',
    [...document.images].filter(picture => picture.src.startsWith(location.origin))
        .map(picture => picture.naturalWidth),
]"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a visitor sees: the words, and the site's pictures by their width, which is 0 of a broken one."""

    url: str
    title: str
    text: str
    pictures: tuple[int, ...]


class Chromium:
    """One visitor; every method waits until it can do what it says."""

    def __init__(self, driver: Remote) -> None:
        self._driver = driver
        # Files are where the browser is, and need not be sent to it.
        driver.file_detector = UselessFileDetector()

    def until(self, condition: Callable[[], T], what: str) -> T:
        """The first true value.  An element may be missing, covered or just replaced: that passes."""
        wait = WebDriverWait(
            self._driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[WebDriverException]
        )
        try:
            return wait.until(lambda _: condition())
        except TimeoutException as error:
            raise AssertionError(f"never: {what}\n{self._look()}\n{error.msg}") from error

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in JavaScript."""
        return self._driver.execute_script(f"return ({expression});")

    def go(self, path: str) -> None:
        self._driver.get(SITE + path)

    def find(self, css: str) -> WebElement:
        """The first element that matches and can be seen."""
        return self.until(lambda: self._visible(css), f"there is {css}")

    def _visible(self, css: str) -> WebElement:
        for element in self._driver.find_elements(By.CSS_SELECTOR, css):
            if element.is_displayed():
                return element
        raise NoSuchElementException(css)

    def click(self, css: str) -> None:
        def clicked() -> bool:
            self._visible(css).click()
            return True

        self.until(clicked, f"{css} can be clicked")

    def leave(self, css: str) -> None:
        """Click on what leads to another page, and wait until that is there."""
        old = self.evaluate("performance.timeOrigin")
        clicked = False

        def left() -> bool:
            nonlocal clicked
            # A click that is said to have failed may have led to the next page all the same.
            if self.evaluate("performance.timeOrigin") != old:
                return True
            if not clicked:
                self._visible(css).click()
                clicked = True
            return False

        self.until(left, f"{css} leads to another page")
        self.settle()

    def hover(self, css: str) -> None:
        ActionChains(self._driver).move_to_element(self.find(css)).perform()

    def fill(self, css: str, text: str) -> None:
        """Put a text into a field in place of what is there."""

        def filled() -> bool:
            field = self._visible(css)
            field.clear()
            field.send_keys(text)
            return field.get_property("value") == text

        self.until(filled, f"{text!r} is in {css}")

    def choose(self, css: str, file: Path) -> None:
        """Hand a file to an input, which may be hidden behind a nicer button."""

        def chosen() -> bool:
            self._driver.find_element(By.CSS_SELECTOR, css).send_keys(str(file))
            return True

        self.until(chosen, f"{css} takes a file")

    def focus(self, css: str) -> None:
        """Wait until keys go to an element."""
        self.until(lambda: self.evaluate(f"document.activeElement.matches({css!r})"), f"{css} has the focus")

    def press(self, *keys: str) -> None:
        ActionChains(self._driver).send_keys(*keys).perform()

    def settle(self) -> None:
        """Wait until the page is loaded with its pictures, and has what it asked for by itself."""
        self.until(lambda: self.evaluate(SETTLED), "the page is at rest")

    def see(self) -> Shown:
        """What can be seen once the page is at rest and does not change any more."""
        before: Shown | None = None

        def still() -> bool:
            nonlocal before
            self.settle()
            last, before = before, self._look()
            return before == last

        self.until(still, "the page does not change")
        assert before is not None
        return before

    def _look(self) -> Shown:
        url, title, text, pictures = self.evaluate(LOOK)
        return Shown(url, title, text, tuple(pictures))

    def complaints(self) -> list[str]:
        """The errors on the console since the last time, failed requests among them.

        That the rest of the world is not there is none.
        """
        said = self._driver.execute(Command.GET_LOG, {"type": "browser"})["value"]
        errors = [entry["message"] for entry in said if entry["level"] == "SEVERE"]
        return [message for message in errors if not ELSEWHERE.match(message)]


@contextmanager
def chromium(directory: Path, port: int) -> Iterator[Chromium]:
    """A browser with a profile of its own, for which there is nothing but the site at this port.

    The port stands for that of http, so that neither pages nor cookies know it.
    """
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in SWITCHES:
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={directory}/chromium")
    options.add_argument(f"--host-resolver-rules=MAP {HOST}:80 127.0.0.1:{port}, MAP * ~NOTFOUND")
    options.add_experimental_option("prefs", PREFERENCES)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    bystanders = processes.orphans()
    own = free_port()
    home = {name: str(directory) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    argv = ["/usr/bin/chromedriver", f"--port={own}"]
    with running(argv, own, output=directory / "chromedriver.out", environ=home):
        way = ClientConfig(f"http://127.0.0.1:{own}", proxy=Proxy({"proxyType": ProxyType.DIRECT}))
        driver = Remote(way.remote_server_addr, options=options, client_config=way)
        try:
            yield Chromium(driver)
        finally:
            driver.quit()
    processes.check_gone((), before=bystanders, at_most=PATIENCE)
