"""The command `kraal profile`: where the workers of a pool spend their time, as a flame graph."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

from kraal import __version__
from kraal.command import flame, whereabouts
from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.flame import Samples
from kraal.command.words import Words
from kraal.errors import Exit, StartError
from kraal.memory import stack_sample
from kraal.memory.scoreboard import Stage, WorkerState
from kraal.memory.stack_sample import Missing, Subject
from kraal.observe import onlooker
from kraal.observe.onlooker import Board
from kraal.options import Options
from kraal.unix.insight import Unreadable

USAGE = f"""\
Usage: kraal profile [--pool <name>] [--seconds <number>] [--rate <number>] [--output <name>]
                     {WHICH}

Look again and again at what workers run, and write down where they were: <name>.html, a flame graph,
<name>.folded for flamegraph.pl and its kin, and <name>.speedscope.json.  The workers are not stopped.

  --pool <name>    The workers of this pool alone
  --seconds <number>
                   How long (default: 10); Ctrl-C ends it before, and writes what there is
  --rate <number>  Looks at each worker in a second (default: 100)
  --output <name>  Where to write, without the ending (default: kraal-profile)
{FLAGS}"""
_OPTIONS = ("--pool", "--seconds", "--rate", "--output")
COMMAND = Subcommand(name="profile", usage=USAGE, values=_OPTIONS)
_MOST_FRAMES = 500
_MOST_SECONDS = 86_400
_MOST_RATE = 1000


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return COMMAND.run(arguments, _run)


def _run(words: Words, options: Options) -> int:
    seconds = words.amount("--seconds", 10.0, most=_MOST_SECONDS)
    rate = words.amount("--rate", 100.0, most=_MOST_RATE)
    pool = words.value("--pool")
    boards = onlooker.boards_of(whereabouts.master(options), pool)
    samples = Samples(f"pool {pool}" if pool else "all pools", rate)
    _sample(Sampler(boards, samples), seconds)
    _write(samples, words.value("--output") or "kraal-profile")
    return Exit.OK


class Sampler:
    """Looks at all workers, one after the other."""

    def __init__(self, boards: Sequence[Board], samples: Samples) -> None:
        self.samples = samples
        self._boards = list(boards)
        self._subjects: dict[tuple[Board, int], Subject] = {}

    def look(self) -> None:
        """Take one sample of each worker.  Raises Unreadable when all pools are gone."""
        for board in list(self._boards):
            try:
                workers = board.workers()
            except Unreadable:
                self._boards.remove(board)
                if not self._boards:
                    raise
                continue
            for state in workers.values():
                self._look_at(board, state)
            self._forget(board, set(workers))

    def _look_at(self, board: Board, state: WorkerState) -> None:
        if state.stage is Stage.IDLE:
            self.samples.idle += 1
            return
        subject = self._subjects.get((board, state.pid))
        if subject is None:
            subject = self._subjects[board, state.pid] = board.subject(state.pid)
        found = stack_sample.sample(subject, _MOST_FRAMES)
        if isinstance(found, Missing) or found.request != state.requests:
            self.samples.missing += 1
        elif not found.frames:
            self.samples.outside += 1
        else:
            self.samples.add(flame.stack_of(f"{state.method} {state.uri}", found.frames))

    def _forget(self, board: Board, alive: set[int]) -> None:
        for key in [key for key in self._subjects if key[0] is board and key[1] not in alive]:
            self._subjects.pop(key).process.close()


def _sample(sampler: Sampler, seconds: float) -> None:
    """Look at even intervals; what cannot be kept up with is left out."""
    began = time.monotonic()
    interval, told = 1 / sampler.samples.rate, began
    following = began
    # Whoever has seen enough gets what there is, and so does who has outlived the pools.
    with suppress(KeyboardInterrupt, Unreadable):
        while (now := time.monotonic()) < began + seconds:
            sampler.look()
            if now - told >= 1 and sys.stderr.isatty():
                told = now
                print(f"\r{now - began:.0f} of {seconds:g} seconds", end="", file=sys.stderr, flush=True)
            following = max(following + interval, time.monotonic())
            time.sleep(max(0.0, following - time.monotonic()))
    if told != began:
        print("\r\x1b[K", end="", file=sys.stderr)


def _write(samples: Samples, name: str) -> None:
    """All three files.  Raises StartError."""
    with open(os.path.join(os.path.dirname(__file__), "flame.html"), encoding="utf-8") as file:
        template = file.read()
    forms = {
        "folded": flame.folded(samples),
        "speedscope.json": flame.speedscope(samples, f"kraal {__version__}"),
        "html": flame.page(samples, template),
    }
    for ending, text in forms.items():
        _replace(f"{name}.{ending}", text)
    print(f"{samples.summary()}: see {name}.html", file=sys.stderr)


def _replace(path: str, text: str) -> None:
    """In the place of an older one, and never through a link that somebody has put there."""
    try:
        fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".kraal-profile-")
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}", exit=Exit.SOFTWARE) from error
