"""The lines that docs/troubleshooting.md explains are lines that kraal writes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text().partition("## What the web server shows")[0]
LINES = sorted({" ".join(line.split()) for line in re.findall(r"\*\*`([^`]*)`\*\*", PAGE)})


def sources() -> str:
    """All texts of the program, those that are cut into several strings put together."""
    files = (*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "native").glob("*.c")))
    text = "\n".join(file.read_text() for file in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


TEXT = sources()


@pytest.mark.parametrize("line", LINES)
def test_line_is_one_that_kraal_writes(line: str) -> None:
    missing = [part for part in fixed_parts(line) if part not in TEXT]

    assert missing == []


def fixed_parts(line: str) -> list[str]:
    """What stands between the parts that differ; words and numbers that are filled in have to be left out."""
    parts = (
        part.strip(" '")
        for part in re.split(r"…|\d+ \(SIG\w+\)|[][(),;]|pool |exited|pm\.max_children", line)
    )
    return [part for part in parts if len(part) > 3]
