"""The commands `kraal status` and `kraal workers`: what a running master's pools do, seen from outside.

Nothing is asked of the master: the scoreboards are memory files that it holds open, and whoever may look into
its process can read them.  So it works whatever they all are busy with, and changes nothing.
"""

import json
import mmap
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from kraal import report, tables
from kraal.errors import Exit, StartError
from kraal.options import Options
from kraal.scoreboard import PoolState, Scoreboard
from kraal.subcommand import FLAGS, WHICH, Subcommand
from kraal.whereabouts import master
from kraal.words import Words

USAGE = f"""\
Usage: kraal status|workers [--json] {WHICH}

Show what the pools (status) or the workers (workers) of a running master do.  It takes the rights to look
into the master: root, or its user.

  --json           For programs
{FLAGS}"""
_PREFIX = "/memfd:kraal-"
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
    return _show(tables.pools(look(master(options))), _POOLS, words)


def _workers(words: Words, options: Options) -> int:
    return _show(tables.workers(look(master(options)), time.monotonic_ns()), _WORKERS, words)


_COMMANDS = {"status": _status, "workers": _workers}


def _show(rows: Sequence[tables.Row], columns: Sequence[str], words: Words) -> int:
    print(json.dumps(rows) if words.has("--json") else tables.render(rows, columns).rstrip("\n"), flush=True)
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
