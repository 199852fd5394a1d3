"""Random kills of workers and managers under load: what it costs the requests, and whether any of them hangs.

    python bench/kills.py [--seconds N] [--kraal COMMAND]

Eight clients that ask on new connections and four that keep theirs go on while one of eight workers is
killed by SIGKILL four times a second and, with kraal, a pool manager every five seconds.  Every request is
counted.  A killed worker may cost the request that it runs, and one on the kept connection that it holds; a
manager may cost none.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import servers
from clients import Clients, Plan, Result

WORKERS = 8
CLIENTS = 8
PM = {"pm": "static", "pm.max_children": str(WORKERS), "listen.backlog": "4096"}
# Most of the time a request runs, so that kills meet some.
SCRIPT = (
    "<?php header('Content-Length: 12'); $end = hrtime(true) + 5e6;"
    " while (hrtime(true) < $end) usleep(500); echo $_GET['id'];"
)
_BETWEEN_WORKERS = 0.25
_BETWEEN_MANAGERS = 5.0


@dataclass
class Kills:
    """How many there were."""

    workers: int = 0
    managers: int = 0


def kill_for(seconds: float, server: servers.Server) -> Kills:
    """Kill at random, and give who takes their place the time to start."""
    kills, end, next_manager = Kills(), time.monotonic() + seconds, time.monotonic() + _BETWEEN_MANAGERS
    while time.monotonic() < end:
        parents = server.descendants()
        managers = {pid for pid, parent in parents.items() if parent == server.master}
        workers = {pid for pid, parent in parents.items() if parent in managers}
        if server.name == "php-fpm":
            workers = managers
        if server.name == "kraal" and time.monotonic() >= next_manager and managers:
            kills.managers += _kill(random.choice(sorted(managers)))
            next_manager = time.monotonic() + _BETWEEN_MANAGERS
        elif workers:
            kills.workers += _kill(random.choice(sorted(workers)))
        time.sleep(_BETWEEN_WORKERS * random.uniform(0.5, 1.5))
    return kills


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def measure(name: str, command: str, seconds: float) -> tuple[Kills, Result, Result]:
    """A fresh server, and what its clients saw on new and on kept connections."""
    with tempfile.TemporaryDirectory(prefix="kraal-kills-") as folder:
        directory, empty = Path(folder), Path(folder) / "empty"
        empty.mkdir()
        servers.write_site(directory, {"id.php": SCRIPT})
        with servers.running(name, command, directory, str(empty), pm=PM) as server:
            script = f"{directory}/id.php"
            # php-fpm's workers belong to their kept connections: these leave some to the others.
            new, kept = (
                Clients(Plan(server.socket, script, kept, CLIENTS // (1 + kept), seconds + 60))
                for kept in (False, True)
            )
            kills = kill_for(seconds, server)
            for each in (new, kept):
                each.stop()
            return kills, new.result(), kept.result()


def main() -> int:
    """Print the table.  Returns 1 if kraal lost more than its workers held, or a request hung."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each server")
    parser.add_argument("--kraal", help="the command to measure; else the one beside this Python")
    options = parser.parse_args()
    good = True
    print("| server | killed workers | managers | sent | lost, new | lost, kept | hung | longest wait, ms |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, command in servers.commands(options.kraal).items():
        kills, new, kept = measure(name, command, options.seconds)
        hung = sum(each.failed.get("hung", 0) for each in (new, kept))
        longest = max(new.longest, kept.longest)
        cells = (name, kills.workers, kills.managers, f"{new.sent + kept.sent:,}", new.lost, kept.lost, hung)
        print(f"| {' | '.join(map(str, cells))} | {longest:.0f} |", flush=True)
        if name == "kraal":
            good = not hung and max(new.lost, kept.lost) <= kills.workers
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
