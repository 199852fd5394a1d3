"""Write docs/configuration.md from the table of directives that kraal itself uses.

    python docs/generate_configuration.py

A unit test fails when the page is out of date.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from kraal.config.directives import ARRAYS, GLOBAL, POOL, REQUIRED, Directive

PAGE = Path(__file__).with_name("configuration.md")

_HEAD = """\
# Configuration

<!-- Written by docs/generate_configuration.py from src/kraal/config/directives.py.  Do not edit. -->

kraal reads php-fpm's configuration: `[global]`, one section per pool, `include = PATTERN`.  The default
file is php-fpm's own, on Debian `/etc/php/8.2/fpm/php-fpm.conf`; `-y FILE` names another.

`kraal -t` checks a configuration and names file and line of whatever is wrong; `kraal -tt` also prints
what is in force.  `kraal directives NAME` explains a directive in the terminal.

- **Path**: a relative path starts from `-p DIR`, or from the pool's `prefix`; without either from `/usr`
  (`error_log` and `pid`: from `/var`).
- **Time**: seconds, or a number with `s`, `m`, `h` or `d`.
- **Since PHP**: *kraal only* marks what php-fpm does not know: it refuses a file that has it.
- **In force**: *no* means that kraal accepts the directive, does not act on it yet, and says so in one
  warning per line.
- **Size**: bytes, or a number with `K`, `M` or `G`.
- **Kraal only**: php-fpm refuses a file with such a directive.

What `pm` and its numbers do is in [processes](processes.md#how-many-workers).
Where `process_control_timeout` is not written, a gentle stop waits 30 seconds: see
[signals](signals.md).
"""

_ARRAYS_HEAD = """\
## Pools: directives with brackets

Written as `name[key] = value`, any number of times.
"""


def page() -> str:
    """The whole page."""
    sections = [
        _HEAD,
        "## [global]\n\n" + _table(GLOBAL),
        "## Pools\n\n" + _table(POOL),
        _ARRAYS_HEAD + "\n" + _lines(_array_rows()),
    ]
    return "\n".join(sections)


def _table(directives: Iterable[Directive]) -> str:
    return _lines(_rows(directives))


def _rows(directives: Iterable[Directive]) -> Iterator[tuple[str, ...]]:
    yield "Directive", "Value", "Default", "Meaning", "Since PHP", "In force"
    for row in directives:
        yield (
            f"`{row.name}`",
            row.kind.value,
            _default(row),
            row.meaning,
            "kraal only" if row.own else row.since,
            _in_force(row.in_force),
        )


def _array_rows() -> Iterator[tuple[str, ...]]:
    yield "Directive", "Meaning", "Since PHP", "In force"
    for row in ARRAYS:
        yield f"`{row.written}`", row.meaning, row.since, _in_force(row.in_force)


def _in_force(yes: bool) -> str:
    return "yes" if yes else "no"


def _default(row: Directive) -> str:
    """As one would write it; empty when there is none."""
    if row.name in REQUIRED:
        return "must be written"
    return f"`{row.written_default}`" if row.written_default else ""


def _lines(rows: Iterator[tuple[str, ...]]) -> str:
    head, *rest = rows
    lines = [head, ("---",) * len(head), *rest]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
