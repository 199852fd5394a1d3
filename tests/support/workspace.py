"""A place for one test's files that a pool's user can reach."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = os.geteuid() == 0
POOL_USER = "www-data" if ROOT else pwd.getpwuid(os.geteuid()).pw_name


@contextmanager
def workspace() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="kraal-test-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def give(path: Path, user: str = POOL_USER) -> Path:
    """Make a file or a whole directory belong to a user."""
    if ROOT:
        for each in (path, *path.rglob("*")):
            shutil.chown(each, user, pwd.getpwnam(user).pw_gid)
    return path


def make_directory(path: Path) -> Path:
    """A directory that belongs to the pool's user."""
    path.mkdir(parents=True)
    return give(path)
