"""Messages to a master that is slow, stopped or gone."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.unix.channel import Channel, Kind
from kraal.unix.loop import Loop
from kraal.unix.outbox import Backlog, Outbox


def explain(lines: int) -> tuple[Kind, bytes]:
    return Kind.LOG, b"%d dropped" % lines


def take_all(backlog: Backlog) -> list[tuple[Kind, bytes]]:
    taken = []
    while backlog:
        taken.append(backlog.first())
        backlog.sent()
    return taken


@pytest.fixture
def ends(loop: Loop) -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    loop.watch(ours.fileno(), lambda: None)
    yield ours, theirs
    ours.close()
    theirs.close()


# ---------------------------------------------------------------- backlog


def test_messages_stay_in_their_order() -> None:
    backlog = Backlog(1000, explain)
    for text in (b"one", b"two", b"three"):
        backlog.put(Kind.LOG, text)

    assert [payload for _kind, payload in take_all(backlog)] == [b"one", b"two", b"three"]
    assert not backlog


def test_what_does_not_fit_is_dropped_and_told_where_it_is_missing() -> None:
    backlog = Backlog(100, explain)
    backlog.put(Kind.LOG, b"a" * 90)
    backlog.put(Kind.LOG, b"b" * 90)
    backlog.put(Kind.OUTPUT, b"one\ntwo\nthree\n" * 10, lines=30)
    backlog.put(Kind.LOG, b"")

    assert take_all(backlog) == [(Kind.LOG, b"a" * 90), (Kind.LOG, b"32 dropped")]


def test_what_was_dropped_is_told_before_what_fits_again() -> None:
    backlog = Backlog(150, explain)
    backlog.put(Kind.LOG, b"a" * 100)
    backlog.put(Kind.LOG, b"b")
    backlog.put(Kind.LOG, b"c" * 100)
    assert backlog.first()[1] == b"a" * 100
    backlog.sent()
    backlog.put(Kind.LOG, b"d")

    assert [payload for _kind, payload in take_all(backlog)] == [b"2 dropped", b"d"]


def test_full_backlog_takes_more_when_it_is_half_empty() -> None:
    backlog = Backlog(1000, explain)
    for _ in range(11):
        backlog.put(Kind.LOG, b"a" * 36)
    backlog.sent()
    backlog.put(Kind.LOG, b"too early")
    for _ in range(5):
        backlog.sent()
    backlog.put(Kind.LOG, b"b")

    assert [payload for _kind, payload in take_all(backlog)][-2:] == [b"2 dropped", b"b"]


def test_what_is_no_line_of_the_log_is_never_dropped() -> None:
    backlog = Backlog(100, explain)
    backlog.put(Kind.LOG, b"a" * 90)
    backlog.put(Kind.LOG, b"b" * 90)
    backlog.put(Kind.READY, b"")

    assert Kind.READY in {kind for kind, _payload in take_all(backlog)}


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=60))
def test_every_line_is_sent_or_counted(steps: list[tuple[int, bool]]) -> None:
    backlog = Backlog(1000, explain)
    taken = []
    for size, take in steps:
        backlog.put(Kind.LOG, b"x" * size)
        if take and backlog:
            taken.append(backlog.first())
            backlog.sent()
    taken += take_all(backlog)

    lines = sum(1 for _kind, payload in taken if payload.startswith(b"x"))
    dropped = sum(int(payload.split()[0]) for _kind, payload in taken if payload.endswith(b"dropped"))
    assert lines + dropped == len(steps)


# ---------------------------------------------------------------- outbox


def test_message_is_sent_at_once_if_there_is_room(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    Outbox(ours, loop, explain).send(Kind.LOG, b"text")

    assert list(theirs.receive()) == [(Kind.LOG, b"text")]


def test_no_message_is_lost_while_the_master_does_not_read(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    outbox = Outbox(ours, loop, explain)
    messages = [(Kind.OUTPUT, b"%d" % number * 1000) for number in range(2000)]
    for kind, payload in messages:
        outbox.send(kind, payload)
    received: list[tuple[int, bytes]] = []

    def read() -> None:
        received.extend(theirs.receive())
        if len(received) >= len(messages):
            loop.stop()

    loop.watch(theirs.fileno(), read)
    loop.run()

    assert received == messages
    assert loop._writers == {}


def test_master_that_never_reads_costs_a_bounded_memory(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    outbox = Outbox(ours, loop, explain, most=100_000)
    for _ in range(1000):
        outbox.send(Kind.LOG, b"x" * 1000)
    loop.watch(theirs.fileno(), lambda: received.extend(theirs.receive()))
    received: list[tuple[int, bytes]] = []
    loop.call_later(0.2, loop.stop)
    loop.run()

    lines = [payload for _kind, payload in received if payload.startswith(b"x")]
    told = [payload for _kind, payload in received if payload.endswith(b"dropped")]
    assert len(lines) + sum(int(payload.split()[0]) for payload in told) == 1000


def test_flush_does_not_wait_for_ever(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, _theirs = ends
    outbox = Outbox(ours, loop, explain)
    for _ in range(1000):
        outbox.send(Kind.LOG, b"x" * 1000)

    outbox.flush(0.05)


def test_master_that_is_gone_is_nobody_to_wait_for(loop: Loop, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    outbox = Outbox(ours, loop, explain)
    for _ in range(1000):
        outbox.send(Kind.LOG, b"x" * 1000)
    theirs.close()

    outbox.flush(60)
    outbox.send(Kind.LOG, b"x")
