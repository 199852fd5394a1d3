"""How many residents are started, and who leaves."""

from kraal.manager.residency import Plan, Source, Stage, plan
from kraal.worker.news import Item, Kind

BOOTING, UP, DUE, LEAVING = Stage.BOOTING, Stage.UP, Stage.DUE, Stage.LEAVING


def of(*stages: Stage) -> list[tuple[int, Stage]]:
    return list(enumerate(stages, start=1))


def test_as_many_are_started_as_are_missing() -> None:
    assert plan(3, []) == Plan(start=3)
    assert plan(3, of(UP, BOOTING)) == Plan(start=1)
    assert plan(3, of(UP, UP, UP)) == Plan()
    assert plan(2, of(UP, LEAVING)) == Plan(start=1)


def test_one_that_is_due_goes_on_until_another_is_up() -> None:
    assert plan(2, of(UP, DUE)) == Plan(start=1)
    assert plan(2, of(UP, DUE, BOOTING)) == Plan()
    assert plan(2, of(UP, DUE, UP)) == Plan(leave=(2,))


def test_those_that_are_due_are_replaced_one_after_the_other() -> None:
    assert plan(3, of(DUE, DUE, DUE)) == Plan(start=1)
    assert plan(3, of(DUE, DUE, DUE, BOOTING)) == Plan()
    assert plan(3, of(DUE, DUE, DUE, UP)) == Plan(leave=(1,))
    # There is room for one more than wanted, and who leaves takes it.
    assert plan(3, of(LEAVING, DUE, DUE, UP)) == Plan()
    assert plan(3, of(DUE, DUE, UP)) == Plan(start=1)


def test_who_dies_is_replaced_before_those_that_are_due() -> None:
    assert plan(3, of(DUE, UP)) == Plan(start=1)


def test_more_than_there_is_room_for_wait_until_others_have_left() -> None:
    assert plan(3, of(LEAVING, LEAVING, LEAVING)) == Plan(start=1)
    assert plan(3, of(LEAVING, LEAVING, BOOTING)) == Plan(start=1)
    assert plan(1, of(LEAVING, LEAVING)) == Plan()


def test_nobody_is_started_before_there_is_a_zygote_to_fork_off() -> None:
    assert plan(2, [], Source.NOTHING) == Plan(boot_zygote=True)
    assert plan(2, [], Source.BOOTING) == Plan()
    assert plan(2, [], Source.ZYGOTE) == Plan(start=2)


def test_residents_go_on_without_a_zygote() -> None:
    assert plan(2, of(UP, DUE), Source.NOTHING) == Plan(boot_zygote=True)
    assert plan(2, of(UP, DUE, UP), Source.BOOTING) == Plan(leave=(2,))


def test_news_are_read_as_they_were_told() -> None:
    told = Item(42, Kind.FAILED, "the gate is broken")
    assert Item.from_bytes(told.to_bytes()) == told


def test_what_is_no_news_is_none() -> None:
    assert Item.from_bytes(b"") is None
    assert Item.from_bytes(b"\0\0\0\1\xff") is None
