"""What a reload is asked to do."""

import pytest

from kraal.reload.reloading import larger


@pytest.mark.parametrize(
    ("before", "also", "together"),
    [
        (None, True, True),
        (None, False, False),
        (True, True, True),
        (True, False, False),
        (False, True, False),
        (False, False, False),
    ],
)
def test_reload_of_all_pools_covers_one_of_the_changed_ones(
    before: bool | None, also: bool, together: bool
) -> None:
    assert larger(before, also) is together
