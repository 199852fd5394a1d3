"""The ledgers of the pools, from master to master."""

import os
from collections.abc import Iterator

import pytest

from kraal.master.ledgers import Ledgers
from kraal.memory import ledger
from kraal.reload.estate import Ledger


@pytest.fixture
def ledgers() -> Iterator[Ledgers]:
    ledgers = Ledgers()
    yield ledgers
    for each in ledgers.all():
        os.close(each.fd)


def test_all_managers_of_a_pool_get_the_same(ledgers: Ledgers) -> None:
    first = ledgers.provide("www")

    assert ledgers.provide("www") == first != ledgers.provide("shop")
    assert os.pread(first, ledger.SIZE + 1, 0) == ledger.fresh()


def test_those_of_another_master_take_the_place_of_ours_where_there_is_such_a_pool(ledgers: Ledgers) -> None:
    ours = ledgers.provide("www")
    theirs, gone = (os.memfd_create(name) for name in ("www", "gone"))

    ledgers.take([Ledger(pool="gone", fd=gone), Ledger(pool="www", fd=theirs)], {"www", "shop"})

    assert ledgers.all() == (Ledger(pool="www", fd=theirs),)
    for closed in (ours, gone):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)
