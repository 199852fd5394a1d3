"""Whether what a pool was started from has changed: its order, and the files behind it."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

import kraal
from kraal.boot import Php
from kraal.php.variables import ini_files

# A library that was replaced, as maps of memory show it.
_REPLACED = re.compile(r"\.so[.0-9]* \(deleted\)$", re.MULTILINE)


def of_pool(order: bytes, listen: str, sources: str) -> str:
    """One text that is another one when any of these is another one."""
    digest = hashlib.sha256()
    for part in (order, listen.encode("utf-8", "surrogateescape"), sources.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def of_sources(php: Php) -> str:
    """Of the ini files of PHP and the files of kraal, as they are now."""
    return of_files((*ini_files(php), *_own_files()))


def of_files(files: Iterable[str]) -> str:
    """Of names, sizes and times of change."""
    digest = hashlib.sha256()
    for file in files:
        found: object = None
        with suppress(OSError):
            status = os.stat(file)
            found = (status.st_ino, status.st_size, status.st_mtime_ns)
        digest.update(repr((file, found)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def libraries_are_current(pid: int) -> bool:
    """Whether the libraries of a process are still the files of their names; False if that cannot be seen."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
            return not has_replaced(maps.read())
    except OSError:
        return False


def has_replaced(maps: str) -> bool:
    """Whether a map of memory shows a library that was removed or replaced."""
    return bool(_REPLACED.search(maps))


def _own_files() -> Iterator[str]:
    for folder, folders, names in os.walk(os.path.dirname(kraal.__file__)):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (os.path.join(folder, name) for name in sorted(names))
