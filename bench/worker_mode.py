"""A Symfony application in worker mode on kraal, and as usual on php-fpm, side by side.

    python bench/worker_mode.py [--rounds N] [--growth N]
    python bench/worker_mode.py --fork [--rounds N]

Both servers run at the same time with the same php.ini and four workers each; on kraal three of them
are residents, and one is for other scripts.  In every round each server does the same requests on kept
connections; who begins changes from round to round.  Needs Debian's php-symfony-framework-bundle and
php-symfony-twig-bundle.  Prints a Markdown table.
--growth has kraal do so many small requests more, and says what memory they left.
--fork compares worker.fork with residents of which each boots: the memory of 8 residents after some requests,
and the time from the end of the only resident to the next answer (the median of so many rounds).
"""

import argparse
import statistics
import sys
import tempfile
import time
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import applications
import forking
import load
import params
import servers
from forking import memory

PAGES = {"hello": "/hello/world", "list": "/list/50", "json": "/api/items?q=gate"}
REQUESTS = {"hello": 2000, "list": 1000, "json": 2000}
_WARM_UP = 100
_ALONE = 500  # requests of one client, for their latency


class Figures(NamedTuple):
    """Of one server, one page and one round."""

    cpu_us: float  # of the workers, per request
    slow_us: float  # 99th percentile
    rate: float  # requests a second
    failures: int


def prepare(directory: Path) -> dict[str, str]:
    """The application.  Gives the pool's settings."""
    servers.write_site(directory, {})
    _, pool = applications.symfony(directory)
    return {
        **servers.STATIC,
        **pool,
        "php_admin_value[opcache.validate_timestamps]": "0",
        "php_admin_value[expose_php]": "0",
    }


def latencies(address: str, request: bytes, answer: bytes) -> list[float]:
    """Of requests one after the other, in microseconds."""
    found = []
    with load._connect(address) as connection:
        for _ in range(_ALONE):
            before = time.perf_counter()
            connection.sendall(request)
            load._read(connection, len(answer))
            found.append((time.perf_counter() - before) * 1e6)
    return sorted(found)


def measure(server: servers.Server, page: str, pool: Pool, directory: Path) -> Figures:
    """Warm up, then measure."""
    request = params.encode(f"{directory}/symfony/index.php", PAGES[page], keep=True)
    answer = load.learn_answer(server.socket, request, None)
    load.run(pool, load.Task(server.socket, request, answer, _WARM_UP, True))
    before = server.processor_ns()
    count = REQUESTS[page] // load.CLIENTS
    result = load.run(pool, load.Task(server.socket, request, answer, count, True))
    spent = server.processor_ns() - before
    slow = latencies(server.socket, request, answer)[_ALONE * 99 // 100]
    rate = result.requests / result.seconds
    return Figures(spent / 1000 / result.requests, slow, rate, result.failures)


def grow(server: servers.Server, count: int, pool: Pool, directory: Path) -> str:
    """Memory before and after so many requests."""
    request = params.encode(f"{directory}/symfony/index.php", PAGES["hello"], keep=True)
    answer = load.learn_answer(server.socket, request, None)
    load.run(pool, load.Task(server.socket, request, answer, 2000, True))
    before = memory(server.workers, "Rss")
    result = load.run(pool, load.Task(server.socket, request, answer, count // load.CLIENTS, True))
    after = memory(server.workers, "Rss")
    told = f"{result.requests} requests, {result.failures} failed"
    return f"{told}; resident memory in KB: {before}, then {after}"


def table(found: dict[tuple[str, str], list[Figures]]) -> str:
    """The Markdown table: medians, and kraal's figure by php-fpm's."""
    lines = ["| page | | kraal, worker mode | php-fpm | ratio |", "|---|---|---:|---:|---:|"]
    for page in PAGES:
        for index, what in enumerate(("CPU, µs", "p99, µs", "requests/s")):
            ours, theirs = (
                statistics.median(row[index] for row in found[page, name]) for name in ("kraal", "php-fpm")
            )
            lines.append(f"| {page} | {what} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=int, default=0, metavar="REQUESTS")
    parser.add_argument("--fork", action="store_true")
    parser.add_argument("--kraal", help="the command")
    arguments = parser.parse_args()
    commands = servers.commands(arguments.kraal)
    with tempfile.TemporaryDirectory() as name, load.clients() as pool:
        directory = Path(name)
        pm = prepare(directory)
        resident = pm | {"worker.script": f"{directory}/symfony/index.php"}
        ini = applications.extensions(directory)
        if arguments.fork:
            print(
                forking.measure(commands["kraal"], directory, ini, resident, PAGES["json"], arguments.rounds)
            )
            return 0
        with (
            servers.running("kraal", commands["kraal"], directory, ini, pm=resident) as ours,
            servers.running("php-fpm", commands["php-fpm"], directory, ini, pm=pm) as theirs,
        ):
            found: dict[tuple[str, str], list[Figures]] = {}
            for number in range(arguments.rounds):
                for page in PAGES:
                    for server in (ours, theirs)[:: 1 if number % 2 else -1]:
                        figures = measure(server, page, pool, directory)
                        found.setdefault((page, server.name), []).append(figures)
            print(table(found))
            shares = [memory(each.workers, "Pss") for each in (ours, theirs)]
            print(f"\nPSS of the workers in KB: kraal {shares[0]}, php-fpm {shares[1]}")
            if arguments.growth:
                print(grow(ours, arguments.growth, pool, directory))
    return int(any(row.failures for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
