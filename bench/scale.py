"""Many pools and many workers: what they cost to start, to reload and to keep.

    python bench/scale.py [--only WHAT] [--kraal COMMAND]

Prints a line for each host: 1, 10, 100 and 1000 ondemand pools that nobody uses, 200 pools with a worker
each, and a pool with 1000 workers.  Seconds are those until all pools serve; PSS is
that of all processes together.
"""

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import servers

DORMANT = (1, 10, 100, 1000)
_PATIENCE = 300.0
_READY = "ready to handle connections"


@dataclass(frozen=True)
class Host:
    """A configuration with many of something."""

    name: str
    pools: int
    directives: tuple[tuple[str, str], ...]
    workers: int = 0


def hosts(dormant: Sequence[int]) -> Iterator[Host]:
    """What is measured."""
    for number in dormant:
        yield Host(f"{number} dormant", number, (("pm", "ondemand"), ("pm.max_children", "5")))
    static = ("pm", "static")
    yield Host("200 x 1 worker", 200, (static, ("pm.max_children", "1")), 200)
    yield Host("1 x 1000 workers", 1, (static, ("pm.max_children", "1000")), 1000)


@dataclass(frozen=True)
class Figures:
    start: float
    reload: float
    pss: int
    processes: int
    descriptors: int  # of the master

    def __str__(self) -> str:
        pss, seconds = f"{self.pss / 1e6:8.1f} MB", f"{self.start:8.2f} s {self.reload:8.2f} s"
        return f"{seconds} {pss} {self.processes:10d} {self.descriptors:12d}"


def measure(host: Host, command: str) -> Figures:
    """Start a host, reload it, look at it, and stop it."""
    with tempfile.TemporaryDirectory(prefix="kraal-scale-") as folder:
        directory = Path(folder)
        servers.write_site(directory, {})
        (directory / "fpm.conf").write_text(_configuration(directory, host))
        with _running(directory, command) as (process, start):
            _wait(lambda: len(servers.leaves(process.pid)) >= host.workers, "all workers are there")
            begin = time.monotonic()
            subprocess.run([command, "reload", "--pid", str(process.pid)], check=True)
            took = time.monotonic() - begin
            # The managers that were only to try PHP have left, and those of before the reload.
            expected = 1 + (2 * host.pools + host.workers if host.workers else 0)
            _wait(lambda: len(_family(process.pid)) == expected, "nobody else is left")
            pids = _family(process.pid)
            descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
            return Figures(start, took, sum(map(_pss, pids)), len(pids), descriptors)


def _configuration(directory: Path, host: Host) -> str:
    text = f"[global]\nerror_log = {directory}/log\npid = {directory}/pid\n"
    for number in range(host.pools):
        text += servers.section(f"pool{number}", f"{directory}/{number}.sock", dict(host.directives))
    return text


@contextmanager
def _running(directory: Path, command: str) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """The master, and how long it took to serve."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [command, "-F", "-c", f"{directory}/php.ini", "-y", f"{directory}/fpm.conf"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PHP_INI_SCAN_DIR": str(directory)},
    )
    log = directory / "log"
    try:
        _wait(lambda: log.exists() and _READY in log.read_text(), "it serves", process)
        yield process, time.monotonic() - begin
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait(condition: Callable[[], bool], what: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline or (process and process.poll() is not None):
            raise SystemExit(f"it is not so that {what}")
        time.sleep(0.005)


def _family(root: int) -> set[int]:
    """A process and all below it."""
    return servers.descendants(root).keys() | {root}


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kraal", help="the command to measure; else the one beside this Python")
    parser.add_argument("--only", help="hosts whose name has this in it")
    options = parser.parse_args()
    command = servers.commands(options.kraal)["kraal"]
    print(f"{'':18} {'start':>10} {'reload':>10} {'PSS':>11} {'processes':>10} {'descriptors':>12}")
    for host in hosts(DORMANT):
        if not options.only or options.only in host.name:
            print(f"{host.name:18} {measure(host, command)}", flush=True)


if __name__ == "__main__":
    main()
