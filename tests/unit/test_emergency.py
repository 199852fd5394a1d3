"""When crashes are so many that everything is started anew."""

import pytest

from kraal.master.emergency import Emergency


def emergencies(threshold: int, interval: float, times: list[float]) -> list[float]:
    emergency = Emergency(threshold, interval)
    return [now for now in times if emergency.crashed(now)]


@pytest.mark.parametrize(
    ("threshold", "interval", "times", "expected"),
    [
        (1, 10, [1], [1]),
        (3, 10, [1, 2], []),
        (3, 10, [1, 2, 3], [3]),
        (3, 10, [1, 2, 11], [11]),
        (3, 10, [1, 2, 11.5], []),
        (3, 10, [1, 2, 12, 12, 12], [12]),
        (3, 10, [1, 2, 3, 4, 5], [3]),
        (3, 10, [1, 2, 3, 4, 5, 6], [3, 6]),
        (0, 10, [1, 1, 1], []),
        (3, 0, [1, 1, 1], []),
    ],
    ids=[
        "the first",
        "too few",
        "enough",
        "just within the interval",
        "too slow",
        "old ones are forgotten",
        "counted once",
        "counted anew",
        "no threshold",
        "no interval",
    ],
)
def test_emergency_is_so_many_crashes_within_the_interval(
    threshold: int, interval: float, times: list[float], expected: list[float]
) -> None:
    assert emergencies(threshold, interval, times) == expected


def test_emergency_is_told_in_words_of_php_fpm() -> None:
    assert str(Emergency(3, 60)) == "3 in 60 sec"
