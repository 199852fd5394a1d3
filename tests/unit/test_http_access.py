"""Whether a user can reach a directory."""

import pytest

from kraal.http.access import Account, DirectoryStat, obstacle

ALICE = Account("alice", 1000, 1000, frozenset({50}))


def chain(mode: int, *, uid: int = 0, gid: int = 0, parent: int = 0o755) -> list[DirectoryStat]:
    return [
        DirectoryStat("/", 0o40755, 0, 0),
        DirectoryStat("/home", 0o40000 | parent, 0, 0),
        DirectoryStat("/home/site", 0o40000 | mode, uid, gid),
    ]


@pytest.mark.parametrize(
    "directories",
    [
        chain(0o755),
        chain(0o005),
        chain(0o500, uid=1000),
        chain(0o050, gid=1000),
        chain(0o050, gid=50),
        chain(0o755, parent=0o711),
    ],
)
def test_directory_that_the_user_can_read_and_enter_is_fine(directories: list[DirectoryStat]) -> None:
    assert obstacle(ALICE, directories) is None


@pytest.mark.parametrize(
    "directories",
    [
        chain(0o700),
        chain(0o711),
        chain(0o744),
        chain(0o077, uid=1000),  # the owner's bits count for the owner, even if others have more
        chain(0o705, gid=50),
    ],
)
def test_directory_that_the_user_cannot_read_is_named_with_the_remedy(
    directories: list[DirectoryStat],
) -> None:
    problem = obstacle(ALICE, directories)

    assert problem is not None
    assert "the user alice cannot read /home/site" in problem
    assert "chmod o+rx /home/site" in problem
    assert "--user" in problem


def test_parent_that_the_user_cannot_enter_is_named() -> None:
    problem = obstacle(ALICE, chain(0o755, parent=0o700))

    assert problem == (
        "the user alice cannot enter /home (mode 0700): "
        "run `chmod o+x /home`, or name another user with --user"
    )


def test_root_can_read_everything() -> None:
    assert obstacle(Account("root", 0, 0), chain(0o000, parent=0o000)) is None
