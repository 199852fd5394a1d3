"""`worker.watch`: which files there are, and which of them have changed.

For development: looking at the files again and again works wherever they lie (network file systems, folders
of the host in a container), and costs a process that does little else.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator

from kraal.fields import Frozen

# What a directory stands for: names that end so.
_ENDINGS = (".php", ".phtml", ".inc", ".twig", ".yaml", ".yml", ".xml", ".json", ".neon", ".latte", ".ini")
_DOT_ENV = ".env"
_SKIPPED = "node_modules"
_PAUSE = 0.25  # seconds between two looks at least
_SHARE = 0.1  # of a processor that looking may take

Stamps = dict[str, tuple[int, int, int]]  # by path: when modified, size, inode


class Target(Frozen):
    """One word of the directive: where to look, and for which files."""

    root: str
    pattern: re.Pattern[str] | None = None  # of the whole path; None: names that end as above

    @classmethod
    def of(cls, path: str) -> "Target":
        """`*` is anything, as in `worker.match`."""
        if "*" not in path:
            return cls(path.rstrip("/") or "/")
        parts = ".*".join(map(re.escape, path.split("*")))
        return cls(path.partition("*")[0].rpartition("/")[0] or "/", re.compile(parts, re.DOTALL))

    def wants(self, path: str) -> bool:
        """Whether this file below the root counts."""
        if self.pattern:
            return self.pattern.fullmatch(path) is not None
        name = path.rpartition("/")[2]
        return path == self.root or name.endswith(_ENDINGS) or name.startswith(_DOT_ENV)


def look(targets: Iterable[Target]) -> Stamps:
    """Every file that counts.  What cannot be read is not there."""
    found: Stamps = {}
    for target in targets:
        for path, status in _walk(target.root):
            if path not in found and target.wants(path):
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """The root, if it is a file, or the files below it.  Links to directories are not followed."""
    directories = []
    try:
        if os.path.isdir(root):
            directories.append(root)
        else:
            yield root, os.stat(root)
    except OSError:
        return
    while directories:
        directory = directories.pop()
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            try:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.path, entry.stat()
                elif not entry.name.startswith(".") and entry.name != _SKIPPED:
                    directories.append(entry.path)
            except OSError:
                continue


def difference(before: Stamps, now: Stamps) -> list[str]:
    """The files that are new, gone or changed."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def watch(words: Iterable[str], tell: Callable[[str], None], parent: int) -> None:
    """After changes, when all is quiet again, `tell` what has changed; as long as the parent lives."""
    targets = [Target.of(word) for word in words]
    told = now = look(targets)
    while os.getppid() == parent:
        began = time.monotonic()
        before, now = now, look(targets)
        if now == before and (changed := difference(told, now)):
            told = now
            tell(_words(changed))
        time.sleep(max(_PAUSE, (time.monotonic() - began) / _SHARE))


def _words(changed: list[str]) -> str:
    others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{changed[0]}{others}"
