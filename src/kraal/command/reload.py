"""The command `kraal reload`: ask a running master to reload, and tell how that ended."""

import os
import select
import signal
import time
from collections.abc import Sequence

from kraal.command import whereabouts
from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.words import Words
from kraal.errors import Exit, StartError
from kraal.options import Options
from kraal.reload import report

USAGE = f"""\
Usage: kraal reload [--changed] {WHICH}

Read the configuration again, start its pools beside the running ones, and let the old ones finish what
they run.  Returns when the new ones serve.  If something is wrong with them, the old ones go on as before,
and the exit code is not 0.

  --changed        Leave pools as they are whose settings, ini files and libraries have not changed;
                   otherwise every pool gets a fresh PHP with an empty OPcache
{FLAGS}"""
COMMAND = Subcommand(name="reload", usage=USAGE, switches=("--changed",))
_POLL = 0.01
# Longer than a master waits for its successor.
_PATIENCE = 330.0


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return COMMAND.run(arguments, _run)


def _run(words: Words, options: Options) -> int:
    failure = _reload(whereabouts.master(options), changed_only=words.has("--changed"))
    return COMMAND.fail(failure.split("\n")) if failure else Exit.OK


def _reload(pid: int, *, changed_only: bool) -> str | None:
    """Returns why the reload failed, or None.  Raises StartError if it could not be asked for."""
    try:
        process = os.pidfd_open(pid)
        reports = report.find(pid)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f"process {pid}: {reason}", exit=Exit.SOFTWARE) from error
    if reports is None:
        raise StartError(f"process {pid} is no master of kraal", exit=Exit.SOFTWARE)
    before = report.read(reports)
    # A reload that goes on may have read the configuration before we were called: the one after it counts.
    awaited = max(before.number, before.going_on) + 1
    number = signal.SIGHUP if changed_only else signal.SIGUSR2
    try:
        signal.pidfd_send_signal(process, number)
    except OSError as error:
        raise StartError(f"process {pid}: {error.strerror}", exit=Exit.SOFTWARE) from error
    return _outcome(process, reports, awaited)


def _outcome(process: int, reports: int, awaited: int) -> str | None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    deadline = time.monotonic() + _PATIENCE
    while (found := report.read(reports)).number < awaited:
        if poll.poll(_POLL * 1000):
            return "the master has ended"
        if time.monotonic() > deadline:
            return f"the master has not told within {_PATIENCE:g} seconds how it ended"
    return found.failure
