"""kraal beside php-fpm, Apache's mod_php, uWSGI's PHP plugin and two floors, in one interleaved run.

    python bench/compare.py [--install] [--full] [--rounds N] [--json FILE] [--picture FILE.svg] …

All servers run at the same time with the same php.ini and as many workers.  In every round each of them does
each kind of work for so many seconds; who begins changes.  Ratios are taken inside a round, a server's figure
by php-fpm's, so that what else the machine does counts for both.

`unix` and `tcp` are FastCGI, directly.  `http` is with nginx in front of kraal and php-fpm, and directly to
Apache and uWSGI; with `http-kept` nginx keeps its connections to kraal and php-fpm.  The processor time is
that of the workers, without nginx's.  The floors are PHP's engine without a server, and `canned`: workers
without PHP, which answer a hello as fast as processes of which each serves one connection can.  `--full` is
every workload, way and number of clients: some hours.

Applications are no part of that: `--only wordpress,wp-rest,symfony` asks for their pages, directly by FastCGI
only, and has all servers load Debian's extensions.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import answers
import applications
import engine
import hello
import load
import nginx
import peers
import picture
import servers
import workloads

WAYS = ("unix", "tcp", "http", "http-kept")
SERVERS = ("kraal", "php-fpm", "mod_php", "uwsgi", "canned")
BASIC = tuple(workload.name for workload in workloads.BASIC)
USUAL = ("hello", "10k", "1m", "post64k", "upload20m")
_WARM_UP = 0.15
_ENGINE = 20_000


@dataclass(frozen=True)
class Place:
    """Where a server is asked."""

    server: servers.Server
    protocol: str
    way: str
    address: str


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    workload: str
    way: str
    connection: str
    clients: int


@dataclass(frozen=True)
class Measurement:
    """One server, one case, one round."""

    round: int
    server: str
    case: Case
    requests: int
    failures: int
    cpu_us: float  # of the workers, per request
    rate: float  # requests per second
    p50: int
    p99: int
    p999: int


class Comparison:
    """Servers that run, and what they are asked for."""

    def __init__(
        self, directory: Path, site: Path, pool: dict[str, str], options: argparse.Namespace
    ) -> None:
        """`pool` is what the pools of kraal and php-fpm need beside the usual."""
        self._directory, self._site, self._options = directory, site, options
        self._pm = servers.STATIC | pool
        self._places: list[Place] = []
        self._counts: dict[tuple[str, Case], int] = {}

    def start(self, stack: ExitStack, commands: dict[str, str]) -> None:
        """Start the servers that are asked for, on all ways that are."""
        options = self._options
        for name in [name for name in commands if name in options.servers]:
            for way in WAYS:
                if way not in options.ways:
                    continue
                place = self._directory / f"{name}-{way}"
                place.mkdir()
                shutil.copy(self._site / "php.ini", place)
                port = nginx.free_port() if way == "tcp" else None
                server = stack.enter_context(
                    servers.running(name, commands[name], place, options.scan_dir, pm=self._pm, port=port)
                )
                self._places.append(self._reach(stack, server, way, place))
        for name, start in (("mod_php", peers.mod_php), ("uwsgi", peers.uwsgi)):
            if name in options.servers and "http" in options.ways:
                place = self._directory / name
                place.mkdir()
                place.chmod(0o755)
                shutil.copy(self._site / "php.ini", place)
                other = stack.enter_context(start(place, self._site, options.scan_dir))
                self._places.append(Place(other, "http", "http", other.socket))
        for way in WAYS:
            if "canned" in options.servers and way in options.ways and way != "tcp":
                place = self._directory / f"canned-{way}"
                place.mkdir()
                self._places.append(self._reach(stack, stack.enter_context(peers.canned(place)), way, place))

    def _reach(self, stack: ExitStack, server: servers.Server, way: str, place: Path) -> Place:
        if way.startswith("http"):
            for script in self._site.glob("*.php"):
                (place / script.name).symlink_to(script)
            place.chmod(0o755)
            front = stack.enter_context(nginx.running(place, server.socket, kept=way == "http-kept"))
            return Place(server, "http", way, front.rpartition(":")[2])
        return Place(server, "fcgi", way, server.socket.rpartition(":")[2] if way == "tcp" else server.socket)

    def cases(self) -> Iterator[tuple[Case, list[Place]]]:
        """Each kind of request, with the places that can serve it."""
        for workload in self._options.workloads:
            for way in dict.fromkeys(place.way for place in self._places):
                for connection in ("new", "kept"):
                    for clients in self._options.clients:
                        case = Case(workload.name, way, connection, clients)
                        able = [
                            place
                            for place in self._places
                            if place.way == way and _can(place, case, workload)
                        ]
                        if able:
                            yield case, able

    def round(self, number: int) -> Iterator[Measurement]:
        """Every case on every server; who begins changes."""
        named = {workload.name: workload for workload in self._options.workloads}
        for index, (case, able) in enumerate(self.cases()):
            for place in able if (number + index) % 2 else able[::-1]:
                yield self._measure(number, named[case.workload], case, place)

    def _measure(self, number: int, workload: workloads.Workload, case: Case, place: Place) -> Measurement:
        task = self._task(workload, case, place)
        key = (place.server.name, case)
        if key not in self._counts:
            self._check(workload, place)
            first = answers.run(task, max(4, case.clients))
            if first.failures:
                raise SystemExit(f"{place.server.name} does not answer {case}")
            trial = answers.run(task, max(case.clients, int(_WARM_UP * first.requests / first.seconds)))
            self._counts[key] = max(
                2 * case.clients, int(self._options.seconds * trial.requests / trial.seconds)
            )
        answers.run(task, max(case.clients, self._counts[key] // 20))
        before = place.server.processor_ns()
        result = answers.run(task, self._counts[key])
        spent = place.server.processor_ns() - before
        return Measurement(
            round=number,
            server=place.server.name,
            case=case,
            requests=result.requests,
            failures=result.failures,
            cpu_us=spent / 1000 / result.requests,
            rate=result.requests / result.seconds,
            p50=result.p50,
            p99=result.p99,
            p999=result.p999,
        )

    def _check(self, workload: workloads.Workload, place: Place) -> None:
        """Once: whether it is the right answer."""
        if place.way == "unix":
            made = workloads.fastcgi(workload, self._site, keep=False)
            answer = load.learn_answer(place.address, made, workload.answer or None)
            if workload.part not in answer:
                raise SystemExit(f"{place.server.name} has no {workload.part!r} in its {workload.name}")

    def _task(self, workload: workloads.Workload, case: Case, place: Place) -> answers.Task:
        keep = case.connection == "kept"
        made = (
            workloads.http(workload, keep=keep)
            if place.protocol == "http"
            else workloads.fastcgi(workload, self._site, keep=keep)
        )
        file = self._directory / "request"
        file.write_bytes(made)
        return answers.Task(place.protocol, place.address, file, None, case.clients, keep)


def _can(place: Place, case: Case, workload: workloads.Workload) -> bool:
    """A kept FastCGI connection holds a worker, if it is not one of kraal's, for as long as it lasts.

    Applications are asked directly: each server in front would need rules of its own for them.
    """
    if workload.root and place.protocol != "fcgi":
        return False
    if place.server.name == "canned" and workload.name != "hello":
        return False
    kept = place.way == "http-kept" or (place.protocol == "fcgi" and case.connection == "kept")
    return not kept or place.server.name == "kraal" or case.clients <= peers.WORKERS


def ratios(found: list[Measurement], case: Case, server: str, what: str) -> list[float]:
    """A server's figure by php-fpm's, round by round; none where php-fpm has not taken part."""

    def figures(name: str) -> dict[int, float]:
        return {m.round: getattr(m, what) for m in found if m.case == case and m.server == name}

    theirs = figures("php-fpm")
    return [value / theirs[number] for number, value in figures(server).items() if theirs.get(number)]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})" if values else ""


def table(found: list[Measurement]) -> str:
    """The Markdown table: medians; a ratio has its extremes beside it."""
    lines = [
        "| workload | way | connection | clients | server | CPU, µs | by php-fpm's "
        "| requests/s | by php-fpm's | p50, µs | p99, µs |",
        "|---|---|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in dict.fromkeys(m.case for m in found):
        for server in dict.fromkeys(m.server for m in found if m.case == case):
            rows = [m for m in found if m.case == case and m.server == server]
            cells = [
                *(case.workload, case.way, case.connection, str(case.clients), server),
                f"{statistics.median(m.cpu_us for m in rows):.1f}",
                "" if server == "php-fpm" else _spread(ratios(found, case, server, "cpu_us")),
                f"{statistics.median(m.rate for m in rows):.0f}",
                "" if server == "php-fpm" else _spread(ratios(found, case, server, "rate")),
                f"{statistics.median(m.p50 for m in rows):.0f}",
                f"{statistics.median(m.p99 for m in rows):.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def floors(site: Path, names: list[str], scan_dir: str) -> dict[str, float]:
    """What the engine alone costs, of the workloads that need no body and no long time."""
    quick = [name for name in names if name in ("hello", "10k")]
    return {name: engine.measure(site / f"{name}.php", scan_dir, _ENGINE) for name in quick}


def draw(found: list[Measurement], file: Path) -> None:
    """Processor time by php-fpm's, of the cases in which both took part."""
    rows: dict[str, dict[str, float]] = {}
    for case in dict.fromkeys(m.case for m in found):
        label = f"{case.workload}, {case.connection}, {case.way}"
        bars = {
            server: statistics.median(values)
            for server in dict.fromkeys(m.server for m in found if m.case == case)
            if (values := ratios(found, case, server, "cpu_us"))
        }
        if len(bars) > 1:
            rows[label if label not in rows else f"{label}, {case.clients}"] = bars
    picture.draw(file, "Processor time of the workers per request, php-fpm = 1", rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--install", action="store_true", help="install the other servers from Debian first")
    parser.add_argument("--full", action="store_true", help="all workloads, ways and numbers of clients")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each measurement; default: 0.7")
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join((*BASIC, *applications.NAMES))}")
    parser.add_argument("--ways", metavar="WAY,…", help=f"of {', '.join(WAYS)}; default: unix,http")
    parser.add_argument("--clients", metavar="NUMBER,…", help="default: 4")
    parser.add_argument("--servers", metavar="NAME,…", default=",".join(SERVERS), help="default: all")
    parser.add_argument("--kraal", metavar="PATH", help="the kraal to measure (default: beside this Python)")
    parser.add_argument("--scan-dir", default="", metavar="DIR", help="load the extensions of this folder")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all measurements to this file")
    parser.add_argument("--picture", metavar="FILE.svg", type=Path, help="draw the ratios of processor time")
    options = parser.parse_args()
    options.only = (options.only or ",".join(BASIC if options.full else USUAL)).split(",")
    options.ways = (options.ways or (",".join(WAYS) if options.full else "unix,http")).split(",")
    options.clients = [int(n) for n in (options.clients or ("1,2,8,64" if options.full else "4")).split(",")]
    options.servers = options.servers.split(",")
    return options


