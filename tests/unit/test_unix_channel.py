"""Messages between master and manager."""

import os
from collections.abc import Iterator

import pytest

from kraal.unix.channel import MAX_MESSAGE, Channel, Kind, Output

Ends = tuple[Channel, Channel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    a, b = Channel.pair()
    yield a, b
    a.close()
    b.close()


def test_messages_arrive_one_by_one_in_their_order(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.LOG, b"\x02first\n")
    a.send(Kind.READY)
    a.send(Kind.LOG, b"")

    assert list(b.receive()) == [(Kind.LOG, b"\x02first\n"), (Kind.READY, b""), (Kind.LOG, b"")]


def test_nothing_sent_is_nothing_received(ends: Ends) -> None:
    assert list(ends[0].receive()) == []


def test_both_ends_speak(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.QUIT)
    b.send(Kind.READY)

    assert list(a.receive()) == [(Kind.READY, b"")]
    assert list(b.receive()) == [(Kind.QUIT, b"")]


def test_end_is_told_after_the_last_message(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.LOG, b"last words")
    a.close()
    received: list[tuple[int, bytes]] = []

    with pytest.raises(EOFError):
        received.extend(b.receive())  # extend() keeps what came before the error
    assert received == [(Kind.LOG, b"last words")]


def test_end_is_told_again_and_again(ends: Ends) -> None:
    a, b = ends
    a.close()
    for _ in range(2):
        with pytest.raises(EOFError):
            list(b.receive())


def test_message_that_is_too_long_is_cut(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.LOG, b"x" * 100_000)

    assert list(b.receive()) == [(Kind.LOG, b"x" * (MAX_MESSAGE - 1))]


def test_longer_message_of_a_foreign_peer_is_cut_and_the_next_one_is_whole(ends: Ends) -> None:
    a, b = ends
    a._socket.send(bytes([Kind.LOG]) + b"x" * 50_000)
    a.send(Kind.READY)

    messages = list(b.receive())

    assert [len(payload) for _kind, payload in messages] == [MAX_MESSAGE - 1, 0]
    assert messages[1] == (Kind.READY, b"")


def test_empty_message_of_a_foreign_peer_counts_as_its_end(ends: Ends) -> None:
    a, b = ends
    a._socket.send(b"")

    with pytest.raises(EOFError):
        list(b.receive())


def test_kind_that_nobody_knows_is_handed_on_as_a_number(ends: Ends) -> None:
    a, b = ends
    a._socket.send(b"\xfestrange")

    assert list(b.receive()) == [(0xFE, b"strange")]


def test_peer_that_is_gone_has_no_use_for_a_message(ends: Ends) -> None:
    a, b = ends
    b.close()

    a.send(Kind.READY)
    a.offer(Kind.QUIT)


def test_peer_that_left_messages_unread_is_gone_like_any_other(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.QUIT)
    b.close()

    with pytest.raises(EOFError):
        list(a.receive())


def test_offer_does_not_wait_for_a_peer_that_does_not_read(ends: Ends) -> None:
    a, b = ends
    for _ in range(10_000):
        a.offer(Kind.QUIT)

    assert set(b.receive()) == {(Kind.QUIT, b"")}


def test_offer_tells_whether_there_was_room(ends: Ends) -> None:
    a, b = ends
    sent = 0
    while a.offer(Kind.LOG, b"x" * 1000):
        sent += 1

    assert len(list(b.receive())) == sent
    assert a.offer(Kind.LOG, b"again")
    assert list(b.receive()) == [(Kind.LOG, b"again")]


@pytest.mark.parametrize("closed", [True, False])
def test_output_comes_back_as_it_was(closed: bool) -> None:
    output = Output(2, 4_000_000, b"\x00text\n", closed=closed)

    assert Output.from_bytes(output.to_bytes()) == output


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x02\x00\x00\x00\x00"])
def test_payload_that_is_too_short_is_no_output(payload: bytes) -> None:
    assert Output.from_bytes(payload) is None


def test_most_text_of_an_output_fits_a_message(ends: Ends) -> None:
    a, b = ends
    a.send(Kind.OUTPUT, Output(1, 1, b"x" * Output.MOST_TEXT).to_bytes())

    ((_kind, payload),) = b.receive()
    assert Output.from_bytes(payload) == Output(1, 1, b"x" * Output.MOST_TEXT)


# ---------------------------------------------------------------- descriptors


def test_descriptor_comes_along_with_its_message(ends: Ends) -> None:
    a, b = ends
    reader, writer = os.pipe()
    a.send(Kind.QUIT)
    assert a.hand(Kind.FILE, writer)
    os.close(writer)

    (first, second) = b.receive_all()
    assert first == (Kind.QUIT, b"", [])
    assert second[:2] == (Kind.FILE, b"")
    (found,) = second[2]
    assert not os.get_inheritable(found)
    os.write(found, b"x")
    os.close(found)
    assert os.read(reader, 2) == b"x"
    os.close(reader)


def test_descriptor_of_whoever_is_not_trusted_is_not_taken(ends: Ends) -> None:
    a, b = ends
    before = len(os.listdir("/proc/self/fd"))
    a.hand(Kind.FILE, 0)

    assert list(b.receive()) == [(Kind.FILE, b"")]
    assert len(os.listdir("/proc/self/fd")) == before


def test_peer_without_room_is_not_waited_for(ends: Ends) -> None:
    a, _b = ends
    handed = 0
    while a.hand(Kind.FILE, 0):
        handed += 1

    assert handed > 10


def test_end_is_told_where_descriptors_are_taken_as_well(ends: Ends) -> None:
    a, b = ends
    a.close()

    with pytest.raises(EOFError):
        list(b.receive_all())
    # It has no use for one.
    assert b.hand(Kind.FILE, 0)
