"""Requests during reloads and upgrades: what is lost, and how much longer the longest one waits.

    python bench/reload.py [--reloads N] [--upgrades N] [--only WORDS] [--kraal COMMAND] [--json FILE]

kraal and php-fpm, one after the other in each case, with the same clients (clients.c) and configuration: four
static workers, OPcache, `process_control_timeout = 10s`.  Every request is counted, and carries a number that
must come back.  After each reload comes a time without one that is as long, and of both the longest wait is
noted.  For an upgrade all files of kraal are replaced before the reload.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import nginx
import servers
from clients import Clients, Plan, Result
from installation import Installation

LEAST = 0.6  # seconds that a reload counts at least
AFTER = 0.2  # it has effects for so long after its end
_LONGEST = 3600.0
OPTIONS = {"process_control_timeout": "10s"}
PM = {**servers.STATIC, "listen.backlog": "4096"}
SCRIPTS = {
    "id.php": "<?php header('Content-Length: 12'); echo $_GET['id'];",
    # A signal does not cut this wait short.
    "wait.php": "<?php header('Content-Length: 12'); $end = hrtime(true) + 50e6;"
    " while (($left = $end - hrtime(true)) > 0) time_nanosleep(0, (int) $left); echo $_GET['id'];",
    "stall.php": "<?php header('Content-Length: 12'); $end = microtime(true) + 3;"
    " while (microtime(true) < $end) usleep(10000); echo $_GET['id'];",
}


@dataclass(frozen=True)
class Case:
    """One way of asking."""

    name: str
    script: str = "id.php"
    tcp: bool = False
    kept: bool = False
    behind: bool = False  # nginx, which keeps its connections if `kept`
    rate: int = 0
    clients: int = 8
    stalled: bool = False  # one request of three seconds is always in flight


CASES = (
    Case("unix, new"),
    Case("unix, kept", kept=True, clients=4),
    Case("tcp, new", tcp=True),
    Case("tcp, kept", tcp=True, kept=True, clients=4),
    Case("unix, new, 5,000/s", rate=5_000, clients=3_000),
    Case("unix, new, 12,000/s", rate=12_000, clients=3_000),
    Case("unix, kept, 18,000/s", kept=True, rate=18_000, clients=4),
    Case("tcp, new, 5,000/s", tcp=True, rate=5_000, clients=3_000),
    Case("nginx, unix, new", behind=True),
    Case("nginx, unix, kept", behind=True, kept=True, clients=4),
    Case("nginx, tcp, kept", behind=True, tcp=True, kept=True, clients=4),
    Case("unix, new, 50 ms", script="wait.php"),
    Case("unix, kept, 50 ms", script="wait.php", kept=True, clients=4),
    Case("unix, new, 200/s, one of 3 s", rate=200, clients=1_000, stalled=True),
    Case("unix, kept, 200/s, one of 3 s", kept=True, rate=200, clients=12, stalled=True),
)


@dataclass(frozen=True)
class Row:
    """What one server did in one case."""

    case: str
    server: str
    reloads: int
    sent: int
    lost: int
    failed: dict[str, int]
    with_reload: float  # the longest wait, ms
    without: float
    median_with: float  # the longest of each period, and then the median of these
    median_without: float
    seconds: float  # that a reload takes, the median


def measure(case: Case, name: str, command: str, reloads: int, upgrades: int) -> Row:
    """Let a fresh server reload so many times, some of them as upgrades, spread evenly."""
    with tempfile.TemporaryDirectory(prefix="kraal-reload-") as folder, ExitStack() as stack:
        directory, empty = Path(folder), Path(folder) / "empty"
        empty.mkdir()
        servers.write_site(directory, SCRIPTS)
        installation = Installation(directory / "installed", command) if name == "kraal" else None
        port = nginx.free_port() if case.tcp else None
        server = stack.enter_context(
            servers.running(
                name,
                installation.command if installation else command,
                directory,
                str(empty),
                pm=PM,
                options=OPTIONS,
                port=port,
            )
        )
        address = server.socket
        if case.behind:
            address = stack.enter_context(nginx.running(directory, server.socket, kept=case.kept))
        script = f"{directory}/{case.script}"
        plan = Plan(address, script, case.kept, case.clients, _LONGEST, rate=case.rate, http=case.behind)
        _warm_up(plan)
        stall = Plan(server.socket, f"{directory}/stall.php", kept=False, clients=1, seconds=_LONGEST)
        others = [Clients(stall)] if case.stalled else []
        clients = Clients(plan)
        when = _reload(server, installation, reloads, upgrades)
        for each in (clients, *others):
            each.stop()
        results = [each.result() for each in (clients, *others)]
        return _row(case, name, results, when)


def _warm_up(plan: Plan) -> None:
    Clients(Plan(plan.address, plan.script, plan.kept, 4, 0.3, http=plan.http)).result()


def _reload(
    server: servers.Server, installation: Installation | None, reloads: int, upgrades: int
) -> list[tuple[float, float]]:
    """Returns when each began and was over."""
    when = []
    time.sleep(1)
    for number in range(reloads):
        if installation and upgrades and number % (reloads // upgrades) == 0:
            installation.upgrade()
        ready, began = server.times_ready(), time.monotonic()
        os.kill(server.master, signal.SIGUSR2)
        while server.times_ready() == ready:
            if time.monotonic() - began > 60:
                raise SystemExit(f"{server.name} did not reload; its log says:\n{server.log.read_text()}")
            time.sleep(0.02)
        time.sleep(max(AFTER, began + LEAST - time.monotonic()))
        over = time.monotonic()
        when.append((began, over))
        time.sleep(over - began)
    return when


def _row(case: Case, name: str, results: list[Result], when: list[tuple[float, float]]) -> Row:
    waits = results[0]
    during = [waits.longest_within(began, over) for began, over in when]
    quiet = [waits.longest_within(over + 0.1, over + (over - began)) for began, over in when]
    failed = sum((Counter(each.failed) for each in results), Counter[str]())
    return Row(
        case=case.name,
        server=name,
        reloads=len(when),
        sent=sum(each.sent for each in results),
        lost=failed.total(),
        failed=dict(failed),
        with_reload=max(during),
        without=max(quiet),
        median_with=statistics.median(during),
        median_without=statistics.median(quiet),
        seconds=statistics.median(over - began for began, over in when) - AFTER,
    )


def shown(row: Row) -> str:
    """A line of the table."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in row.failed.items())
    cells = [
        row.case,
        row.server,
        row.reloads,
        f"{row.sent:,}",
        f"{row.lost:,} ({kinds})" if kinds else "0",
        f"{row.without:.1f}",
        f"{row.with_reload:.1f}",
        f"{row.median_without:.1f}",
        f"{row.median_with:.1f}",
        f"{row.seconds:.2f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


COLUMNS = (
    "clients",
    "server",
    "reloads",
    "sent",
    "lost",
    "longest wait without a reload, ms",
    "with",
    "median of the longest without",
    "with",
    "a reload takes, s",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|---|{'---:|' * (len(COLUMNS) - 2)}"


def main() -> int:
    """Print the table.  Returns 1 if kraal lost a request."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reloads", type=int, default=10, help="in each case")
    parser.add_argument("--upgrades", type=int, default=1, help="how many of these are upgrades")
    parser.add_argument("--kraal", help="the command to measure; else the one beside this Python")
    parser.add_argument("--only", help="the case of this name, or those whose names contain it")
    parser.add_argument("--server", choices=("kraal", "php-fpm"))
    parser.add_argument("--json", help="write the rows there, too")
    options = parser.parse_args()
    rows = []
    print(HEAD)
    exact = [case for case in CASES if case.name == options.only]
    for case in exact or CASES:
        if options.only and options.only not in case.name:
            continue
        for name, command in servers.commands(options.kraal).items():
            if options.server in (None, name):
                rows.append(measure(case, name, command, options.reloads, options.upgrades))
                print(shown(rows[-1]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return int(any(row.lost for row in rows if row.server == "kraal"))


if __name__ == "__main__":
    sys.exit(main())
