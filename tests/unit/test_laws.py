"""The dependency laws of kraal, read from its imports."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "kraal").rglob("*.py"))
}
NATIVE = sorted((ROOT / "native").glob("*.[ch]"))

# A pure module computes: it neither looks at the system nor changes it.
IMPURE = {"os", "socket", "signal", "time", "subprocess", "selectors", "pathlib", "mmap", "fcntl", "random"}
PURE = {
    "kraal.boot",
    "kraal.top.cells",
    "kraal.config.access_format",
    "kraal.config.address",
    "kraal.config.checks",
    "kraal.config.claims",
    "kraal.config.clients",
    "kraal.config.conflicts",
    "kraal.config.constants",
    "kraal.config.directives",
    "kraal.config.dump",
    "kraal.config.excerpts",
    "kraal.config.gather",
    "kraal.config.ini",
    "kraal.config.model",
    "kraal.config.paths",
    "kraal.config.php_values",
    "kraal.config.problems",
    "kraal.config.scanner",
    "kraal.config.settle",
    "kraal.config.values",
    "kraal.master.emergency",
    "kraal.errors",
    "kraal.reload.estate",
    "kraal.fastcgi.cgi",
    "kraal.fastcgi.connection",
    "kraal.fastcgi.events",
    "kraal.fastcgi.records",
    "kraal.fastcgi.states",
    "kraal.fields",
    "kraal.command.flame",
    "kraal.master.generation",
    "kraal.http.access",
    "kraal.http.answer",
    "kraal.http.body",
    "kraal.http.params",
    "kraal.http.pool_config",
    "kraal.http.routing",
    "kraal.master.launch",
    "kraal.memory.layout",
    "kraal.logs.lines",
    "kraal.logs.output",
    "kraal.logs.slow",
    "kraal.metrics.exposition",
    "kraal.metrics.families",
    "kraal.metrics.http",
    "kraal.memory.opcache",
    "kraal.options",
    "kraal.master.orders",
    "kraal.manager.overload",
    "kraal.manager.overtime",
    "kraal.top.panel",
    "kraal.php.ini",
    "kraal.top.rates",
    "kraal.manager.sizing",
    "kraal.manager.slowness",
    "kraal.memory.stack",
    "kraal.pages.status",
    "kraal.manager.stop_ladder",
    "kraal.command.words",
}
# What a pure module imports all the same, with the reason.
EXCEPTIONS = {
    (
        "kraal.pages.status",
        "time",
    ): "strftime and localtime: it formats the time that it is given in the zone of the host",
    ("kraal.logs.lines", "time"): "strftime and localtime: it formats the time that it is given",
    ("kraal.manager.stop_ladder", "signal"): "the numbers of signals are its vocabulary; it sends none",
}
# The functions of an excepted module that may be used.
FUNCTIONS = {
    ("kraal.pages.status", "time"): {"strftime", "localtime"},
    ("kraal.logs.lines", "time"): {"strftime", "localtime"},
    ("kraal.manager.stop_ladder", "signal"): {"SIG"},
}

MAX_LINES = 400
# Older than the law, and not to grow.  An entry that has become short enough is to be taken out.
TOO_LONG: dict[str, int] = {}


def imports(path: Path) -> set[str]:
    """Everything that a file imports, anywhere in it, and not only for the type checker."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who depends on whom"
            module = node.module or ""
            found |= {
                f"{module}.{name.name}" if f"{module}.{name.name}" in MODULES else module
                for name in node.names
            }
    return found


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def ours(name: str) -> set[str]:
    return {each for each in IMPORTS[name] if each.split(".")[0] == "kraal"}


def reached(name: str) -> set[str]:
    """All modules of kraal that come along with one."""
    found: set[str] = set()
    wave = {name}
    while wave:
        found |= wave
        wave = {each for module in wave if module in IMPORTS for each in ours(module)} - found
    return found


def importers(name: str) -> set[str]:
    return {module for module in MODULES if name in IMPORTS[module]}


