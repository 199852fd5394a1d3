"""The commands `kraal status` and `kraal workers`: what a running master's pools do, seen from outside.

Nothing is asked of the master, see `holdings`: it works whatever they all are busy with, and changes nothing.
"""

import json
import time
from collections.abc import Sequence

from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.whereabouts import master
from kraal.command.words import Words
from kraal.errors import Exit
from kraal.observe import tables
from kraal.observe.holdings import Holdings
from kraal.options import Options

USAGE = f"""\
Usage: kraal status|workers [--json] {WHICH}

Show what the pools (status) or the workers (workers) of a running master do.  It takes the rights to look
into the master: root, or its user.

  --json           For programs
{FLAGS}"""
_POOLS = (
    "pool",
    "idle",
    "active",
    "most active",
    "requests",
    "slow",
    "turned away",
    "queue",
    "deepest queue",
    "queue limit",
)
_WORKERS = ("pool", "pid", "state", "requests", "ms", "queue ms", "memory", "method", "url")


def main(command: str, arguments: Sequence[str]) -> int:
    """Run one of the commands.  Returns its exit code."""
    return Subcommand(name=command, usage=USAGE, switches=("--json",)).run(arguments, _COMMANDS[command])


def _status(words: Words, options: Options) -> int:
    return _show(tables.pools(Holdings(master(options)).states()), _POOLS, words)


def _workers(words: Words, options: Options) -> int:
    return _show(tables.workers(Holdings(master(options)).states(), time.monotonic_ns()), _WORKERS, words)


_COMMANDS = {"status": _status, "workers": _workers}


def _show(rows: Sequence[tables.Row], columns: Sequence[str], words: Words) -> int:
    print(json.dumps(rows) if words.has("--json") else tables.render(rows, columns).rstrip("\n"), flush=True)
    return Exit.OK
