"""Pools finish speaking before the master goes on."""

from collections.abc import Iterator

import pytest

from kraal.master.hearing import Hearing
from kraal.unix.channel import Channel, Kind
from kraal.unix.loop import Loop
from kraal.unix.process import Pid


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_without_managers_nothing_is_waited_for(loop: Loop) -> None:
    seen: list[str] = []
    Hearing(loop).hold([], lambda: seen.append("then"))

    assert seen == ["then"]


def test_every_manager_is_waited_for(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    seen: list[str] = []
    hearing = Hearing(loop)
    hearing.hold([(Pid(1), ours), (Pid(2), ours)], lambda: seen.append("then"))

    assert list(theirs.receive()) == [(Kind.SPEAK, b"")] * 2
    hearing.heard(Pid(1))
    assert seen == []
    hearing.heard(Pid(2))
    assert seen == ["then"]
    hearing.heard(Pid(2))
    assert seen == ["then"]


def test_manager_that_does_not_answer_is_not_waited_for_long(
    loop: Loop, ends: tuple[Channel, Channel]
) -> None:
    Hearing(loop).hold([(Pid(1), ends[0])], loop.stop)

    loop.run()


def test_next_signal_does_not_wait_behind_the_last(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    seen: list[str] = []
    hearing = Hearing(loop)
    hearing.hold([(Pid(1), ends[0])], lambda: seen.append("first"))
    hearing.hold([(Pid(1), ends[0])], lambda: seen.append("second"))
    assert seen == ["first"]

    hearing.heard(Pid(1))
    assert seen == ["first", "second"]
