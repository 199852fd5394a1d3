"""Access control lists of socket files, on the file system of the tests."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kraal.errors import StartError
from kraal.unix.acl import Acl
from kraal.unix.listener import Ownership, open_unix

ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "fpm.sock")


def entries(path: str) -> list[str]:
    posix1e = pytest.importorskip("posix1e")
    options = posix1e.TEXT_NUMERIC_IDS
    return list(posix1e.ACL(file=path).to_any_text(options=options).decode().split("\n"))


def test_users_and_groups_of_the_list_may_connect(path: str) -> None:
    with closing(open_unix(path, 5, Ownership(mode=0o600, acl=Acl((4712, 4711), (815,))))):
        assert entries(path) == [
            "user::rw-",
            "user:4711:rw-",
            "user:4712:rw-",
            "group::---",
            "group:815:rw-",
            "mask::rw-",
            "other::---",
        ]


def test_user_named_twice_is_one(path: str) -> None:
    with closing(open_unix(path, 5, Ownership(acl=Acl((4711, 4711))))):
        assert entries(path).count("user:4711:rw-") == 1


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_with_a_list_owner_and_group_are_left(path: str) -> None:
    with closing(open_unix(path, 5, Ownership(uid=33, gid=34, acl=Acl((4711,))))):
        found = os.stat(path)
        assert (found.st_uid, found.st_gid) == (0, os.stat(os.path.dirname(path)).st_gid)


def test_file_system_without_lists_is_told(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    posix1e = pytest.importorskip("posix1e")
    real = posix1e.ACL

    class Unwritable:
        def __init__(self, file: str) -> None:
            self._real = real(file=file)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def applyto(self, _path: str) -> None:
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(posix1e, "ACL", Unwritable)
    with pytest.raises(StartError) as caught:
        open_unix(path, 5, Ownership(acl=Acl((4711,))))

    assert str(caught.value) == (
        f"failed to write the ACL of the socket '{path}': Operation not supported (95)"
    )
    assert not os.path.exists(path)
