"""The configuration's reader: a file, and behind each NUL byte another one, 1.conf or 2.conf, to be included.

Nothing but a configuration, whose pools can be told to managers, or printable errors come of it.  There are
no files to include outside of the folder.
"""

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kraal.boot import Order, Php
from kraal.config import load
from kraal.config.directives import ARRAYS, GLOBAL, POOL
from kraal.config.dump import lines
from kraal.config.model import Config
from kraal.config.problems import ConfigErrors
from kraal.master.orders import order_for
from tests.fuzz.targets import Play

WORDS = [row.name for row in (*GLOBAL, *POOL, *ARRAYS)]

_MOST_FILES = 5
_ENVIRON = {"HOME": "/root"}
_PHP = Php(ini_path=None, ini_scan_dir=None)


class _Fence:
    """Finds files as `glob` does, but only in one folder: an input must not read through the machine."""

    has_magic = staticmethod(glob.has_magic)

    def __init__(self, folder: Path) -> None:
        self._inside = f"{folder}/"

    def glob(self, pattern: str) -> list[str]:
        """Those that there are."""
        rest = pattern.removeprefix(self._inside)
        return glob.glob(pattern) if rest != pattern and "/" not in rest else []


@contextmanager
def begin(folder: Path) -> Iterator[Play]:
    """Fence the reader in."""
    before = vars(load)["glob"]
    vars(load)["glob"] = _Fence(folder)
    names = [folder / f"{number}.conf" for number in range(_MOST_FILES)]

    def play(content: bytes) -> None:
        parts = content.split(b"\0")[:_MOST_FILES]
        for name, part in zip(names, parts, strict=False):
            name.write_bytes(part)
        try:
            _judge(str(names[0]), str(folder))
        finally:
            for name in names[1 : len(parts)]:
                name.unlink()

    try:
        yield play
    finally:
        vars(load)["glob"] = before


def _judge(file: str, prefix: str) -> None:
    try:
        config = load.load(
            file, prefix=prefix, environ=_ENVIRON, as_root=False, allow_root=False, testing=True
        )
    except ConfigErrors as error:
        said = list(map(str, error.errors))
        if not said:
            raise
        _check_printable(said)
    else:
        _check(config)


def _check(config: Config) -> None:
    assert config.pools
    assert list(lines(config))
    _check_printable(map(str, config.warnings))
    for pool in config.pools:
        assert pool.pm_max_children > 0
        order = order_for(pool, config.global_, php=_PHP, environ=_ENVIRON, as_root=False, groups=())
        assert Order.from_bytes(order.to_bytes()) == order, pool.name


def _check_printable(said: Iterable[str]) -> None:
    for line in said:
        assert line.replace("\t", "").isprintable(), line
