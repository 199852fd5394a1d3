"""Many clients that count what becomes of every request: the program of clients.c, compiled on demand."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass

import compiled
import params

MARK = "#" * 12  # in the request; clients.c puts a number there
_GRACE = 60.0


@dataclass(frozen=True)
class Plan:
    """What the clients do."""

    address: str  # a path, or host:port
    script: str
    kept: bool
    clients: int
    seconds: float  # at most
    rate: int = 0  # requests a second; 0: each client asks when it has its answer
    http: bool = False
    slice_ms: int = 50


@dataclass(frozen=True)
class Result:
    """What they saw; times in milliseconds."""

    started: float  # seconds of the monotonic clock
    sent: int
    answered: int
    overdue: int  # due while all clients were busy, so never sent
    failed: dict[str, int]
    p50: float
    p99: float
    longest: float
    slices: tuple[float, ...]  # the longest wait of the requests that began in each
    slice_ms: int

    @property
    def lost(self) -> int:
        """Requests without a right answer."""
        return sum(self.failed.values())

    def longest_within(self, first: float, last: float) -> float:
        """Of the requests that began between two times of the monotonic clock."""
        begin, end = (int((at - self.started) * 1000 / self.slice_ms) for at in (first, last))
        return max(self.slices[max(begin, 0) : max(end, begin + 1, 1)], default=0.0)


class Clients:
    """A running program."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(_http(plan) if plan.http else _fastcgi(plan))
        self._request = file.name
        words = [
            compiled.program("clients", "-std=c11"),
            plan.address,
            "http" if plan.http else "fcgi",
            "kept" if plan.kept else "new",
            *(str(number) for number in (plan.clients, plan.rate, plan.seconds, plan.slice_ms)),
            self._request,
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE)

    def stop(self) -> None:
        """Ask no more."""
        self._process.terminate()

    def result(self) -> Result:
        """Wait for the end."""
        output, _ = self._process.communicate(timeout=self._plan.seconds + _GRACE)
        os.unlink(self._request)
        if self._process.returncode:
            raise SystemExit(f"the clients ended with {self._process.returncode}")
        found = json.loads(output)
        return Result(
            started=found["started_us"] / 1e6,
            sent=found["sent"],
            answered=found["answered"],
            overdue=found["overdue"],
            failed=found["failed"],
            p50=found["p50"] / 1000,
            p99=found["p99"] / 1000,
            longest=found["longest"] / 1000,
            slices=tuple(each / 1000 for each in found["slices"]),
            slice_ms=self._plan.slice_ms,
        )


def _fastcgi(plan: Plan) -> bytes:
    return params.encode(plan.script, f"/{os.path.basename(plan.script)}?id={MARK}", keep=plan.kept)


def _http(plan: Plan) -> bytes:
    connection = "keep-alive" if plan.kept else "close"
    head = [
        f"GET /{os.path.basename(plan.script)}?id={MARK} HTTP/1.1",
        f"Host: {params.HOST}",
        f"Connection: {connection}",
    ]
    return "\r\n".join((*head, "", "")).encode()
