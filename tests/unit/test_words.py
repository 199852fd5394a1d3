"""The arguments of subcommands."""

import pytest

from kraal.command.words import Words
from kraal.errors import UsageError

OPTIONS = ("--pool", "--seconds")


def test_our_options_are_taken_out_and_the_rest_is_php_fpm_s() -> None:
    words = Words(["--pool", "www", "-y", "a.conf", "--seconds=3", "-h"], values=OPTIONS)

    assert words.rest == ["-y", "a.conf", "-h"]
    assert words.value("--pool") == "www"
    assert words.amount("--seconds", 10, most=60) == 3
    assert words.number() is None


def test_number_by_itself_is_a_process_and_one_behind_a_flag_is_not() -> None:
    words = Words(["-g", "17", "4711"], values=OPTIONS)

    assert words.number() == 4711
    assert words.rest == ["-g", "17"]


@pytest.mark.parametrize("text", ["0", "-1", "61", "nan", "inf", "x", ""])
def test_amount_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seconds"):
        Words([f"--seconds={text}"], values=OPTIONS).amount("--seconds", 10, most=60)


def test_option_without_its_value_and_a_second_number_are_refused() -> None:
    with pytest.raises(UsageError, match="--pool requires"):
        Words(["--pool"], values=OPTIONS)
    with pytest.raises(UsageError, match="unexpected argument: 2"):
        Words(["1", "2"], values=OPTIONS).number()


def test_switches_are_taken_out_too() -> None:
    words = Words(["--json", "-y", "a.conf"], switches=("--json", "--once"))

    assert words.rest == ["-y", "a.conf"]
    assert words.has("--json")
    assert not words.has("--once")
