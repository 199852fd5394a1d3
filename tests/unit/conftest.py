"""Settings and fixtures of the unit tests."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from kraal.unix.loop import Loop

# A busy machine is no defect: tests have a timeout, examples have none.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def loop() -> Iterator[Loop]:
    wakeup = signal.set_wakeup_fd(-1)
    loop = Loop()
    yield loop
    loop.close_in_child()
    signal.set_wakeup_fd(wakeup)
