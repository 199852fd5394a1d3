"""The time of day may jump: nothing but what is shown to people goes by it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "src").rglob("*.py"))}
NATIVE = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "native").glob("*.[ch]"))}

# Who reads the time of day, and for what.  Whatever is decided goes by the monotonic clock.
READERS = {
    "src/kraal/manager/slow_requests.py": "the time of an entry of the slow log",
    "src/kraal/pages/local_pages.py": "the time of a status page",
    "src/kraal/logs/error.py": "the time of a line",
    "src/kraal/master/managers.py": "when the scoreboards began, for status pages",
    "src/kraal/master/master.py": "when pools that sleep began, for status pages",
    "src/kraal/memory/scoreboard.py": "when pool and worker started, for status pages",
    "native/accesslog.c": "the times of a line, and chance",
    "native/poolstatus.c": "the time of fpm_get_status()",
    "native/script.c": "the age of what is in PHP's realpath cache, which PHP tells by it",
    "native/scoreboard.c": "how long a request waited, for a line and a page: the web server says since when",
}

# Functions of Python's that read it, unless they are given a time.
OF_NOW = {
    "time",
    "time_ns",
    "localtime",
    "gmtime",
    "ctime",
    "asctime",
    "clock_gettime",
    "now",
    "utcnow",
    "today",
}
GIVEN = {"localtime", "gmtime", "ctime", "asctime"}
OF_CLOCKS = {"time", "datetime", "date"}
IN_C = re.compile(
    r"\bCLOCK_REALTIME\w*|\bCLOCK_TAI|\btime\(|\bgettimeofday\(|\bsapi_get_request_time\(|\bftime\(|\btimespec_get\("
)


def readings(tree: ast.AST) -> list[int]:
    """The lines of a program that read the time of day."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name | ast.Attribute)
        and ast.unparse(node.func.value).split(".")[-1] in OF_CLOCKS
        and node.func.attr in OF_NOW
        and not (node.func.attr in GIVEN and node.args)
    ]


def found() -> set[str]:
    python = {name for name, path in PYTHON.items() if readings(ast.parse(path.read_text()))}
    return python | {name for name, path in NATIVE.items() if IN_C.search(path.read_text())}


def test_time_of_day_is_read_only_to_be_shown() -> None:
    assert found() == set(READERS)


@pytest.mark.parametrize(
    "code", ["time.time()", "time.localtime()", "datetime.datetime.now()", "date.today()"]
)
def test_law_sees_a_reading(code: str) -> None:
    assert readings(ast.parse(code)) == [1]


@pytest.mark.parametrize("code", ["time.monotonic()", "time.localtime(when)", "time.strftime(form, at)"])
def test_law_lets_the_rest_pass(code: str) -> None:
    assert readings(ast.parse(code)) == []


def test_nobody_hides_a_reading_behind_another_name() -> None:
    names = {
        (name, alias.name)
        for name, path in PYTHON.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime")
        for alias in node.names
    }

    assert names == set()
