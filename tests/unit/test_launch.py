"""Which pools a start waits for."""

from kraal.master.launch import MOST_ENDED, Launch, Verdict

GOES_ON, GOES_ON_WITHOUT, FAILS = Verdict.GOES_ON, Verdict.GOES_ON_WITHOUT, Verdict.FAILS


def test_start_is_complete_when_all_serve_or_need_not() -> None:
    launch = Launch(["a", "b", "c"])
    launch.wait_for_all_but({"c"})

    assert not launch.is_complete(set())
    assert not launch.is_complete({"a"})
    assert launch.is_complete({"a", "b"})


def test_pool_whose_managers_are_ended_is_waited_for_a_few_times_and_then_no_more() -> None:
    launch = Launch(["a", "b"])

    verdicts = [launch.ended("a") for _ in range(MOST_ENDED + 1)]

    assert verdicts == [GOES_ON] * (MOST_ENDED - 1) + [GOES_ON_WITHOUT] * 2
    assert launch.is_complete({"b"})
    assert not launch.is_complete({"a"})


def test_every_pool_has_its_own_count() -> None:
    launch = Launch(["a", "b", "c"])

    assert [launch.ended(pool) for _ in range(MOST_ENDED - 1) for pool in ("a", "b")] == [GOES_ON] * 4
    assert not launch.is_complete({"c"})


def test_start_fails_when_there_is_nobody_else() -> None:
    alone, two = Launch(["a"]), Launch(["a", "b"])

    assert [alone.ended("a") for _ in range(MOST_ENDED)][-1] is FAILS
    assert [two.ended("a") for _ in range(MOST_ENDED)][-1] is GOES_ON_WITHOUT
    assert [two.ended("b") for _ in range(MOST_ENDED)][-1] is FAILS


def test_pool_that_sleeps_is_somebody_else() -> None:
    launch = Launch(["a", "sleeper"])
    launch.wait_for_all_but({"sleeper"})

    assert [launch.ended("a") for _ in range(MOST_ENDED)][-1] is GOES_ON_WITHOUT
    assert launch.is_complete(set())
