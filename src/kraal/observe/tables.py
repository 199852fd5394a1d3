"""What scoreboards say, as tables for the terminal and as values for programs.  Pure.

Texts of requests are foreign: what would speak to the terminal is taken out of them.
"""

import re
from collections.abc import Mapping, Sequence

from kraal.memory.scoreboard import PoolState, Stage, WorkerState

Row = dict[str, str | int | float | None]

STAGES = {
    Stage.IDLE: "idle",
    Stage.READING_HEADERS: "reading",
    Stage.INFO: "beginning",
    Stage.RUNNING: "running",
    Stage.ENDING: "ending",
    Stage.FINISHING: "finishing",
}
# Controls, and what turns the direction of writing around.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_LONGEST = 60


def pools(states: Mapping[str, PoolState]) -> list[Row]:
    """One row a pool."""
    return [
        {
            "pool": name,
            "idle": state.idle,
            "active": state.active,
            "most active": max(state.max_active, state.active),
            "requests": state.accepted,
            "slow": state.slow,
            "limit reached": state.max_children_reached,
            "turned away": state.turned_away,
            "queue": state.queue,
            "deepest queue": state.max_queue,
            "queue limit": state.queue_limit,
            "memory peak": state.memory_peak,
        }
        for name, state in states.items()
    ]


def workers(states: Mapping[str, PoolState], clock_ns: int) -> list[Row]:
    """One row a worker."""
    return [_worker(name, worker, clock_ns) for name, state in states.items() for worker in state.workers]


def _worker(pool: str, worker: WorkerState, clock_ns: int) -> Row:
    end = worker.finished_ns if worker.stage is Stage.IDLE else clock_ns
    return {
        "pool": pool,
        "pid": worker.pid,
        "state": STAGES[worker.stage],
        "requests": worker.requests,
        "ms": round(max(0, end - worker.accepted_ns) / 1e6, 1) if worker.requests else 0.0,
        "queue ms": None if worker.waited is None else round(worker.waited / 1e6, 1),
        "memory": worker.memory,
        "method": worker.method,
        "url": worker.url,
    }


def harmless(text: str) -> str:
    """A text that a terminal shows and does not obey."""
    return _UNSHOWN.sub("\ufffd", text)


def render(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Columns under their names; numbers stand at the right, and what is not known is a line."""
    lines = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    right = [bool(rows) and not isinstance(rows[0][name], str) for name in columns]
    return "".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _cell(value: str | int | float | None) -> str:
    text = "-" if value is None else harmless(str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
