"""The commands `kraal status` and `kraal workers`: what a running master's pools do, seen from outside.

Nothing is asked of the master: the scoreboards are memory files that it holds open, and whoever may look into
its process can read them.  So it works whatever they all are busy with, and changes nothing.
"""

import json
import mmap
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from kraal import report, tables
from kraal.config.problems import ConfigErrors
from kraal.errors import Error, Exit, StartError, UsageError
from kraal.options import parse
from kraal.scoreboard import PoolState, Scoreboard
from kraal.whereabouts import master

USAGE = """\
Usage: kraal status|workers [--json] [-y <file>] [-p <prefix>] [-g <file>|<number>]

Show what the pools (status) or the workers (workers) of a running master do.  It takes the rights to look
into the master: root, or its user.

  --json           For programs
  -y, --fpm-config <file>
                   The configuration whose `pid` says where the process id of the master is
  -p, --prefix <dir>
                   Folder that relative paths of the configuration start from
  -g, --pid <file>|<number>
                   Where the process id is, or the process id
  -h, --help       Show this help
"""
_PREFIX = "/memfd:kraal-"
_POOLS = (
    "pool",
    "idle",
    "active",
    "most active",
    "requests",
    "slow",
    "queue",
    "deepest queue",
    "queue limit",
)
_WORKERS = ("pool", "pid", "state", "requests", "ms", "memory", "method", "url")


def main(command: str, arguments: Sequence[str]) -> int:
    """Run one of the commands.  Returns its exit code."""
    try:
        options = parse([argument for argument in arguments if argument != "--json"])
        if options.show:
            print(USAGE, end="", flush=True)
            return Exit.OK
        states = look(master(options))
    except UsageError as error:
        print(f"{USAGE}\nkraal {command}: {error}", file=sys.stderr)
        return error.exit
    except ConfigErrors as error:
        for problem in error.errors:
            print(f"kraal {command}: {problem}", file=sys.stderr)
        return error.exit
    except Error as error:
        print(f"kraal {command}: {error}", file=sys.stderr)
        return error.exit
    rows = tables.pools(states) if command == "status" else tables.workers(states, time.monotonic_ns())
    if "--json" in arguments:
        print(json.dumps(rows))
    else:
        print(tables.render(rows, _POOLS if command == "status" else _WORKERS), end="", flush=True)
    return Exit.OK


def look(pid: int) -> dict[str, PoolState]:
    """The pools of a master by name.  Raises StartError if we may not look, or if it is none."""
    try:
        if report.find(pid) is None:
            raise StartError(f"process {pid} is no master of kraal", exit=Exit.SOFTWARE)
        found = dict(_boards(pid))
    except OSError as error:
        raise StartError(f"process {pid}: {error.strerror}", exit=Exit.SOFTWARE) from error
    return dict(sorted(found.items()))


def _boards(pid: int) -> list[tuple[str, PoolState]]:
    boards = []
    for path in report.descriptors(pid):
        # The master closes and opens files while we look.
        with suppress(FileNotFoundError, ValueError):
            name = os.readlink(path)
            if name.startswith(_PREFIX) and (state := _read(path)):
                boards.append((name.removeprefix(_PREFIX).removesuffix(" (deleted)"), state))
    return boards


def _read(path: str) -> PoolState | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        board = Scoreboard(mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ))
        return board.read() if board.is_one else None
    finally:
        os.close(fd)
