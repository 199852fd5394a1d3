"""The command `kraal reload`: ask a running master to reload, and tell how that ended."""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

from kraal import report, whereabouts
from kraal.config.problems import ConfigErrors
from kraal.errors import Error, Exit, StartError, UsageError
from kraal.options import parse

USAGE = """\
Usage: kraal reload [--changed] [-y <file>] [-p <prefix>] [-g <file>|<number>]

Read the configuration again, start its pools beside the running ones, and let the old ones finish what
they run.  Returns when the new ones serve.  If something is wrong with them, the old ones go on as before,
and the exit code is not 0.

  --changed        Leave pools as they are whose settings, ini files and libraries have not changed;
                   otherwise every pool gets a fresh PHP with an empty OPcache
  -y, --fpm-config <file>
                   The configuration whose `pid` says where the process id of the master is
  -p, --prefix <dir>
                   Folder that relative paths of the configuration start from
  -g, --pid <file>|<number>
                   Where the process id is, or the process id
  -h, --help       Show this help
"""
_POLL = 0.01
# Longer than a master waits for its successor.
_PATIENCE = 330.0


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    changed_only = "--changed" in arguments
    try:
        options = parse([argument for argument in arguments if argument != "--changed"])
        if options.show:
            print(USAGE, end="", flush=True)
            return Exit.OK
        failure = _reload(whereabouts.master(options), changed_only=changed_only)
    except UsageError as error:
        print(f"{USAGE}\nkraal reload: {error}", file=sys.stderr)
        return error.exit
    except ConfigErrors as error:
        return _tell([str(problem) for problem in error.errors], error.exit)
    except Error as error:
        return _tell([str(error)], error.exit)
    return _tell(failure.split("\n"), Exit.SOFTWARE) if failure else Exit.OK


def _tell(reasons: Sequence[str], code: int) -> int:
    for reason in reasons:
        print(f"kraal reload: {reason}", file=sys.stderr)
    return code


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
