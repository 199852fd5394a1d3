"""The scoreboards of the pools, from manager to manager."""

import os
import resource
from collections.abc import Iterator

import pytest

from kraal.config.model import Pool
from kraal.errors import Place
from kraal.master.scoreboards import Boards
from kraal.memory.scoreboard import fresh_header, size_for

POOL = Pool(name="www", at=Place("pool.conf"), listen="/nowhere/fpm.sock", pm_max_children=3)
NOW = 1_000_000
NOBODY: frozenset[int] = frozenset()


@pytest.fixture
def boards() -> Iterator[Boards]:
    boards = Boards(NOW)
    yield boards
    for each in boards.all():
        os.close(each.fd)


def inode(fd: int) -> int:
    return os.fstat(fd).st_ino


def test_fresh_one_has_room_for_all_workers_and_says_since_when_the_pool_is_served(boards: Boards) -> None:
    fd = boards.provide(POOL, "as it is", NOBODY)

    assert os.fstat(fd).st_size == size_for(3)
    assert os.pread(fd, size_for(0), 0) == fresh_header(3, NOW)


@pytest.mark.parametrize(
    ("fingerprint", "busy", "same"),
    [("as it is", NOBODY, True), ("changed", NOBODY, False), ("as it is", frozenset({7}), False)],
    ids=["the next manager", "a pool that was changed", "the last manager lives"],
)
def test_next_manager_gets_that_of_the_last_one_if_it_can(
    boards: Boards, fingerprint: str, busy: frozenset[int], same: bool
) -> None:
    first = inode(boards.provide(POOL, "as it is", NOBODY))
    boards.use("www", 7)

    assert (inode(boards.provide(POOL, fingerprint, busy)) == first) is same
    assert len(boards.all()) == 1


def test_workers_that_a_manager_left_behind_keep_theirs_to_themselves(boards: Boards) -> None:
    fd = boards.provide(POOL, "as it is", NOBODY)
    first = inode(fd)
    boards.use("www", 7)
    boards.replace_of(8)
    assert inode(boards.all()[0].fd) == first

    boards.replace_of(7)

    (board,) = boards.all()
    assert inode(board.fd) != first
    assert os.fstat(board.fd).st_size == size_for(3)
    assert os.pread(board.fd, size_for(0), 0) == fresh_header(3, NOW)
    assert inode(boards.provide(POOL, "as it is", NOBODY)) == inode(board.fd)


def test_without_descriptors_the_next_manager_begins_from_zero(boards: Boards) -> None:
    boards.provide(POOL, "as it is", NOBODY)
    boards.use("www", 7)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        boards.replace_of(7)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert not boards.all()
    assert os.pread(boards.provide(POOL, "as it is", NOBODY), size_for(0), 0) == fresh_header(3, NOW)
