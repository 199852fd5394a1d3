"""The INI dialect: what PHP's parser makes of a line is what ours makes of it."""

import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.config.ini import Entry, Fault, Item, Section, parse
from kraal.errors import Place

ENVIRON = {"HOME": "/home/x", "EMPTY": ""}
PHP = shutil.which("php8.2")


def read(text: str) -> list[Item]:
    return list(parse(text, "f.conf", ENVIRON))


def value(text: str) -> str:
    [item] = read(f"name = {text}")
    assert isinstance(item, Entry)
    return item.value


def test_entries_and_sections_carry_file_and_line() -> None:
    assert read("; first\n\n[www]\n  pm.max_children =  5  ; five\n") == [
        Section("www", Place("f.conf", 3)),
        Entry("pm.max_children", "5", Place("f.conf", 4)),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        ("two  words ", "two  words"),
        ("/run/php/x.sock", "/run/php/x.sock"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ('"in ; quotes"  ; comment', "in ; quotes"),
        ("'single \\\" quotes'", 'single \\" quotes'),
        ('a "b" c', "abc"),
        ('"say \\"x\\" \\$ \\\\ \\n"', 'say "x" $ \\ \\n'),
        ('"C:\\dir\\"', "C:\\dir\\"),
        ("yes", "1"),
        ("On ", "1"),
        ("TRUE", "1"),
        ("no", ""),
        ("none", ""),
        ("off", ""),
        ("null", ""),
        ("", ""),
        ("'yes'", "yes"),
        ("nobody", "nobody"),
        ("E_ALL", "32767"),
        ("E_ALL & ~E_NOTICE", "32759"),
        ("1 | 2 | 4", "7"),
        ("6 ^ 3", "5"),
        ("!1", "0"),
        ("~(1|2)&7", "4"),
        ("3000000000|0", "-1294967296"),
        ("e_all", "e_all"),
        ("${HOME}/run", "/home/x/run"),
        ('"${ HOME }"', "/home/x"),
        ("x${UNKNOWN}y", "xy"),
        ("'${HOME}'", "${HOME}"),
        ("$pool", "$pool"),
        ("$HOME", "$HOME"),
        ("it's", "it"),
    ],
)
def test_a_value_means_what_it_means_to_php(written: str, meant: str) -> None:
    assert value(written) == meant


@pytest.mark.parametrize(
    ("line", "name", "key"),
    [
        ("env[PATH] = x", "env", "PATH"),
        ("php_value[ date.timezone ] = x", "php_value", "date.timezone "),
        ("access.suppress_path[] = x", "access.suppress_path", ""),
        ("env['A B'] = x", "env", "A B"),
        ("env[${EMPTY}] = x", "env", ""),
    ],
)
def test_brackets_hold_the_key(line: str, name: str, key: str) -> None:
    assert read(line) == [Entry(name, "x", Place("f.conf", 1), key)]


def test_carriage_returns_and_byte_order_mark_do_not_count() -> None:
    items = read("\ufeff[www]\r\n\r\n; x\r\nlisten = 9000\r\n")

    assert items == [Section("www", Place("f.conf", 1)), Entry("listen", "9000", Place("f.conf", 4))]


@pytest.mark.parametrize(
    "line",
    [
        "# no comment",
        "lonely",
        "= value",
        "a = b = c",
        'a = "open',
        "a = ${open",
        "a = yes no",
        "a = (1",
        "a = " + "(" * 5000,
        "a = " + "~" * 5000 + "1",
        "[open",
        " [indented]",
        "env[open = x",
        "&",
    ],
)
def test_a_mistake_is_one_fault_on_its_line_and_the_next_line_is_read(line: str) -> None:
    items = read(f"{line}\nok = 1")

    assert [item.at.line for item in items if isinstance(item, Fault)] == [1]
    assert items[-1] == Entry("ok", "1", Place("f.conf", 2))


def test_a_quoted_value_ends_on_its_line_as_in_php_fpm() -> None:
    first, *rest = read('a = "one\ntwo"')

    assert isinstance(first, Fault)
    assert "does not end on its line" in first.message
    assert all(isinstance(item, Fault) for item in rest)


