"""Why a worker has ended, in one word: for the figures.  What the log says of it is in `exit_message`."""

import signal

from kraal.errors import Exit
from kraal.manager.crew import Asked, Worker
from kraal.memory.ledger import Ending
from kraal.unix import process


def reason(gone: process.Exit, dead: Worker, *, spent: bool, overdue: bool, out_of_memory: bool) -> Ending:
    """`spent`: it had served all the requests that it may; `overdue`: its request was to be ended."""
    if out_of_memory:
        return Ending.OUT_OF_MEMORY
    if overdue and gone.signal in (signal.SIGTERM, signal.SIGKILL):
        return Ending.TIMEOUT
    if gone.signal not in (None, signal.SIGQUIT):
        return Ending.SIGNAL
    if gone.signal is None and gone.code != Exit.OK:
        return Ending.ERROR
    if dead.asked is Asked.SPARE:
        return Ending.SPARE
    if spent:
        return Ending.MAX_REQUESTS
    if dead.asked is Asked.REPLACED:
        return Ending.REPLACED if dead.resident else Ending.MAX_MEMORY
    return Ending.STOPPED
