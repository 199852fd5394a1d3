"""A start: from the command to the first answered request, kraal beside php-fpm.

    python bench/startup.py [--rounds N] [--kraal COMMAND]...

One pool of one static worker, once with the extensions that Debian's php-fpm loads and once with OPcache
only.  The servers take turns, and who begins changes.  A client tries to connect once a millisecond.  Prints
medians of milliseconds with the range: how long it takes, and the processor time of all processes of the
server until then.  `--kraal` may be given more than once, to compare versions.
"""

import argparse
import socket
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import params
import servers

PM = {"pm": "static", "pm.max_children": "1"}
_ANSWER = b"started"
_AT_MOST = 20.0


@dataclass(frozen=True)
class Start:
    """One start; milliseconds."""

    elapsed: float
    processor: float


def measure(name: str, command: str, *, extensions: str | None) -> Start:
    """Start a server and ask it; `extensions` is a folder of ini files, None means OPcache only."""
    with tempfile.TemporaryDirectory(prefix="kraal-startup-") as folder:
        directory, empty = Path(folder), Path(folder) / "empty"
        empty.mkdir()
        servers.write_site(directory, {"started.php": _ANSWER.decode()})
        if extensions:
            # The folder says which OPcache is loaded.
            (directory / "php.ini").write_text("")
        server = servers.launch(name, command, directory, extensions or str(empty), pm=PM)
        try:
            _ask(server, params.encode(f"{directory}/started.php", keep=False))
            return Start((time.monotonic() - server.begun) * 1e3, server.processor_ns() / 1e6)
        finally:
            servers.stop(server.process)


def _ask(server: servers.Launched, request: bytes) -> None:
    while server.process.poll() is None and time.monotonic() - server.begun < _AT_MOST:
        with suppress(FileNotFoundError, ConnectionRefusedError, PermissionError):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_AT_MOST)
                connection.connect(server.socket)
                connection.sendall(request)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            if _ANSWER in answer:
                return
            break
        time.sleep(0.001)
    raise SystemExit(f"{server.socket} does not answer; its log says:\n{server.log.read_text()}")


def _range(figures: Iterable[float]) -> str:
    found = sorted(figures)
    return f"{statistics.median(found):.0f} ({found[0]:.0f} to {found[-1]:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--kraal", action="append", help="a command to measure; else the one beside this Python"
    )
    options = parser.parse_args()
    found = servers.commands(None if options.kraal is None else options.kraal[0])
    kraals = dict.fromkeys(options.kraal or [found["kraal"]], "kraal")
    commands = {**kraals, found["php-fpm"]: "php-fpm"}
    confd = f"/etc/php/{'.'.join(servers.php_version(found['php-fpm']).split('.')[:2])}/fpm/conf.d"
    print("| extensions | server | start, ms | processor time, ms |\n|---|---|---:|---:|")
    for what, extensions in (("Debian's", confd), ("OPcache", None)):
        starts: dict[str, list[Start]] = {command: [] for command in commands}
        for number in range(options.rounds):
            turn = list(commands) if number % 2 else list(commands)[::-1]
            for command in turn:
                starts[command].append(measure(commands[command], command, extensions=extensions))
        for command, name in commands.items():
            shown = f"{name} ({command})" if len(kraals) > 1 and name == "kraal" else name
            elapsed = _range(each.elapsed for each in starts[command])
            print(f"| {what} | {shown} | {elapsed} | {_range(each.processor for each in starts[command])} |")


if __name__ == "__main__":
    main()
