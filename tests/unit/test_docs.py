"""The pages that are written by programs are those that the programs would write now."""

import re
import runpy
from pathlib import Path

import pytest

from kraal.config.directives import ARRAYS, GLOBAL, POOL

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PLACE = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`|^ {4}(\S.*)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def test_the_page_of_directives_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_configuration.py"))

    assert generator["PAGE"].read_text() == generator["page"](), "run python docs/generate_configuration.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_to_files(page: Path) -> None:
    targets = [target for target in _LINK.findall(page.read_text()) if "://" not in target]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def places(page: Path) -> set[str]:
    """What links can lead to in a page: its headings, as they are written in addresses."""
    headings = _HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_places_lead_to_headings(page: Path) -> None:
    links = _PLACE.findall(page.read_text())

    assert [link for link in links if link[1] not in places(page.parent / link[0] if link[0] else page)] == []


def test_readme_names_every_page() -> None:
    named = set(_LINK.findall((ROOT / "README.md").read_text()))

    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - named == set()


def test_page_on_migrating_names_every_directive_of_php_fpm_once() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text()
    section = page.partition("## Directive by directive\n")[2].partition("\n## ")[0]
    same, *tables = re.split(r"^\| .* \| In kraal \|$", section, flags=re.MULTILINE)
    in_global, in_pools = same.split("- in pools:")
    pages = {
        "global": in_global + tables[0],
        "pool": in_pools + "\n".join(line.partition(" | ")[0] for line in tables[1].splitlines()),
    }
    named = {scope: sorted(re.findall(r"`([a-z_.]+(?:\[\w*\])?)`", text)) for scope, text in pages.items()}
    pool = [row.name for row in POOL if not row.own] + [row.written for row in ARRAYS]

    assert set(named["global"]) - {"notice", "no"} == {row.name for row in GLOBAL if not row.own}
    assert named["pool"] == sorted(pool)


def commands(program: str) -> set[str]:
    """What the pages show as a command that begins with this, in a line or in code of its own."""
    shown = {line or block for page in PAGES for line, block in _CODE.findall(page.read_text())}
    return {command for command in shown if command.startswith(program)}


def options(command: str) -> set[str]:
    return set(re.findall(r" (--[a-z][a-z-]*)", command))


def test_programs_of_bench_that_pages_name_have_the_options_that_they_show() -> None:
    sources = {file.name: file.read_text() for file in (ROOT / "bench").glob("*.py")}
    known = set(re.findall(r'"(--[a-z][a-z-]*)"', "".join(sources.values())))
    shown = commands("python bench/") | (commands("bench/") - {"bench/"})

    assert shown
    for command in shown:
        (program,) = re.findall(r"bench/(\w+\.\w+)", command)
        assert (ROOT / "bench" / program).exists(), command
        assert options(command) <= known, command


def test_sessions_of_nox_that_pages_name_are_there() -> None:
    known = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE))

    assert {command.split()[2] for command in commands("nox -s")} <= known


def test_subcommands_that_pages_show_have_their_options() -> None:
    text = "".join(file.read_text() for file in (ROOT / "src" / "kraal").rglob("*.py"))
    cases = re.findall(r"case \[(.*?)\]:", (ROOT / "src" / "kraal" / "cli.py").read_text())
    known = {word for case in cases for word in re.findall(r'"(\w+)"', case)}
    shown = {command for name in known for command in commands(f"kraal {name}")}

    assert {command.split()[1] for command in shown} == known
    for command in commands("kraal "):
        name = command.split()[1]
        assert name in known or re.fullmatch(r"-[a-zA-Z]+", name), command
        assert [option for option in options(command) if option not in text] == [], command
