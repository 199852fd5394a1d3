"""Worker CPU per small request: kraal against php-fpm, in one interleaved run.

    python bench/hello.py [--rounds N] [--json FILE] [--access-log FORMAT]

Both servers run at the same time from the same configuration and php.ini: four static workers, OPcache
with timestamps validated, a unix socket each.  In every round each server does the same requests; who
begins changes from round to round.  A ratio is taken inside a round, so that what else the machine does
counts for both.  Prints a Markdown table; ends with 1 if a request failed.
"""

import argparse
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.pool import Pool
from pathlib import Path

import load
import params
import servers

SIZES = {"hello": 5, "10 KB": 10_000, "1 MB": 1_000_000}
REQUESTS = {"hello": 24_000, "10 KB": 16_000, "1 MB": 1_600}
CONNECTIONS = {"new": False, "kept": True}
_WARM_UP = 400
CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Measurement:
    """One server, one kind of request, one round."""

    round: int
    server: str
    response: str
    connection: str
    requests: int
    failures: int
    cpu_us: float  # of the workers, per request
    rate: float  # requests per second


def body(response: str) -> bytes:
    """What the script of this name prints."""
    return b"x" * SIZES[response]


def script(response: str) -> str:
    return f"{SIZES[response]}.php"


def measure_round(
    number: int, pair: list[servers.Server], pool: Pool, directory: Path, requests: dict[str, int]
) -> list[Measurement]:
    """Every kind of request on both servers; who begins changes from kind to kind and round to round."""
    found = []
    for index, (response, connection) in enumerate(itertools.product(requests, CONNECTIONS)):
        order = pair if (number + index) % 2 else pair[::-1]
        for server in order:
            count = requests[response]
            found.append(measure(number, server, response, connection, count, pool, directory))
    return found


def measure(
    number: int,
    server: servers.Server,
    response: str,
    connection: str,
    requests: int,
    pool: Pool,
    directory: Path,
) -> Measurement:
    """Warm up, then measure."""
    keep = CONNECTIONS[connection]
    request = params.encode(f"{directory}/{script(response)}", keep=keep)
    answer = load.learn_answer(server.socket, request, body(response))
    warm_up = load.Task(server.socket, request, answer, _WARM_UP // load.CLIENTS, keep)
    warmed = load.run(pool, warm_up)
    before = server.processor_ns()
    task = load.Task(server.socket, request, answer, requests // load.CLIENTS, keep)
    result = load.run(pool, task)
    spent = server.processor_ns() - before
    return Measurement(
        round=number,
        server=server.name,
        response=response,
        connection=connection,
        requests=result.requests,
        failures=result.failures + warmed.failures,
        cpu_us=spent / 1000 / result.requests,
        rate=result.requests / result.seconds,
    )


def table(found: list[Measurement]) -> str:
    """The Markdown table: medians; a ratio is kraal's figure by php-fpm's, with its extremes."""
    lines = [
        "| response | connection | kraal, µs | php-fpm, µs | ratio of CPU | ratio of requests/s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    kinds = list(dict.fromkeys((m.response, m.connection) for m in found))
    for response, connection in kinds:
        rows = [m for m in found if (m.response, m.connection) == (response, connection)]
        ours = [m for m in sorted(rows, key=lambda m: m.round) if m.server == "kraal"]
        theirs = [m for m in sorted(rows, key=lambda m: m.round) if m.server == "php-fpm"]
        cpu = [a.cpu_us / b.cpu_us for a, b in zip(ours, theirs, strict=True)]
        rate = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
        cells = [
            response,
            connection,
            f"{statistics.median(m.cpu_us for m in ours):.1f}",
            f"{statistics.median(m.cpu_us for m in theirs):.1f}",
            _spread(cpu),
            _spread(rate),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def machine(php: str) -> str:
    """One line about where this ran."""
    facts = dict(line.split("\t: ", 1) for line in CPU_FACTS.read_text().splitlines() if "\t: " in line)
    cpu = facts.get("model name", platform.machine())
    day = time.strftime("%Y-%m-%d")
    return f"{os.cpu_count()} cores ({cpu}), Linux {platform.release()}, PHP {php}, {day}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Worker CPU per small request, kraal against php-fpm.")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--json", metavar="FILE", help="write all measurements to this file")
    parser.add_argument("--only", choices=SIZES, help="measure this response only")
    parser.add_argument("--kraal", metavar="PATH", help="the kraal to measure (default: beside this Python)")
    parser.add_argument(
        "--scan-dir", default="", metavar="DIR", help="load the extensions of this folder too (default: none)"
    )
    parser.add_argument(
        "--access-log", metavar="FORMAT", help="write an access log of this format (`json`: kraal only)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commands = servers.commands(options.kraal)
    versions = {name: servers.php_version(command) for name, command in commands.items()}
    if len(set(versions.values())) != 1:
        raise SystemExit(f"the two run different PHPs, which cannot be compared: {versions}")
    requests = {name: count for name, count in REQUESTS.items() if options.only in (None, name)}
    directory = Path(tempfile.mkdtemp(prefix="kraal-bench-", dir="/tmp"))
    try:
        found = run(options.rounds, commands, directory, options.scan_dir, requests, options.access_log)
    finally:
        shutil.rmtree(directory)
    described = machine(versions["kraal"])
    failures = sum(m.failures for m in found)
    total = sum(m.requests for m in found)
    print(f"{described}; {options.rounds} rounds, {total} requests, {failures} failed\n\n{table(found)}")
    if options.json:
        report = {"machine": described, "measurements": [asdict(m) for m in found]}
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if failures else 0


def run(
    rounds: int,
    commands: dict[str, str],
    directory: Path,
    scan_dir: str,
    requests: dict[str, int],
    access_log: str | None,
) -> list[Measurement]:
    """All rounds; both servers stay up meanwhile."""
    servers.write_site(
        directory, {script(name): f"<?php echo str_repeat('x', {SIZES[name]});" for name in SIZES}
    )
    found: list[Measurement] = []

    def pm(name: str) -> dict[str, str]:
        if access_log is None:
            return servers.STATIC
        log = {"access.log": f"{directory}/{name}.access", "access.format": f'"{access_log}"'}
        return servers.STATIC | log

    with (
        load.clients() as pool,
        servers.running("kraal", commands["kraal"], directory, scan_dir, pm=pm("kraal")) as ours,
        servers.running("php-fpm", commands["php-fpm"], directory, scan_dir, pm=pm("php-fpm")) as theirs,
    ):
        for number in range(rounds):
            found += measure_round(number, [ours, theirs], pool, directory, requests)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
