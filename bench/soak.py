"""Everything at once, for long: many requests of many kinds while kraal reloads again and again.

    python bench/soak.py [--requests N] [--reload-every SECONDS] [--application SCRIPT --uri URI]

Three pools (static, dynamic, ondemand) answer clients that count what becomes of each request (clients.c), on
new and, in the static pool, on kept connections.  Beside these a visitor of each pool uploads files, causes
fatal errors, leaves in the middle of answers, and in the dynamic and ondemand pools crashes workers.  With
--application it also asks for pages of an installed application, like Debian's WordPress.

At the end nothing may have been lost, `kraal metrics` must count as many answers as were got, and master and
managers must have no more descriptors, processes or memory than after the first reload.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import servers
import visitors
from clients import Clients, Plan, Result
from visitors import Visitor, Visits

POOLS = {
    "static": {"pm": "static", "pm.max_children": "4"},
    "dynamic": {
        "pm": "dynamic",
        "pm.max_children": "4",
        "pm.start_servers": "1",
        "pm.min_spare_servers": "1",
        "pm.max_spare_servers": "2",
        "pm.max_requests": "5000",
    },
    "ondemand": {
        "pm": "ondemand",
        "pm.max_children": "4",
        "pm.process_idle_timeout": "1s",
        "pm.max_requests": "3000",
    },
}
SCRIPTS = {"id.php": "<?php header('Content-Length: 12'); echo $_GET['id'];", **visitors.SCRIPTS}
_GROWTH = 1.1  # of memory, which is none


@dataclass(frozen=True)
class Footprint:
    """What master and managers have."""

    processes: int
    descriptors: int
    memory: int  # KB, PSS

    @classmethod
    def of(cls, pids: list[int]) -> "Footprint":
        descriptors = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
        return cls(len(pids), descriptors, sum(map(_pss, pids)))


def _pss(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


class Soak:
    """A server with the three pools, and those who ask it."""

    def __init__(self, directory: Path, command: str, application: tuple[str, str] | None) -> None:
        self._directory = directory
        self._command = shlex.split(command)
        self._log = directory / "log"
        self._configuration = directory / "kraal.conf"
        self._pid_file = directory / "kraal.pid"
        self._application = application
        servers.write_site(directory, SCRIPTS)
        self._configuration.write_text(self._text())
        self._process = subprocess.Popen(
            [*self._command, "-F", "-c", f"{directory}/php.ini", "-y", str(self._configuration)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ready(1)
        self.reloads = 0

    def _text(self) -> str:
        account = "user = www-data\ngroup = www-data\n" if os.geteuid() == 0 else ""
        lines = [
            f"[global]\nerror_log = {self._log}\npid = {self._pid_file}\nprocess_control_timeout = 30s\n"
        ]
        for pool, settings in POOLS.items():
            lines.append(f"[{pool}]\n{account}listen = {self._address(pool)}\nlisten.mode = 0666\n")
            lines.append("listen.backlog = 4096\n")
            lines += [f"{name} = {value}\n" for name, value in settings.items()]
        return "".join(lines)

    def _address(self, pool: str) -> str:
        return f"{self._directory}/{pool}.sock"

    def _ready(self, times: int) -> None:
        deadline = time.monotonic() + 60
        while not self._log.exists() or self._log.read_text().count("ready to handle connections") < times:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"kraal is not ready; its log says:\n{self._log.read_text()}")
            time.sleep(0.05)

    def reload(self) -> None:
        self.reloads += 1
        self._process.send_signal(signal.SIGUSR2)
        self._ready(self.reloads + 1)

    def footprint(self) -> Footprint:
        """When the old generation has left, and the ondemand pool sleeps."""
        deadline = time.monotonic() + 60
        while True:
            parents, master = servers.descendants(self._process.pid), self._process.pid
            pids = [master, *(pid for pid, parent in parents.items() if parent == master)]
            # The ondemand pool has no manager when it sleeps.
            if len(pids) <= len(POOLS) or time.monotonic() > deadline:
                return Footprint.of(pids)
            time.sleep(0.2)

    def answers(self) -> int:
        """What the ledger has, of all pools."""
        shown = subprocess.run(
            [*self._command, "metrics", "-y", str(self._configuration)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        counts = [line.split()[-1] for line in shown.splitlines() if line.startswith("kraal_requests_total{")]
        return sum(int(float(count)) for count in counts)

    def clients(self) -> list[Clients]:
        script = f"{self._directory}/id.php"
        plans = [Plan(self._address(pool), script, kept=False, clients=3, seconds=1e6) for pool in POOLS]
        plans.append(Plan(self._address("static"), script, kept=True, clients=2, seconds=1e6))
        return [Clients(plan) for plan in plans]

    def visitors(self) -> list[Visitor]:
        return [
            Visitor(
                self._address(pool), self._directory, crashes=pool != "static", application=self._application
            )
            for pool in POOLS
        ]

    def stop(self) -> None:
        servers.stop(self._process)


def soak(server: Soak, requests: int, every: float) -> bool:
    """Let so many requests come, and say what became of them."""
    guests = server.visitors()
    if not all(guest.error() for guest in guests):
        raise SystemExit("the server does not answer")
    server.reload()
    before = server.footprint()
    clients = server.clients()
    for guest in guests:
        guest.start()
    next_reload = time.monotonic() + every
    while (answers := server.answers()) < requests:
        print(f"{answers:,} answers, {server.reloads} reloads", file=sys.stderr)
        if time.monotonic() >= next_reload:
            server.reload()
            next_reload = time.monotonic() + every
        time.sleep(2)
    visits = [guest.end() for guest in guests]
    for each in clients:
        each.stop()
    results = [each.result() for each in clients]
    server.reload()
    return report(server, results, visits, before)


def report(server: Soak, results: list[Result], visits: list[Visits], before: Footprint) -> bool:
    """Print everything, and return whether all is well."""
    done = sum((each.done for each in visits), Counter[str]())
    wrong = sum((each.wrong for each in visits), Counter[str]())
    lost = sum((Counter(each.failed) for each in results), Counter[str]())
    got = sum(each.answered for each in results) + sum(done[kind] for kind in visitors.ANSWERED) + len(POOLS)
    counted, after = server.answers(), server.footprint()
    print(f"{got:,} answers in {server.reloads} reloads; `kraal metrics` has {counted:,}")
    print(f"lost: {dict(lost) or 0}; longest wait {max(each.longest for each in results):.0f} ms")
    print(f"visits: {dict(done)}; wrong: {dict(wrong) or 0}")
    print(f"before: {before}\nafter:  {after}")
    grown = (
        after.processes > before.processes
        or after.descriptors > before.descriptors
        or after.memory > before.memory * _GROWTH
    )
    return not (lost or wrong or grown) and got == counted


def main() -> int:
    """Returns 1 if anything was lost or has grown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--reload-every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--application", metavar="SCRIPT", help="index.php of an installed application")
    parser.add_argument("--uri", default="/", help="of its page")
    parser.add_argument("--kraal", help="the command; else the one beside this Python")
    options = parser.parse_args()
    application = (options.application, options.uri) if options.application else None
    with tempfile.TemporaryDirectory(prefix="kraal-soak-") as folder:
        server = Soak(Path(folder), servers.commands(options.kraal)["kraal"], application)
        try:
            return int(not soak(server, options.requests, options.reload_every))
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
