"""Clients that follow every answer to its end, however long it is: the program of answers.c."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import compiled


@dataclass(frozen=True)
class Task:
    """What the clients do together."""

    protocol: str  # "fcgi" or "http"
    address: str  # a path, or a TCP port of this machine
    request: Path
    answer: Path | None  # every answer equals this file; None: it is complete, and its status is 200
    clients: int
    keep: bool


@dataclass(frozen=True)
class Result:
    """What they saw; times of an answer in microseconds."""

    requests: int
    failures: int
    seconds: float
    p50: int
    p99: int
    p999: int
    max: int


def run(task: Task, count: int, *, rate: float = 0) -> Result:
    """So many requests; with a rate, so many start a second whether or not others have ended."""
    words = [
        compiled.program("answers"),
        task.protocol,
        task.address,
        task.request,
        task.answer or "-",
        task.clients,
        int(task.keep),
        count,
        rate,
    ]
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True)
    return Result(**json.loads(done.stdout))
