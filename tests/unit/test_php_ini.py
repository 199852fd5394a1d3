"""Ini settings as text: PHP itself says what it reads there."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraal.php import ini

PHP = shutil.which("php8.2") or shutil.which("php") or "php"

# Values that an ini file gives a meaning to, unless they are quoted well.
SPECIAL = [
    "",
    "plain",
    "with space",
    " around ",
    "'",
    '"',
    "''",
    "it's",
    'say "hello"',
    "'\"'\"'",
    "\\",
    "ends with \\",
    "C:\\new\\table",
    "\\'",
    "\\\\'\"",
    "${HOME}",
    "it's ${HOME}",
    "$HOME",
    "a;b",
    "a#b",
    "first\nsecond",
    "first\r\nsecond=2",
    "x\nextension=evil.so",
    "'\nextension=evil.so\n'",
    "a=b",
    "E_ALL & ~E_NOTICE",
    "on",
    "none",
    "null",
    "1K",
    "[section]",
    "(1|2)^!~",
    "käse",
    "\t",
]


def read(text: str) -> dict[str, str]:
    """What PHP makes of the text of an ini file."""
    code = "echo json_encode(parse_ini_string(stream_get_contents(STDIN), false, INI_SCANNER_NORMAL));"
    done = subprocess.run([PHP, "-n", "-r", code], input=text.encode(), capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_php_reads_every_pool_value_as_it_was_written() -> None:
    values = {f"name{number}": value for number, value in enumerate(SPECIAL)}

    text = ini.entries((), [(name, value, False) for name, value in values.items()])

    assert read(text) == values


@given(
    st.lists(st.text(st.sampled_from("'\"\\${}[];#\n\r =a0|&~^()!%@"), max_size=12), min_size=50, max_size=50)
)
@settings(max_examples=10, deadline=None)
def test_php_reads_random_pool_values_as_they_were_written(values: list[str]) -> None:
    named = {f"name{number}": value for number, value in enumerate(values)}

    text = ini.entries((), [(name, value, True) for name, value in named.items()])

    assert read(text) == named


@pytest.mark.parametrize(
    "define",
    [
        "kraal.test=/a:/b",
        "kraal.test=.:/a b",
        "kraal.test=plain;comment",
        'kraal.test="quoted; text"',
        "kraal.test='single; text'",
        "kraal.test=${PHPINI_TEST}/x",
        'kraal.test=.\\"a',
        "kraal.test=.a\\b",
        "kraal.test=",
        "kraal.test",
        "kraal.test=äh;noch",
        "kraal.test=E_ALL & ~E_NOTICE",
        "kraal.test=~E_NOTICE",
        "kraal.test=-1",
    ],
)
def test_define_means_what_php_makes_of_its_own_flag(define: str) -> None:
    name = define.partition("=")[0]
    argv = [PHP, "-n", "-d", define, "-r", f"echo json_encode(get_cfg_var('{name}'));"]
    done = subprocess.run(argv, capture_output=True, check=True, env={"PHPINI_TEST": "/there"})
    theirs = json.loads(done.stdout)

    code = "echo json_encode(parse_ini_string($argv[1], false, INI_SCANNER_NORMAL));"
    argv = [PHP, "-n", "-r", code, ini.entries([define], ())]
    done = subprocess.run(argv, capture_output=True, check=True, env={"PHPINI_TEST": "/there"})
    ours = json.loads(done.stdout)

    assert ours == {name: theirs}


def test_pool_values_come_after_defines_so_that_they_win() -> None:
    text = ini.entries(["precision=3"], [("precision", "9", False)])

    assert read(text) == {"precision": "9"}


def test_nothing_to_set_is_no_text() -> None:
    assert ini.entries((), ()) == ""
