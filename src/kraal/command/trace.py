"""The command `kraal trace`: what workers run at this moment."""

import time
from collections.abc import Sequence
from contextlib import closing

from kraal.command import whereabouts
from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.words import Words
from kraal.errors import Exit, StartError
from kraal.logs.lines import clean
from kraal.logs.slow import position
from kraal.memory import stack_sample
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.memory.stack import Frame, Kind
from kraal.memory.stack_sample import Missing, StackSample
from kraal.observe import onlooker
from kraal.observe.onlooker import Board
from kraal.options import Options

USAGE = f"""\
Usage: kraal trace [<pid>] [--pool <name>] {WHICH}

Show the PHP stack of a worker, or of all workers, as it is now.  The workers are not stopped.

  <pid>            The worker; or a pool manager, for all its workers
  --pool <name>    The workers of this pool alone
{FLAGS}"""
COMMAND = Subcommand(name="trace", usage=USAGE, values=("--pool",), takes_number=True)
_MOST_FRAMES = 1000


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return COMMAND.run(arguments, _run)


def _run(words: Words, options: Options) -> int:
    pid = words.number()
    if pid is not None:
        return _show(_workers(pid))
    boards = onlooker.boards_of(whereabouts.master(options), words.value("--pool"))
    return _show(list(onlooker.all_workers(boards)))


def _workers(pid: int) -> list[tuple[Board, WorkerState]]:
    """That worker, or those of that manager."""
    board = onlooker.board_of(pid)
    if board is None:
        raise StartError(f"process {pid} is no worker of kraal", exit=Exit.SOFTWARE)
    workers = board.workers()
    chosen = [workers[pid]] if pid in workers else [state for _pid, state in sorted(workers.items())]
    return [(board, state) for state in chosen]


def _show(workers: Sequence[tuple[Board, WorkerState]]) -> int:
    """Print them; the exit code is not 0 if there is one that may not be looked into."""
    code = Exit.OK
    for number, (board, state) in enumerate(workers):
        subject = board.subject(state.pid)
        with closing(subject.process):
            found = stack_sample.take(subject, _MOST_FRAMES)
        if found is Missing.CLOSED:
            code = Exit.SOFTWARE
        # What it is at now, and not a moment ago.
        now = board.workers().get(state.pid, state)
        text = "\n".join([*[""][:number], *lines(board.pool, now, found, time.monotonic())])
        print(text, flush=True)
    return code


def lines(pool: str, state: WorkerState, found: StackSample | Missing, now: float) -> list[str]:
    """What is said about a worker.  `now` is in seconds of the monotonic clock."""
    head = f"worker {state.pid}, pool {pool}"
    if isinstance(found, Missing):
        return [clean(f"{head}: {found.value}")]
    if not found.frames:
        what = "idle" if state.stage is Stage.IDLE else "not in PHP code"
        return [clean(f"{head}: {what}")]
    query = f"?{state.query}" if state.query else ""
    url = found.params.get("REQUEST_URI") or f"{state.uri}{query}"
    name = f", request {found.request_id}" if found.request_id else ""
    age = max(0.0, now - state.accepted_ns / 1e9)
    said = [f"{head}: {state.method} {url} ({age:.3f} s{name})", f"  at {position(found.frames)}"]
    said += [f"  {line}" for line in frame_lines(found.frames)]
    return [clean(line) for line in said]


def frame_lines(frames: tuple[Frame, ...]) -> list[str]:
    """As PHP shows the stack of an exception."""
    said = []
    for number, frame in enumerate(frames):
        if frame.kind is Kind.MAIN:
            said.append(f"#{number} {{main}}")
            continue
        caller = next((each for each in frames[number + 1 :] if each.is_php), None)
        place = f"{caller.file}({caller.line})" if caller else "[internal function]"
        said.append(f"#{number} {place}: {frame.title}()")
    return said
