"""What the kernel says of a control group."""

import pytest

from kraal.unix import cgroup


@pytest.mark.parametrize(
    ("events", "number"),
    [
        ("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5),
        ("", 0),
        ("oom 3\n", 0),
    ],
)
def test_kills_are_counted(events: str, number: int) -> None:
    assert cgroup.count_in(events) == number


def test_asking_never_fails() -> None:
    assert cgroup.oom_kills() >= 0
