"""A case: a script, and the requests that show what it does."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import LONG_AGO

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.  In the URL, DIR is the folder of the case and SCRIPT its script."""

    url: str = "SCRIPT"
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """What is written into a folder of its own, and asked one after the other.

    `ini` are lines of a .user.ini, `files` other files beside the script, `links` their symbolic links and
    `modes` their permissions.  `pool` is one of `pools.POOLS`.  A case `at` the folder of another one writes nothing.
    """

    name: str
    code: str
    asks: tuple[Ask, ...] = (Ask(),)
    pool: str = "www"
    ini: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    at: str = ""

    @property
    def id(self) -> str:
        """Names of pytest are ASCII."""
        return ascii(self.name if self.pool == "www" else f"{self.name} ({self.pool})")[1:-1]

    @property
    def folder(self) -> str:
        return self.at or re.sub(r"\W+", "_", f"{self.pool} {self.name}")

    def url(self, ask: Ask) -> str:
        return ask.url.replace("SCRIPT", "DIR/index.php").replace("DIR", f"/{self.folder}")

    def write(self, root: Path) -> None:
        """Write everything, dated back as `FpmServer.script` does."""
        if self.at:
            return
        folder = root / self.folder
        files = {"index.php": self.code, **({".user.ini": self.ini} if self.ini else {}), **self.files}
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.exists(), f"two cases have the name {self.name!r}"
            plain = text.startswith(("<", "#!")) or not name.endswith(".php")
            path.write_text(text if plain else "<?php\n" + text)
            os.utime(path, (LONG_AGO, LONG_AGO))
        for name, target in self.links.items():
            (folder / name).symlink_to(target)
        for name, mode in self.modes.items():
            (folder / name).chmod(mode)

    def unlock(self, root: Path) -> None:
        """Let everything be removed."""
        for name in self.modes:
            (root / self.folder / name).chmod(0o700)
