"""What `worker.fork` is worth for the application of worker_mode.py: memory, and time."""

import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import load
import params
import servers

_RESIDENTS = 8
_WARM_UP = 400


class Figures(NamedTuple):
    """With or without."""

    memory_kb: int  # PSS of all residents, and of the zygote
    answer_ms: float  # from the end of the only resident to an answer of its successor


def memory(pids: tuple[int, ...], key: str) -> list[int]:
    """Kilobytes of each process."""
    found = []
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            found.append(next(int(line.split()[1]) for line in file if line.startswith(f"{key}:")))
    return sorted(found)


def _titled(server: servers.Server, *endings: str) -> tuple[int, ...]:
    pids = server.descendants()
    return tuple(
        pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").endswith(endings)
    )


def _settings(pm: Mapping[str, str], residents: int, fork: str) -> dict[str, str]:
    return {**pm, "pm.max_children": str(residents + 1), "worker.num": str(residents), "worker.fork": fork}


def _times(server: servers.Server, request: bytes, answer: bytes, rounds: int) -> Iterator[float]:
    """Milliseconds from the end of the only resident to the next answer."""
    for _ in range(rounds):
        (resident,) = _titled(server, "(resident)")
        os.kill(resident, signal.SIGKILL)
        began = time.perf_counter()
        with load._connect(server.socket) as connection:
            connection.sendall(request)
            load._read(connection, len(answer))
        yield (time.perf_counter() - began) * 1000
        time.sleep(0.3)  # the manager counts quick deaths


def measure(command: str, directory: Path, ini: str, pm: Mapping[str, str], uri: str, rounds: int) -> str:
    """Both figures, with and without; a Markdown table."""
    found = {}
    for fork in ("no", "yes"):
        request = params.encode(f"{directory}/symfony/index.php", uri, keep=True)
        with servers.running("kraal", command, directory, ini, pm=_settings(pm, _RESIDENTS, fork)) as server:
            answer = load.learn_answer(server.socket, request, None)
            with load.clients() as pool:
                load.run(pool, load.Task(server.socket, request, answer, _WARM_UP, True))
            shares = memory(_titled(server, "(resident)", "(zygote)"), "Pss")
        with servers.running("kraal", command, directory, ini, pm=_settings(pm, 1, fork)) as server:
            times = statistics.median(_times(server, request, answer, rounds))
        found[fork] = Figures(sum(shares), times)
    return _table(found)


def _table(found: Mapping[str, Figures]) -> str:
    without, with_fork = found["no"], found["yes"]
    rows = (
        ("PSS per resident, KB", without.memory_kb / _RESIDENTS, with_fork.memory_kb / _RESIDENTS),
        ("from a death to the next answer, ms", without.answer_ms, with_fork.answer_ms),
    )
    lines = ["| | each boots | worker.fork | ratio |", "|---|---:|---:|---:|"]
    lines += [f"| {what} | {one:.1f} | {other:.1f} | {other / one:.2f} |" for what, one, other in rows]
    return "\n".join(lines)
