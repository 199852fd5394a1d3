"""Both servers, and what is left of them, are looked at once per module: cases are many and short."""

from collections.abc import Iterator

import pytest

from tests.integration.side_by_side.servers import Side, sides
from tests.support import processes
from tests.support.servers import Kind


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    before = processes.orphans()
    yield
    assert processes.orphans() == before, "processes are left"


@pytest.fixture(scope="module")
def both(nothing_left: None) -> Iterator[dict[Kind, Side]]:
    with sides() as found:
        yield found
