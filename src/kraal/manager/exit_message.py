"""What the log says of a worker that is gone: how it ended, and what it was at.  Pure.

php-fpm's words stand first; what it does not tell comes behind them, where it can explain something.
"""

from kraal.fields import Frozen
from kraal.memory.scoreboard import Stage, WorkerState

_OUT_OF_MEMORY = "by the kernel, for lack of memory"


class Death(Frozen, kw_only=True):
    """How a worker ended, and what it left in its slot."""

    pid: int
    end: str  # in php-fpm's words
    age: float  # seconds since its start
    expected: bool  # it was told to leave, or had served as many requests as it may
    state: WorkerState | None
    now_ns: int  # of the monotonic clock
    memory: int  # bytes that it had at most
    out_of_memory: bool = False


def describe(death: Death) -> str:
    """The line for the log."""
    line = f"child {death.pid} {death.end} after {death.age:.6f} seconds from start"
    at_work = death.state is not None and death.state.stage is not Stage.IDLE
    return line if death.expected and not at_work else f"{line}{_explain(death)}"


def _explain(death: Death) -> str:
    said = []
    if death.out_of_memory:
        said.append(_OUT_OF_MEMORY)
    if death.state:
        said.append(_occupation(death.state, death.now_ns))
    if death.memory:
        said.append(f"memory {death.memory / (1 << 20):.1f} MB at most")
    if death.state and death.state.error:
        said.append(f"last PHP error '{death.state.error}'")
    return "".join(f"; {each}" for each in said)


def _occupation(state: WorkerState, now_ns: int) -> str:
    if not state.requests:
        return "it had served nothing"
    if state.stage is Stage.IDLE:
        return f"it was idle, request {state.requests} was {_request(state)}"
    seconds = max(0, now_ns - state.accepted_ns) / 1e9
    return f"request {state.requests} was running for {seconds:.3f} seconds: {_request(state)}"


def _request(state: WorkerState) -> str:
    script = f", script '{state.script}'" if state.script else ""
    return f'"{state.method or "-"} {state.url}"{script}'
