"""Decide what a URL path stands for: a PHP script, a static file, a redirect or nothing.

Pure: it asks a small view of the site's files.  The rules are those of the usual nginx site,
`try_files $uri $uri/ /index.php`, with PHP sources and dot files never served.
"""

import re
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

from kraal.fields import Frozen

SCRIPT_SUFFIX = ".php"
FRONT_CONTROLLER = "index.php"
INDEXES = ("index.php", "index.html")
WELL_KNOWN = ".well-known"  # the one dot name that is meant for the public (RFC 8615)

# What PHP may include or an editor may leave beside it: to be run or left alone, never shown.
_SOURCE = re.compile(
    r"\.(php\d*|phtml|pht|phps|phar|inc)(~|\#|\.(bak|dist|old|orig|save|swo|swp|tmp))?$", re.IGNORECASE
)


class Files(Protocol):
    """The site's files; paths are relative to its root, the root itself is the empty path."""

    def is_file(self, path: str) -> bool: ...

    def is_directory(self, path: str) -> bool: ...


class Script(Frozen):
    """Run this script.  `script_name` and `path_info` are URL paths."""

    script_filename: str
    script_name: str
    path_info: str = ""


class Static(Frozen):
    """Send this file."""

    path: str


class Redirect(Frozen):
    """Send the browser to this URL path: a directory was asked for without its slash."""

    location: str


class NotFound(Frozen):
    """There is nothing here, or nothing to show."""


Route = Script | Static | Redirect | NotFound


def route(raw_path: bytes, files: Files, *, root: str, local_pages: frozenset[str] = frozenset()) -> Route:
    """What the path of a request, still percent-encoded, stands for.

    `local_pages` are URL paths that the pool answers itself, such as /status; files come first.
    """
    path = normalize(raw_path)
    if path is None:
        return NotFound()
    return _Site(files, root, local_pages).route(path)


def normalize(raw_path: bytes) -> str | None:
    """The decoded path without `.`, `..` and empty segments, or None if it leads out of the site.

    Decoded once and before anything else looks at it, so that %2e and %2f hide nothing.
    """
    path = unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape")
    if "\0" in path or not path.startswith("/"):
        return None
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + slash


def is_source(name: str) -> bool:
    """Whether a file of this name is source code, or a copy of it."""
    return _SOURCE.search(name) is not None


class _Site(Frozen):
    files: Files
    root: str
    local_pages: frozenset[str]

    def route(self, path: str) -> Route:
        """What a normalized path stands for."""
        relative = path[1:].rstrip("/")
        found = (
            self._script_in(relative, path) or self._file(relative, path) or self._directory(relative, path)
        )
        if found is not None:
            return found
        if path in self.local_pages:
            return Script(self.root + path, path)
        return self._fallback()

    def _script_in(self, relative: str, path: str) -> Route | None:
        """The first script on the path; what follows it is its path info."""
        at = 0
        for segment in relative.split("/"):
            at += len(segment) + 1
            if _is_hidden(relative[:at].rstrip("/")):
                return NotFound()
            if not segment.endswith(SCRIPT_SUFFIX):
                continue
            name = relative[: at - 1]
            if self.files.is_file(name):
                return self._script(name, path_info=path[1 + len(name) :])
            if not self.files.is_directory(name):
                return NotFound()  # a script that is not there is no page of the front controller
        return None

    def _file(self, relative: str, path: str) -> Route | None:
        if path.endswith("/") or not self.files.is_file(relative):
            return None
        return NotFound() if is_source(relative) else Static(self._absolute(relative))

    def _directory(self, relative: str, path: str) -> Route | None:
        if not self.files.is_directory(relative):
            return None
        if not path.endswith("/"):
            return Redirect(quote(path.encode("utf-8", "surrogateescape")) + "/")
        for index in INDEXES:
            name = f"{relative}/{index}" if relative else index
            if self.files.is_file(name):
                return self._script(name) if index.endswith(SCRIPT_SUFFIX) else Static(self._absolute(name))
        return None

    def _fallback(self) -> Route:
        if self.files.is_file(FRONT_CONTROLLER):
            return self._script(FRONT_CONTROLLER)
        return NotFound()

    def _script(self, name: str, path_info: str = "") -> Script:
        return Script(self._absolute(name), "/" + name, path_info)

    def _absolute(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


def _is_hidden(relative: str) -> bool:
    """Whether the last segment is a dot name; only /.well-known itself is public."""
    return relative.rpartition("/")[2].startswith(".") and relative != WELL_KNOWN
