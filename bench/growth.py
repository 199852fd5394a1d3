"""What master and managers cost while there is more and more of something.

    python bench/growth.py [--only WHAT,…] [--numbers N,…] [--seconds S] [--json FILE] [--picture FILE.svg]

- workers: a dynamic pool that has so many.
- pools: so many, of which one is asked and the others sleep.
- kept: so many connections are kept and idle, while requests come on others.
- queued: so many requests wait in the queue, as all workers are busy; later each answer is followed by
  another request.

Prints for each number the processor time of master and managers while nothing is asked, in microseconds a
second, and while four clients ask, in microseconds a request; beside it that of the workers.  A queue has no
more room than net.core.somaxconn, which a network namespace of its own may have larger (`unshare -n`).
"""

import argparse
import json
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import answers
import hello
import load
import params
import picture
import servers

_THOUSAND = (1, 10, 100, 1000)
NUMBERS = {
    "workers": _THOUSAND,
    "pools": _THOUSAND,
    "kept": (*_THOUSAND, 10_000),
    "queued": (*_THOUSAND, 10_000),
}
_CLIENTS = 4
_WARM_UP = 500  # requests
_SETTLE = 2.0  # seconds
_AT_MOST = 60.0
_GATE = "<?php touch('{place}/' . getmypid()); while (!file_exists('{place}/gate')) usleep(20000);"
# 16 workers have room for 10,000 connections.
_CROWD = {"pm": "static", "pm.max_children": "16", "rlimit_files": "20000", "listen.backlog": "16384"}
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@dataclass(frozen=True)
class Measurement:
    """One server with so many of something; processor time in microseconds."""

    server: str
    what: str
    number: int
    idle: float  # of master and managers, a second
    overhead: float  # of master and managers, a request
    work: float  # of the workers, a request
    requests: int
    failures: int


@dataclass(frozen=True)
class Scene:
    """How a server is set up, who waits while nothing is asked, and how many ask then."""

    pm: dict[str, str]
    more: str = ""
    waiting: Callable[[servers.Server], AbstractContextManager[None]] = lambda _: nullcontext()
    meanwhile: bool = False  # they wait while others ask, too
    clients: int = _CLIENTS


