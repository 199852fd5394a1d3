"""Why workers have ended."""

import signal

import pytest

from kraal.manager.crew import Asked, Worker
from kraal.manager.exit_reason import reason
from kraal.memory.ledger import Ending
from kraal.unix.process import Exit, Pid

WELL = Exit(Pid(7), 0)
FAILED = Exit(Pid(7), 70)


def by(number: signal.Signals) -> Exit:
    return Exit(Pid(7), None, number)


@pytest.mark.parametrize(
    ("gone", "asked", "spent", "overdue", "out_of_memory", "why"),
    [
        (WELL, Asked.NOT, False, False, False, Ending.STOPPED),
        (by(signal.SIGQUIT), Asked.NOT, False, False, False, Ending.STOPPED),
        (WELL, Asked.NOT, True, False, False, Ending.MAX_REQUESTS),
        (WELL, Asked.REPLACED, True, False, False, Ending.MAX_REQUESTS),
        (WELL, Asked.REPLACED, False, False, False, Ending.MAX_MEMORY),
        (WELL, Asked.SPARE, False, False, False, Ending.SPARE),
        (FAILED, Asked.SPARE, True, True, False, Ending.ERROR),
        (by(signal.SIGSEGV), Asked.SPARE, True, True, False, Ending.SIGNAL),
        (by(signal.SIGTERM), Asked.NOT, False, False, False, Ending.SIGNAL),
        (by(signal.SIGTERM), Asked.NOT, True, True, False, Ending.TIMEOUT),
        (by(signal.SIGKILL), Asked.NOT, False, True, False, Ending.TIMEOUT),
        (by(signal.SIGKILL), Asked.NOT, True, True, True, Ending.OUT_OF_MEMORY),
        (by(signal.SIGKILL), Asked.NOT, False, False, False, Ending.SIGNAL),
    ],
)
def test_the_strongest_reason_counts(
    gone: Exit, asked: Asked, spent: bool, overdue: bool, out_of_memory: bool, why: Ending
) -> None:
    dead = Worker(gone.pid, 0, 0.0, asked=asked)

    assert reason(gone, dead, spent=spent, overdue=overdue, out_of_memory=out_of_memory) is why


def test_resident_is_replaced_for_more_than_its_memory() -> None:
    dead = Worker(WELL.pid, 0, 0.0, resident=True, asked=Asked.REPLACED)

    assert reason(WELL, dead, spent=False, overdue=False, out_of_memory=False) is Ending.REPLACED
    assert reason(WELL, dead, spent=True, overdue=False, out_of_memory=False) is Ending.MAX_REQUESTS
