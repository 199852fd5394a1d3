"""A browser for tests: cookies, forms, uploads, and no redirects unless asked.

Connects to one front, whatever the host name in a URL says: applications are set up for
http://kraal.test and answer on a port that is not known before.
"""

import http.client
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

HOST = "kraal.test"


@dataclass(frozen=True, slots=True)
class File:
    name: str
    type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def form(self, *, having: str) -> "Form":
        """The form with a field of that name."""
        parser = _Forms()
        parser.feed(self.text)
        found = [form for form in parser.forms if having in form.fields]
        assert found, f"no form with {having!r} in {self.url} ({self.status}):\n{self.text}"
        return found[0]


@dataclass(slots=True)
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    """All forms of a page with what a browser would send, buttons among it."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False
        self._area: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        name = given.get("name", "")
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
            self._inside = True
        if not self._inside:
            return
        fields = self.forms[-1].fields
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in given or self._select not in fields:
                fields[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._area = name
            fields[name] = ""
        elif tag in ("input", "button") and name:
            if given.get("type") in ("checkbox", "radio") and "checked" not in given:
                return
            fields[name] = given.get("value", "on" if given.get("type") == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, text: str) -> None:
        if self._area is not None and self._inside:
            self.forms[-1].fields[self._area] += text


def multipart(fields: Mapping[str, str | File]) -> tuple[str, bytes]:
    """The content type and the body of a form with files."""
    boundary = secrets.token_hex(16)
    lines: list[bytes] = []
    for name, value in fields.items():
        disposition = f'Content-Disposition: form-data; name="{name}"'
        lines.append(f"--{boundary}".encode())
        if isinstance(value, File):
            lines += [
                f'{disposition}; filename="{value.name}"'.encode(),
                f"Content-Type: {value.type}".encode(),
            ]
            lines += [b"", value.content]
        else:
            lines += [disposition.encode(), b"", value.encode()]
    lines += [f"--{boundary}--".encode(), b""]
    return f"multipart/form-data; boundary={boundary}", b"\r\n".join(lines)


@dataclass
class Browser:
    port: int
    timeout: float = 60.0
    cookies: dict[str, str] = field(default_factory=dict)

    def request(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Page:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Host": HOST, "User-Agent": "kraal-test"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, target, body=body, headers=sent | dict(headers or {}))
            answer = connection.getresponse()
            page = Page(url, answer.status, answer.reason, answer.getheaders(), answer.read())
        finally:
            connection.close()
        self._keep_cookies(page)
        return page

    def _keep_cookies(self, page: Page) -> None:
        for name, value in page.headers:
            if name.lower() != "set-cookie":
                continue
            for cookie in SimpleCookie(value).values():
                if cookie.value in ("", "deleted") or cookie["max-age"] == "0":
                    self.cookies.pop(cookie.key, None)
                else:
                    self.cookies[cookie.key] = cookie.coded_value

    def get(self, url: str, **headers: str) -> Page:
        return self.request(
            "GET", url, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def post(self, url: str, fields: Mapping[str, str | File]) -> Page:
        """Send a form, as multipart if there is a file in it."""
        if any(isinstance(value, File) for value in fields.values()):
            kind, body = multipart(fields)
        else:
            kind, body = "application/x-www-form-urlencoded", urlencode(fields).encode()
        return self.request("POST", url, body=body, headers={"Content-Type": kind})

    def submit(self, page: Page, form: Form, **fields: str | File) -> Page:
        """Send a form of a page with some fields filled in."""
        return self.post(urljoin(page.url, form.action or page.url), {**form.fields, **fields})

    def follow(self, page: Page) -> Page:
        """Go where a page redirects to, until one does not."""
        for _ in range(5):
            target = page.header("Location")
            if page.status not in (301, 302, 303) or target is None:
                return page
            page = self.get(urljoin(page.url, target))
        raise AssertionError(f"redirected without end: {page.url}")
