"""`kraal directives`: the table of directives in the terminal, or one of them, or both as JSON."""

import json
import sys
import textwrap
from collections.abc import Sequence

from kraal.config.directives import ARRAYS, GLOBAL, POOL, REQUIRED, ArrayDirective, Directive
from kraal.config.gather import nearest_name
from kraal.errors import Exit
from kraal.fields import Frozen

USAGE = """\
Usage: kraal directives [<name>] [--json]

Without a name all directives of the configuration are listed; with one, that one is explained.
"""
_WIDTH = 98
_INDENT = " " * 6


class Row(Frozen):
    """What is told of a directive."""

    section: str
    name: str
    type: str
    default: str
    meaning: str
    since: str
    in_force: bool
    own: bool = False


def rows() -> list[Row]:
    """All directives, in the order of the sections."""
    return [*(_row(row) for row in GLOBAL), *(_row(row) for row in POOL), *(_array(row) for row in ARRAYS)]


def _row(row: Directive) -> Row:
    default = "must be written" if row.name in REQUIRED else row.written_default
    kind = row.kind.value
    return Row(row.scope.value, row.name, kind, default, row.meaning, row.since, row.in_force, row.own)


def _array(row: ArrayDirective) -> Row:
    kind = "boolean" if row.name.endswith("_flag") else "text"
    return Row("pool", row.written, kind, "", row.meaning, row.since, row.in_force)


def find(name: str) -> list[Row]:
    """The directives of that name: one, or a global one and one of pools."""
    wanted = _bare(name)
    return [row for row in rows() if _bare(row.name) == wanted]


def _bare(name: str) -> str:
    return name.lower().partition("[")[0]


def explain(row: Row) -> str:
    """A directive in full."""
    where = "[global]" if row.section == "global" else "pool"
    pairs = [("Section", where), ("Value", row.type), ("Default", row.default or "not set")]
    if row.since:
        pairs.append(("Since", f"PHP {row.since}"))
    if row.own:
        pairs.append(("Known to", "kraal only: php-fpm refuses a file that has it"))
    pairs.append(("In force", "yes" if row.in_force else "not in this version of kraal"))
    lines = [row.name, *textwrap.wrap(row.meaning, _WIDTH)]
    lines += [f"{key + ':':10}{text}" for key, text in pairs]
    return "\n  ".join(lines)


def table(found: Sequence[Row]) -> str:
    """One line for each directive, and what it means below it."""
    parts: list[str] = []
    for section, title in (("global", "[global]"), ("pool", "Pools")):
        parts.append("\n".join([title, *(_entry(row) for row in found if row.section == section)]))
    return "\n\n".join(parts)


def _entry(row: Row) -> str:
    notes = [
        row.type,
        f"default: {row.default}" if row.default else "",
        f"since PHP {row.since}" if row.since else "",
        "kraal only" if row.own else "",
        "" if row.in_force else "not in force",
    ]
    meaning = textwrap.wrap(row.meaning, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join([f"  {row.name}  ({'; '.join(note for note in notes if note)})", *meaning])


def main(arguments: Sequence[str]) -> int:
    """Print, or say what there is instead of the name."""
    as_json = "--json" in arguments
    names = [argument for argument in arguments if argument != "--json"]
    if "-h" in names or "--help" in names:
        print(USAGE, end="")
        return Exit.OK
    if len(names) > 1 or any(name.startswith("-") for name in names):
        print(USAGE, end="", file=sys.stderr)
        return Exit.USAGE
    found = find(names[0]) if names else rows()
    if not found:
        nearest = nearest_name(_bare(names[0]), [_bare(row.name) for row in rows()], cutoff=0.6)
        hint = f": did you mean {nearest}?" if nearest else ""
        print(f"kraal: there is no directive '{names[0]}'{hint}", file=sys.stderr)
        return Exit.USAGE
    print(_printed(found, single=bool(names), as_json=as_json), flush=True)
    return Exit.OK


def _printed(found: Sequence[Row], *, single: bool, as_json: bool) -> str:
    if as_json:
        return json.dumps(found, default=vars, indent=2)
    return "\n\n".join(explain(row) for row in found) if single else table(found)
