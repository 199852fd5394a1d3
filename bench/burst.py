"""A burst on a dynamic pool: how long until all requests run, kraal beside php-fpm.

    python bench/burst.py [--rounds N] [--kraal COMMAND] [--only NAME]

2 workers are idle when 32 requests come, each on a connection of its own; none ends before all of them run.
Prints milliseconds from the first byte sent, the median and the range.
"""

import argparse
import os
import socket
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import load
import params
import servers

REQUESTS = 32
PM = {
    "pm": "dynamic",
    "pm.max_children": str(REQUESTS),
    "pm.start_servers": "2",
    "pm.min_spare_servers": "1",
    "pm.max_spare_servers": "3",
}
_AT_MOST = 60.0
_SCRIPT = "touch('{place}/' . getmypid()); while (!file_exists('{place}/gate')) usleep(20000);"


def measure(name: str, command: str) -> float:
    """Milliseconds of one burst on a fresh server."""
    with tempfile.TemporaryDirectory(prefix="kraal-burst-") as folder, ExitStack() as stack:
        directory, place = Path(folder), Path(folder) / "place"
        place.mkdir()
        place.chmod(0o777)
        servers.write_site(directory, {"warm.php": "x", "burst.php": f"<?php {_SCRIPT.format(place=place)}"})
        server = stack.enter_context(servers.running(name, command, directory, str(place), pm=PM))
        load.learn_answer(server.socket, params.encode(f"{directory}/warm.php", keep=False), b"x")
        return _burst(stack, server.socket, params.encode(f"{directory}/burst.php", keep=False), place)


def _burst(stack: ExitStack, address: str, request: bytes, place: Path) -> float:
    connections = []
    start = time.monotonic()
    try:
        for _ in range(REQUESTS):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(address)
            connection.sendall(request)
            connections.append(connection)
        while len(os.listdir(place)) < REQUESTS:
            if time.monotonic() - start > _AT_MOST:
                raise SystemExit(f"only {len(os.listdir(place))} requests run after {_AT_MOST:g} seconds")
            time.sleep(0.001)
        return (time.monotonic() - start) * 1000
    finally:
        (place / "gate").touch()
        for connection in connections:
            connection.recv(1 << 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kraal", help="the command to measure; else the one beside this Python")
    parser.add_argument("--only", choices=("kraal", "php-fpm"))
    options = parser.parse_args()
    for name, command in servers.commands(options.kraal).items():
        if options.only in (None, name):
            found = sorted(measure(name, command) for _ in range(options.rounds))
            middle = statistics.median(found)
            print(f"{name}: {middle:.0f} ms ({found[0]:.0f}..{found[-1]:.0f}), {len(found)} bursts")


if __name__ == "__main__":
    main()