class Growth:
    """Scripts, and the scenes in which they are asked for."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self._directory, self._seconds = directory, seconds
        (place := directory / "gate").mkdir()
        place.chmod(0o777)
        self._gate = place
        scripts = {"hello.php": "<?php echo 'hello';", "gate.php": _GATE.format(place=place)}
        servers.write_site(directory, scripts)

    def scene(self, what: str, number: int) -> Scene:
        if what == "workers":
            spare = {"pm.start_servers": number, "pm.min_spare_servers": 1, "pm.max_spare_servers": number}
            sizes = {"pm.max_children": number, **spare}
            return Scene({"pm": "dynamic"} | {name: str(size) for name, size in sizes.items()})
        if what == "pools":
            asleep = {"pm": "ondemand", "pm.max_children": "4"}
            others = (
                servers.section(f"pool{n}", f"{self._directory}/{n}.sock", asleep) for n in range(1, number)
            )
            return Scene(servers.STATIC, "".join(others))
        if what == "kept":
            return Scene(_CROWD, waiting=lambda server: self._kept(server, number), meanwhile=True)
        clients = number + int(_CROWD["pm.max_children"])
        return Scene(_CROWD, waiting=lambda server: self._queued(server, number), clients=clients)

    def measure(self, name: str, command: str, what: str, number: int) -> Measurement:
        """Start a server, and let it be idle and busy."""
        scene = self.scene(what, number)
        with tempfile.TemporaryDirectory(dir=self._directory) as place, ExitStack() as stack:
            servers.write_site(Path(place), {})
            running = servers.running(name, command, Path(place), "", pm=scene.pm, more=scene.more)
            server = stack.enter_context(running)
            time.sleep(_SETTLE)
            with scene.waiting(server):
                idle = self._idle(server)
                if scene.meanwhile:
                    return self._busy(server, what, number, scene.clients, idle)
            return self._busy(server, what, number, scene.clients, idle)

    def _idle(self, server: servers.Server) -> float:
        overseers = server.overseers()
        before = servers.processor_ns(overseers)
        time.sleep(self._seconds)
        return (servers.processor_ns(overseers) - before) / 1000 / self._seconds

    def _busy(self, server: servers.Server, what: str, number: int, clients: int, idle: float) -> Measurement:
        request = self._directory / "request"
        request.write_bytes(params.encode(self._directory / "hello.php", keep=False))
        task = answers.Task("fcgi", server.socket, request, None, clients, False)
        trial = answers.run(task, max(_WARM_UP, 2 * clients))
        overseers = server.overseers()
        overhead, work = servers.processor_ns(overseers), server.processor_ns()
        result = answers.run(task, max(2 * clients, int(self._seconds * trial.requests / trial.seconds)))
        return Measurement(
            server=server.name,
            what=what,
            number=number,
            idle=idle,
            overhead=(servers.processor_ns(overseers) - overhead) / 1000 / result.requests,
            work=(server.processor_ns() - work) / 1000 / result.requests,
            requests=result.requests + trial.requests,
            failures=result.failures + trial.failures,
        )

    @contextmanager
    def _kept(self, server: servers.Server, number: int) -> Iterator[None]:
        """Connections that have had an answer, and stay."""
        request = params.encode(self._directory / "hello.php", keep=True)
        answer = load.learn_answer(server.socket, request, b"hello")
        with ExitStack() as stack:
            connections = []
            for _ in range(number):
                connections.append(stack.enter_context(load._connect(server.socket)))
                connections[-1].sendall(request)
                load._read(connections[-1], len(answer))
            yield
            closed = sum(map(_is_closed, connections))
            if closed:
                print(f"{server.name} has closed {closed} of {number} kept connections", file=sys.stderr)

    @contextmanager
    def _queued(self, server: servers.Server, number: int) -> Iterator[None]:
        """Requests that nobody has taken, behind one for each worker that takes its time."""
        with ExitStack() as stack:
            connections = []
            for script, count in (("gate.php", len(server.workers)), ("hello.php", number)):
                request = params.encode(self._directory / script, keep=False)
                for _ in range(count):
                    connections.append(stack.enter_context(load._connect(server.socket)))
                    connections[-1].sendall(request)
                _wait(lambda: len(os.listdir(self._gate)) == len(server.workers), "all workers are busy")
            yield
            (self._gate / "gate").touch()
            for connection in connections:
                load._read(connection, 1)
                connection.close()  # a worker of php-fpm waits for that
        for file in self._gate.iterdir():
            file.unlink()


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _AT_MOST
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"it is not so that {what}")
        time.sleep(0.01)


def _is_possible(server: str, what: str, number: int) -> bool:
    """A kept connection holds a worker of php-fpm."""
    if what == "queued":
        return number + int(_CROWD["pm.max_children"]) < int(_SOMAXCONN.read_text())
    return what != "kept" or server == "kraal"


def table(found: list[Measurement]) -> str:
    """The Markdown table."""
    lines = [
        "| | number | server | idle, µs/s | busy, µs/request | workers, µs/request |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for m in found:
        figures = f"{m.idle:.0f} | {m.overhead:.2f} | {m.work:.1f}"
        lines.append(f"| {m.what} | {m.number:,} | {m.server} | {figures} |")
    return "\n".join(lines)


def draw(found: list[Measurement], file: Path) -> None:
    """A panel for each figure, a line for each server and what there is more and more of."""
    units = {
        "overhead": "Master and managers, µs a request",
        "idle": "Master and managers while nothing is asked, µs a second",
        "work": "Workers, µs a request",
    }
    panels: dict[str, dict[str, dict[int, float]]] = {unit: {} for unit in units.values()}
    for m in found:
        for figure, unit in units.items():
            panels[unit].setdefault(f"{m.what}, {m.server}", {})[m.number] = getattr(m, figure)
    picture.lines(file, "What more and more of something costs", panels)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="WHAT,…", default=",".join(NUMBERS), help="default: all")
    parser.add_argument("--numbers", metavar="N,…", help="default: 1 to 1,000, of connections to 10,000")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement; default: 10")
    parser.add_argument("--servers", metavar="NAME,…", default="kraal", help="kraal, php-fpm; default: kraal")
    parser.add_argument("--kraal", metavar="PATH", help="the kraal to measure (default: beside this Python)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all measurements to this file")
    parser.add_argument("--picture", metavar="FILE.svg", type=Path, help="draw them")
    return parser.parse_args()


def main() -> int:
    options = _options()
    commands = servers.commands(options.kraal)
    machine = hello.machine(servers.php_version(commands["kraal"]))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    with tempfile.TemporaryDirectory(prefix="kraal-growth-", dir="/tmp") as name:
        growth = Growth(Path(name), options.seconds)
        for what in options.only.split(","):
            numbers = [int(n) for n in options.numbers.split(",")] if options.numbers else NUMBERS[what]
            for server in options.servers.split(","):
                for number in numbers:
                    if not _is_possible(server, what, number):
                        print(f"left out: {number} {what} with {server}", file=sys.stderr)
                        continue
                    found.append(growth.measure(server, commands[server], what, number))
                    print(found[-1], file=sys.stderr)
    failures = sum(m.failures for m in found)
    print(f"{machine}; {sum(m.requests for m in found)} requests, {failures} failed\n\n{table(found)}")
    if options.json:
        report = {"machine": machine, "measurements": [asdict(m) for m in found]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.picture:
        draw(found, options.picture)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