def main() -> int:
    options = _options()
    if options.install:
        peers.install()
    commands = servers.commands(options.kraal)
    versions = {name: servers.php_version(command) for name, command in commands.items()}
    if len(set(versions.values())) != 1:
        raise SystemExit(f"the two run different PHPs, which cannot be compared: {versions}")
    directory = Path(tempfile.mkdtemp(prefix="kraal-bench-", dir="/tmp"))
    found: list[Measurement] = []
    try:
        directory.chmod(0o755)
        site = directory / "site"
        site.mkdir()
        basic = [workload for workload in workloads.BASIC if workload.name in options.only]
        servers.write_site(site, {f"{work.name}.php": work.code for work in basic})
        with open(site / "php.ini", "a") as ini:
            ini.write(workloads.INI)
        with ExitStack() as stack:
            more, pool = applications.prepare(stack, directory, options.only)
            options.workloads = basic + more
            if more and not options.scan_dir:
                options.scan_dir = applications.extensions(directory)
            comparison = Comparison(directory, site, pool, options)
            comparison.start(stack, commands)
            for number in range(options.rounds):
                found += comparison.round(number)
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        floor = floors(site, [work.name for work in options.workloads], options.scan_dir)
    finally:
        shutil.rmtree(directory)
    _report(options, found, floor, hello.machine(versions["kraal"]))
    return 1 if any(m.failures for m in found) else 0


def _report(
    options: argparse.Namespace, found: list[Measurement], floor: dict[str, float], machine: str
) -> None:
    failures, total = sum(m.failures for m in found), sum(m.requests for m in found)
    print(f"{machine}; {options.rounds} rounds, {total} requests, {failures} failed\n\n{table(found)}")
    for name, cost in floor.items():
        print(f"\n{name}: {cost:.1f} µs in the bare engine, without a server")
    if options.json:
        report = {"machine": machine, "engine_us": floor, "measurements": [asdict(m) for m in found]}
        options.json.write_text(json.dumps(report, indent=1) + os.linesep)
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    sys.exit(main())