@given(st.text() | st.text(alphabet="ab ='\"[]${}\\;&|~!()\n\r\t\0é1E_ALLyesno"))
def test_no_text_raises(text: str) -> None:
    for item in read(text):
        assert item.at.file == "f.conf"


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "'",
        '"',
        "a=",
        "${",
        "[",
        "]",
        "((",
        "1|",
        "$\\",
        "\\",
        "\t;",
        "a b ",
        "\r",
        "${HOME}",
        "yes ",
    ],
)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    def seconds(length: int) -> float:
        started = time.process_time()
        for prefix in ("", "a = ", "[", "a[", 'a = "'):
            read(prefix + unit * length)
        return time.process_time() - started

    assert seconds(20_000) < 10 * seconds(5_000) + 0.2


NAMES = st.from_regex(r"[a-z][a-z_.]{0,12}[a-z]", fullmatch=True).filter(
    lambda name: name not in {"yes", "no", "on", "off", "none", "null", "true", "false"}
)
KEYS = st.from_regex(r"[A-Z][A-Z_]{0,8}x", fullmatch=True)
VALUES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r\0"))
PLACED = st.tuples(NAMES, st.none() | KEYS, VALUES)


def render(name: str, key: str | None, text: str, style: int) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    space = " " * (style % 3)
    comment = " ; a comment" if style % 2 else ""
    return f'{name}{"" if key is None else f"[{key}]"}{space}={space}"{escaped}"{comment}'


@given(st.lists(st.tuples(PLACED, st.integers(0, 5))), st.sampled_from(["\n", "\r\n"]))
def test_what_is_rendered_is_read_back(
    entries: list[tuple[tuple[str, str | None, str], int]], end: str
) -> None:
    text = "[pool]" + end + "".join(render(*entry, style) + end for entry, style in entries)

    [section, *rest] = read(text)

    assert isinstance(section, Section)
    assert [(item.name, item.key, item.value) for item in rest if isinstance(item, Entry)] == [
        entry for entry, _ in entries
    ]
    assert len(rest) == len(entries)


PIECES = [
    *"a=[]\"';#${}|&^~!()*:,.?@%+-<>/{ \t\r\\",
    *("yes", "no", "On", "NULL", "none", "true", "E_ALL", "PHP_OS", "12", "-3", "1.5", "8.2.1", "  "),
    *(
        "${HOME}",
        "${ NO }",
        '\\"',
        "\\$",
        "/x/y",
        "[]",
        "a[k]=",
        "k = ",
        "[s]",
        "99999999999",
        "3000000000",
        "é",
    ),
]
SHAPES = ("{}", "k = {}", "k = {}", "k[{}] = v", "[{}]", 'k="{}"')
PHP_CODE = """
function flat($a) {
    $o = [];
    foreach ($a as $k => $v) { $o[] = [(string) $k, is_array($v) ? flat($v) : $v]; }
    return $o;
}
$out = [];
foreach (json_decode(stream_get_contents(STDIN)) as $line) {
    $r = @parse_ini_string($line . "\\n", true);
    $out[] = $r === false ? false : flat($r);
}
echo json_encode($out, JSON_INVALID_UTF8_SUBSTITUTE);
"""

Tree = dict[str | int, "str | Tree"]


def as_php_array(items: Iterable[Item]) -> object:
    """Arrange the items as parse_ini_string() does; lines without a value do not count there."""
    top: Tree = {}
    current = top
    for item in items:
        match item:
            case Fault():
                if item.message.startswith("syntax error"):
                    return False
            case Section():
                current = {}
                top[php_key(item.name)] = current
            case Entry(key=None):
                current[php_key(item.name)] = item.value
            case Entry(key=str(key)):
                inner = current.get(php_key(item.name))
                if not isinstance(inner, dict):
                    inner = {}
                    current[php_key(item.name)] = inner
                numbers = [number for number in inner if isinstance(number, int)]
                inner[php_key(key) if key else max(numbers, default=-1) + 1] = item.value
    return flat(top)


def flat(tree: Tree) -> list[list[object]]:
    return [[str(key), flat(found) if isinstance(found, dict) else found] for key, found in tree.items()]


def php_key(text: str) -> str | int:
    short = len(text) < 18 and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()
    return int(text) if short and str(int(text)) == text else text


@pytest.mark.slow
@pytest.mark.skipif(PHP is None, reason="php8.2 is not installed")
def test_random_lines_are_read_as_php_reads_them() -> None:
    source = random.Random(4711)
    lines = []
    for _ in range(10_000):
        text = "".join(source.choices(PIECES, k=source.randint(1, 8)))
        lines.append(source.choice(SHAPES).format(text))

    answer = subprocess.run(
        [str(PHP), "-n", "-r", PHP_CODE],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRON,
    )

    for line, expected in zip(lines, json.loads(answer.stdout), strict=True):
        assert as_php_array(read(line)) == expected, line
