"""How long requests wait below saturation, kraal beside php-fpm, and what an operator's work adds to that.

    python bench/latency.py [--rounds N] [--seconds S] [--disturb WHAT,…] [--json FILE]

First each server is saturated: twice as many clients as it has workers, on kept connections as many, ask
again when they have their answer.  Then requests come at half and at nine tenths of the rate that php-fpm has
reached, the same rate for both, whether or not others have ended; a wait counts from when its request was
due.  All servers run at the same time, four static workers each, and take turns.

With --disturb each round has also kraal with its logs reopened (`reopen`) every second, its figures shown
by `kraal metrics` (`metrics`) or fetched from `metrics.listen` (`scrape`) every second, and with a reload
(`reload`) every five.  Prints medians of the rounds; `longest` is also the longest of all.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import answers
import hello
import servers
import workloads
from disturbances import EVERY, Operator
from nginx import free_port

WORKERS = int(servers.STATIC["pm.max_children"])
SHARES = (0.5, 0.9)
WAYS = ("unix", "tcp")
_IN_FLIGHT = 256  # new connections at a time: fewer than a queue has room for
_TRIES = 3
_WARM_UP = 2000  # requests


@dataclass(frozen=True)
class Case:
    """How a server is asked."""

    way: str
    connection: str  # "new" or "kept"
    share: float = 1.0  # of php-fpm's saturation

    def task(self, address: str, request: Path) -> answers.Task:
        """A kept connection holds a worker of php-fpm."""
        most = WORKERS if self.connection == "kept" else 2 * WORKERS if self.share == 1 else _IN_FLIGHT
        return answers.Task(
            "fcgi", address.rpartition(":")[2], request, None, most, self.connection == "kept"
        )


@dataclass(frozen=True)
class Measurement:
    """One server, one case, one round; waits in microseconds."""

    round: int
    server: str
    case: Case
    rate: float  # requests a second
    requests: int
    failures: int
    p50: int
    p99: int
    p999: int
    longest: int


@dataclass(frozen=True)
class Subject:
    """A server of one way that is measured, while its operator does something or nothing."""

    server: servers.Server
    way: str
    operator: Operator
    deed: str = ""

    @property
    def name(self) -> str:
        return f"{self.server.name}, {self.deed}" if self.deed else self.server.name


class Latency:
    """Servers that run, and how fast they answer."""

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        self._directory, self._options = directory, options
        self._workload = next(each for each in workloads.BASIC if each.name == options.workload)
        self._subjects = list[Subject]()
        self.saturations = dict[str, float]()  # requests a second

    def start(self, stack: ExitStack) -> None:
        """Those of all ways; who is disturbed is a server of its own."""
        servers.write_site(self._directory, {f"{self._workload.name}.php": self._workload.code})
        for way in self._options.ways:
            for name, command in servers.commands(self._options.kraal).items():
                self._subjects.append(self._start(stack, way, name, command))
            if self._options.disturb:
                idle = self._start(stack, way, "kraal", servers.commands(self._options.kraal)["kraal"])
                self._subjects += [
                    Subject(idle.server, way, idle.operator, deed) for deed in self._options.disturb
                ]

    def _start(self, stack: ExitStack, way: str, name: str, command: str) -> Subject:
        place = Path(tempfile.mkdtemp(dir=self._directory))
        servers.write_site(place, {})
        metrics = f"127.0.0.1:{free_port()}"
        server = stack.enter_context(
            servers.running(
                name,
                command,
                place,
                "",
                options={"metrics.listen": metrics} if name == "kraal" else None,
                port=free_port() if way == "tcp" else None,
            )
        )
        return Subject(server, way, Operator(command, server.master, metrics))

    def saturate(self) -> None:
        """Ask all for as much as they can do."""
        for case in self._cases((1.0,)):
            found: dict[str, list[float]] = {}
            for number in range(_TRIES):
                for subject in self._turn(case, number):
                    task = self._task(case, subject)
                    trial = answers.run(task, _WARM_UP)
                    result = answers.run(task, int(self._options.seconds * trial.requests / trial.seconds))
                    found.setdefault(subject.server.name, []).append(result.requests / result.seconds)
            for name, rates in found.items():
                self.saturations[f"{name}, {case.way}, {case.connection}"] = statistics.median(rates)

    def round(self, number: int) -> Iterator[Measurement]:
        """Every case on every server; who begins changes."""
        for case in self._cases(SHARES):
            rate = case.share * self.saturations[f"php-fpm, {case.way}, {case.connection}"]
            for subject in self._turn(case, number, disturbed=True):
                yield self._measure(number, case, subject, rate)

    def _cases(self, shares: tuple[float, ...]) -> list[Case]:
        ways = self._options.ways
        return [Case(way, kind, share) for way in ways for kind in ("new", "kept") for share in shares]

    def _turn(self, case: Case, number: int, *, disturbed: bool = False) -> list[Subject]:
        able = [each for each in self._subjects if each.way == case.way and (disturbed or not each.deed)]
        first = number % len(able)
        return able[first:] + able[:first]

    def _task(self, case: Case, subject: Subject) -> answers.Task:
        request = self._directory / "request"
        request.write_bytes(
            workloads.fastcgi(self._workload, self._directory, keep=case.connection == "kept")
        )
        return case.task(subject.server.socket, request)

    def _measure(self, number: int, case: Case, subject: Subject, rate: float) -> Measurement:
        task = self._task(case, subject)
        answers.run(task, _WARM_UP, rate=rate)
        with subject.operator.busy(subject.deed):
            result = answers.run(task, max(int(rate * self._options.seconds), 1), rate=rate)
        return Measurement(
            round=number,
            server=subject.name,
            case=case,
            rate=rate,
            requests=result.requests,
            failures=result.failures,
            p50=result.p50,
            p99=result.p99,
            p999=result.p999,
            longest=result.max,
        )


def table(found: list[Measurement]) -> str:
    """The Markdown table: medians in microseconds, with php-fpm's in the same rounds beside them."""
    lines = [
        "| way | connection | saturation | requests/s | server | p50 | p99 | p99.9 | longest "
        "| longest of all | p50 by php-fpm's | p99 by php-fpm's | p99.9 by php-fpm's |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in dict.fromkeys(m.case for m in found):
        theirs = {m.round: m for m in found if m.case == case and m.server == "php-fpm"}
        for name in dict.fromkeys(m.server for m in found if m.case == case):
            rows = [m for m in found if m.case == case and m.server == name]
            waits = ("p50", "p99", "p999", "longest")
            cells = [
                *(case.way, case.connection, f"{case.share:.0%}", f"{rows[0].rate:.0f}", name),
                *(f"{statistics.median(getattr(m, what) for m in rows):.0f}" for what in waits),
                f"{max(m.longest for m in rows)}",
            ]
            for what in waits[:3]:
                ratios = [getattr(m, what) / getattr(theirs[m.round], what) for m in rows]
                cells.append("" if name == "php-fpm" else f"{statistics.median(ratios):.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement; default: 10")
    parser.add_argument("--ways", metavar="WAY,…", default=",".join(WAYS), help="default: both")
    parser.add_argument(
        "--workload", default="hello", choices=[w.name for w in workloads.BASIC], help="default: hello"
    )
    parser.add_argument("--disturb", metavar="WHAT,…", default="", help=f"of {', '.join(EVERY)}")
    parser.add_argument("--kraal", metavar="PATH", help="the kraal to measure (default: beside this Python)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all measurements to this file")
    options = parser.parse_args()
    options.ways = options.ways.split(",")
    options.disturb = options.disturb.split(",") if options.disturb else []
    if unknown := {*options.disturb} - EVERY.keys() | {*options.ways} - {*WAYS}:
        parser.error(f"unknown: {', '.join(unknown)}")
    return options


def main() -> int:
    options = _options()
    machine = hello.machine(servers.php_version(servers.commands(options.kraal)["php-fpm"]))
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="kraal-latency-", dir="/tmp") as name, ExitStack() as stack:
        latency = Latency(Path(name), options)
        latency.start(stack)
        latency.saturate()
        for number in range(options.rounds):
            found += latency.round(number)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    failures = sum(m.failures for m in found)
    requests = sum(m.requests for m in found)
    print(f"{machine}; {options.rounds} rounds, {requests} requests, {failures} failed\n\n{table(found)}\n")
    for where, rate in latency.saturations.items():
        print(f"saturation of {where}: {rate:.0f} requests/s")
    if options.json:
        rows = [asdict(m) for m in found]
        report = {"machine": machine, "saturations": latency.saturations, "measurements": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
