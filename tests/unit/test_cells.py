"""Texts and figures take the cells that they are given, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.top import cells


@given(text=st.text(max_size=50), size=st.integers(0, 40), right=st.booleans())
def test_text_takes_exactly_its_cells(text: str, size: int, right: bool) -> None:
    assert cells.width(cells.fit(cells.plain(text), size, right=right)) == size


@given(text=st.text(max_size=50))
def test_plain_text_is_visible_and_obeyed_by_no_terminal(text: str) -> None:
    plain = cells.plain(text)
    assert all(each.isprintable() or each == "\u3000" or each.isspace() for each in plain)
    assert not set(plain) & {chr(code) for code in (*range(32), *range(0x7F, 0xA0))}
    plain.encode()


@pytest.mark.parametrize(
    ("text", "plain", "width"),
    [
        ("/index.php", "/index.php", 10),
        ("\x1b[2J\x07", "�[2J�", 5),
        ("日本", "日本", 4),
        ("e\u0301", "é", 1),
        ("q\u0301", "q�", 2),
        ("\u202egnp", "�gnp", 4),
        ("\udcff", "�", 1),
        ("a\u00adb\ufe0f", "a�b�", 4),
    ],
)
def test_letters_have_a_known_width(text: str, plain: str, width: int) -> None:
    assert (cells.plain(text), cells.width(cells.plain(text))) == (plain, width)


@pytest.mark.parametrize(
    ("text", "size", "right", "expected"),
    [
        ("abc", 5, False, "abc  "),
        ("abc", 5, True, "  abc"),
        ("abcdef", 4, False, "abc…"),
        ("日本語", 4, False, "日… "),
        ("日本語", 5, False, "日本…"),
        ("abc", 0, False, ""),
        ("abc", 1, False, "…"),
    ],
)
def test_what_is_cut_ends_in_dots(text: str, size: int, right: bool, expected: str) -> None:
    assert cells.fit(text, size, right=right) == expected


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (cells.number, 0, "0"),
        (cells.number, 99_999, "99999"),
        (cells.number, 123_456, "123k"),
        (cells.number, 2**64 - 1, "18.4E"),
        (cells.size, 0, "0"),
        (cells.size, 1536, "1.5k"),
        (cells.size, 1000 * 1024, "1.0M"),
        (cells.size, 2**64, "16.0E"),
        (cells.one_place, 0.04, "0.0"),
        (cells.one_place, 999.9, "999.9"),
        (cells.one_place, 1234.5, "1234"),
        (cells.duration, 0.0, "0.00s"),
        (cells.duration, 59.99, "59.99s"),
        (cells.duration, 59.999, "1m00s"),
        (cells.duration, 3599.4, "59m59s"),
        (cells.duration, 3600, "1h00m"),
        (cells.duration, 90_000, "1d01h"),
        (cells.duration, 1e300, "9999d"),
    ],
)
def test_figures_are_short(form: object, value: float, expected: str) -> None:
    assert callable(form)
    assert form(value).startswith(expected)
    assert len(form(value)) <= 6
