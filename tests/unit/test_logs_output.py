"""What workers print, made into text for the log: held, ended and never cut in the wrong place."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.logs.output import END_OF_REQUEST, MOST_HELD, Said, Stream, WorkerOutput

OUT, ERR = Stream.STDOUT, Stream.STDERR


def said(*chunks: bytes, buffering: bool = True, close: bool = False) -> bytes:
    """What the chunks on standard error come to."""
    output = WorkerOutput(buffering=buffering)
    pieces = [piece for chunk in chunks for piece in output.feed(ERR, chunk)]
    pieces += output.close(ERR) if close else []
    return b"".join(piece.text for piece in pieces)


def shown(text: bytes) -> list[bytes]:
    """The lines of a text, without the empty ones, which are nothing to log."""
    return [line for line in text.split(b"\n") if line]


def cuts(content: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[start:end] for start, end in pairwise(edges) if start < end]


def bytewise(content: bytes) -> list[bytes]:
    return [content[at : at + 1] for at in range(len(content))]


# ---------------------------------------------------------------- whole lines


def test_line_is_passed_on_with_its_end() -> None:
    assert said(b"one\ntwo\n") == b"one\ntwo\n"


def test_line_waits_for_its_end() -> None:
    output = WorkerOutput(buffering=True)

    assert output.feed(ERR, b"hel") == []
    assert output.pending
    assert output.feed(ERR, b"lo\nwor") == [Said(ERR, b"hello\n")]
    assert output.feed(ERR, b"ld\n") == [Said(ERR, b"world\n")]
    assert not output.pending


def test_without_buffering_nothing_waits() -> None:
    output = WorkerOutput(buffering=False)

    assert output.feed(ERR, b"hel") == [Said(ERR, b"hel")]
    assert output.pending
    assert output.feed(ERR, b"lo\n") == [Said(ERR, b"lo\n")]
    assert not output.pending


def test_empty_lines_are_nothing_to_pass_on() -> None:
    output = WorkerOutput(buffering=True)

    assert output.feed(ERR, b"\n\n") == []
    assert output.feed(ERR, b"\n" + END_OF_REQUEST) == []


def test_lines_are_counted_without_empty_ones() -> None:
    assert [Said(ERR, text).lines for text in (b"", b"\n", b"a", b"a\n\nb\nc")] == [0, 0, 1, 3]


def test_bytes_are_not_changed() -> None:
    assert said(b"\xff\x00\x1b[31m\r\n") == b"\xff\x00\x1b[31m\r\n"


def test_line_that_does_not_end_is_passed_on_in_parts() -> None:
    output = WorkerOutput(buffering=True)

    assert output.feed(ERR, b"x" * MOST_HELD) == [Said(ERR, b"x" * MOST_HELD)]
    assert output.feed(ERR, b"y\n") == [Said(ERR, b"y\n")]


@pytest.mark.parametrize("character", ["é", "€", "😀"])
@pytest.mark.parametrize("buffering", [True, False])
def test_part_does_not_end_inside_a_character(character: str, buffering: bool) -> None:
    encoded = character.encode()
    output = WorkerOutput(buffering=buffering)
    text = b"x" * MOST_HELD

    assert output.feed(ERR, text + encoded[:-1]) == [Said(ERR, text)]
    assert said(text + encoded[:-1], encoded[-1:] + b"\n", buffering=buffering) == text + encoded + b"\n"


def test_bytes_that_are_no_character_do_not_wait_for_one() -> None:
    assert said(b"\x80\x80\x80\x80", buffering=False) == b"\x80\x80\x80\x80"


# ---------------------------------------------------------------- the end of a request


def test_end_of_a_request_ends_the_line_and_is_cut_out() -> None:
    assert said(b"text" + END_OF_REQUEST) == b"text\n"
    assert said(b"one" + END_OF_REQUEST + b"two" + END_OF_REQUEST) == b"one\ntwo\n"


def test_end_of_a_request_after_a_whole_line_is_nothing() -> None:
    assert shown(said(b"text\n" + END_OF_REQUEST + b"more\n")) == [b"text", b"more"]


@pytest.mark.parametrize("chunks", [bytewise, lambda content: cuts(content, [1023])])
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a" * 1022 + END_OF_REQUEST, [b"a" * 1022]),
        (
            b"a" * 1013 + b"Quarkslab" + END_OF_REQUEST + b"Quarkslab\n",
            [b"a" * 1013 + b"Quarkslab", b"Quarkslab"],
        ),
        (
            b"a" * 1009 + b"Quarkslab" + END_OF_REQUEST + b"Quarkslab\n",
            [b"a" * 1009 + b"Quarkslab", b"Quarkslab"],
        ),
        (b"a" * 1021 + b"\0fabc\n", [b"a" * 1021 + b"\0fabc"]),
        (b"msg 1\nmsg 2\nmsg 3" + END_OF_REQUEST, [b"msg 1", b"msg 2", b"msg 3"]),
        (b"\0\0fscf\0\n", [b"\0"]),
    ],
)
def test_mark_is_found_across_chunks(chunks: object, content: bytes, lines: list[bytes]) -> None:
    assert callable(chunks)
    assert shown(said(*chunks(content))) == lines


def test_what_only_begins_like_the_mark_is_text() -> None:
    output = WorkerOutput(buffering=False)

    assert output.feed(ERR, b"a\0fsc") == [Said(ERR, b"a")]
    assert output.pending
    assert output.feed(ERR, b"x\n") == [Said(ERR, b"\0fscx\n")]


@given(
    parts=st.lists(
        st.sampled_from([b"a", b"\n", b"\0", b"\0f", b"fscf\0", END_OF_REQUEST, b"x" * 3000, "é".encode()]),
        max_size=20,
    ),
    places=st.lists(st.integers(min_value=0, max_value=100_000), max_size=10),
    buffering=st.booleans(),
)
def test_cuts_do_not_change_the_lines(parts: list[bytes], places: list[int], buffering: bool) -> None:
    content = b"".join(parts)
    expected = shown(content.replace(END_OF_REQUEST, b"\n"))

    assert shown(said(*cuts(content, places), buffering=buffering, close=True)) == expected


# ---------------------------------------------------------------- two streams, and their ends


def test_change_of_the_stream_ends_the_line() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(OUT, b"msg 1 - ")

    assert output.feed(ERR, b"msg 2") == [Said(OUT, b"msg 1 - \n")]
    assert output.feed(OUT, b"msg 3\n") == [Said(ERR, b"msg 2\n"), Said(OUT, b"msg 3\n")]


def test_change_of_the_stream_ends_a_line_that_was_passed_on_in_part() -> None:
    output = WorkerOutput(buffering=False)
    output.feed(OUT, b"part")

    assert output.feed(ERR, b"text\n") == [Said(OUT, b"\n"), Said(ERR, b"text\n")]


def test_end_of_a_request_ends_what_was_printed_too() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(OUT, b"printed")

    assert output.feed(ERR, END_OF_REQUEST) == [Said(OUT, b"printed\n")]


def test_closing_ends_the_line_and_says_so() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(ERR, b"last words")

    assert output.close(ERR) == [Said(ERR, b"last words", closed=True)]
    assert output.close(ERR) == []
    assert not output.pending


def test_closing_after_a_whole_line_is_nothing() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(ERR, b"last words\n")

    assert output.close(ERR) == []


def test_closing_one_stream_leaves_the_line_of_the_other() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(ERR, b"text")

    assert output.close(OUT) == []
    assert output.feed(ERR, b"\n") == [Said(ERR, b"text\n")]


def test_closing_shows_what_began_like_the_mark() -> None:
    output = WorkerOutput(buffering=True)
    output.feed(ERR, b"a\0fscf")

    assert output.close(ERR) == [Said(ERR, b"a\0fscf", closed=True)]
