"""A socket in a folder of somebody who exchanges it for a link all the time."""

import ctypes
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from kraal.errors import StartError
from kraal.unix.acl import Acl
from kraal.unix.listener import Ownership, adjust, open_unix

AT_FDCWD = -100
RENAME_EXCHANGE = 2
OTHER = 65534
TIMES = 500

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@contextmanager
def exchanging(one: str, other: str) -> Iterator[None]:
    """Exchange two files as fast as can be, as long as this lasts."""
    libc = ctypes.CDLL(None)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            libc.renameat2(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "ownership",
    [Ownership(OTHER, OTHER, 0o666), Ownership(mode=0o666, acl=Acl(users=(OTHER,)))],
    ids=["owner and mode", "access control list"],
)
def test_nobody_else_s_file_gets_the_owner_or_the_mode_of_a_socket(
    tmp_path: Path, ownership: Ownership
) -> None:
    secret, path, link = tmp_path / "secret", str(tmp_path / "fpm.sock"), str(tmp_path / "link")
    secret.touch(0o600)
    os.symlink(secret, link)

    with closing(open_unix(path, 5, Ownership())) as listener, exchanging(path, link):
        for _ in range(TIMES):
            with suppress(StartError):
                adjust(listener, 5, ownership)

    found = secret.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o600)
    assert "system.posix_acl_access" not in os.listxattr(secret)


def test_socket_that_was_exchanged_while_it_was_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "fpm.sock")
    monkeypatch.setattr("kraal.unix.listener._identity", lambda _path: (0, 0))

    with pytest.raises(StartError, match="was taken away or exchanged while it was made"):
        open_unix(path, 5, Ownership(OTHER, OTHER))
