"""Why workers have ended."""

import signal

import pytest

from kraal.crew import Asked
from kraal.ending import reason
from kraal.ledger import Ending
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
    assert reason(gone, asked, spent=spent, overdue=overdue, out_of_memory=out_of_memory) is why
