"""Files that are written to by root, in folders of others."""

import os
from pathlib import Path

import pytest

from kraal.unix.files import open_to_append

OTHER = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def append(path: Path | str) -> None:
    fd = open_to_append(str(path))
    os.write(fd, b"line\n")
    os.close(fd)


def test_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    append(tmp_path / "log")

    assert (tmp_path / "log").read_text() == "line\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target", ["elsewhere/log", "{0}/elsewhere/log", "second"])
def test_our_own_links_are_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "second").symlink_to("elsewhere/log")
    (tmp_path / "log").symlink_to(target.format(tmp_path))

    append(tmp_path / "log")

    assert (tmp_path / "elsewhere/log").read_text() == "line\n"


@needs_root
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_links_of_others_are_not_followed(tmp_path: Path, there: bool) -> None:
    secret = tmp_path / "secret"
    if there:
        secret.touch(0o600)
    (tmp_path / "log").symlink_to("secret")
    os.chown(tmp_path / "log", OTHER, OTHER, follow_symlinks=False)

    with pytest.raises(PermissionError, match="it is a link of another user"):
        append(tmp_path / "log")

    assert secret.read_text() == "" if there else not secret.exists()


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("log")

    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        append(tmp_path / "log")


def test_descriptors_of_our_own_can_be_named(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        append(f"/dev/fd/{file.fileno()}")
        append(f"/proc/self/fd/{file.fileno()}")

    assert (tmp_path / "log").read_text() == "line\n" * 2