def test_list_of_pure_modules_names_modules_that_exist() -> None:
    assert set(MODULES) >= PURE
    assert {module for module, _ in EXCEPTIONS} <= PURE


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_module_imports_nothing_of_the_system(name: str) -> None:
    excepted = {what for module, what in EXCEPTIONS if module == name}

    assert {each.split(".")[0] for each in IMPORTS[name]} & IMPURE == excepted


@pytest.mark.parametrize(("name", "what"), EXCEPTIONS)
def test_excepted_module_uses_only_what_it_was_excepted_for(name: str, what: str) -> None:
    used = set(re.findall(rf"\b{what}\.(\w+)", MODULES[name].read_text()))

    assert used
    assert {use for use in used if not use.startswith(tuple(FUNCTIONS[name, what]))} == set()


def test_unix_knows_nothing_of_ours_but_errors_and_fields() -> None:
    foreign = {
        (name, each)
        for name in MODULES
        if name.startswith("kraal.unix")
        for each in ours(name)
        if each not in ("kraal.errors", "kraal.fields") and not each.startswith("kraal.unix")
    }
    assert foreign == set()


def test_bridge_is_imported_only_by_those_who_run_php() -> None:
    assert importers("kraal.php.bridge") == {
        "kraal.php.info",
        "kraal.worker.spawning",
        "kraal.manager.manager",
        "kraal.php.runtime",
        "kraal.worker.worker",
        "kraal.worker.zygote",
    }


def test_master_executes_the_pool_and_never_imports_it() -> None:
    assert importers("kraal.manager.manager") == set()


def test_master_does_not_come_near_the_bridge() -> None:
    # `php.info` is a program of its own: the command replaces itself by it.
    along = reached("kraal.master.master") | {
        each for entry in ours("kraal.cli") - {"kraal.php.info"} for each in reached(entry)
    }

    assert not along & {"kraal.php.bridge", "kraal.manager.manager", "kraal.worker.worker"}


def test_errors_know_nobody() -> None:
    assert ours("kraal.errors") == {"kraal.fields"}
    assert ours("kraal.fields") == set()


@pytest.mark.parametrize(
    "heavy",
    [
        "asyncio",
        "argparse",
        "dataclasses",  # see fields.py
        "logging",
        "http",
        "multiprocessing",
        "uvicorn",
        "starlette",
        "subprocess",
    ],
)
@pytest.mark.parametrize("name", ["kraal.master.master", "kraal.manager.manager"])
def test_master_and_manager_stay_lean(name: str, heavy: str) -> None:
    along = reached(name) & set(MODULES)

    assert not [module for module in along if heavy in {each.split(".")[0] for each in IMPORTS[module]}]


def test_http_front_is_an_extra_that_only_the_command_line_knows() -> None:
    using = {
        name
        for name in MODULES
        if not name.startswith("kraal.http") and any(each.startswith("kraal.http") for each in ours(name))
    }
    assert using == {"kraal.cli"}


def test_any_stands_only_where_values_come_in_untyped() -> None:
    using = {
        name
        for name, path in MODULES.items()
        if re.search(r"^from typing import .*\bAny\b", path.read_text(), re.M)
    }

    assert using <= {
        "kraal.boot",
        "kraal.php.bridge",
        "kraal.config.settle",
        "kraal.reload.estate",
        "kraal.fields",
        "kraal.memory.scoreboard",
    }


def test_php_is_included_in_native_only() -> None:
    others = [path for pattern in ("src/**/*.py", "src/**/*.c", "src/**/*.h") for path in ROOT.glob(pattern)]

    assert [path for path in others if re.search(r"#\s*include\s*<php", path.read_text())] == []


def test_python_is_included_nowhere() -> None:
    sources = [*NATIVE, *(ROOT / "tests/native").glob("*.[ch]")]

    assert sources
    assert [path.name for path in sources if "Python.h" in path.read_text()] == []


def long_files() -> Iterator[tuple[str, int]]:
    for path in (*MODULES.values(), *NATIVE):
        lines = len(path.read_text().splitlines())
        if lines > MAX_LINES:
            yield path.name, lines


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    found = dict(long_files())

    assert set(found) == set(TOO_LONG)
    assert {name: lines for name, lines in found.items() if lines > TOO_LONG[name]} == {}
