"""Which signals workers get, and when."""

import signal

import pytest

from kraal.manager import stop_ladder


def test_gentle_stop_ends_in_a_kill() -> None:
    steps = stop_ladder.quit_ladder(12.0)

    assert [step.signal for step in steps] == [signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL]


def test_gentle_stop_gives_requests_the_time_that_was_configured() -> None:
    assert stop_ladder.quit_ladder(12.0)[0].patience == 12.0
    assert stop_ladder.quit_ladder(0.0)[0].patience == 0.0


def test_hard_stop_begins_with_sigterm_and_ends_in_a_kill() -> None:
    steps = stop_ladder.terminate_ladder(0.0)

    assert [step.signal for step in steps] == [signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize(("timeout", "patience"), [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0)])
def test_worker_has_at_least_a_second_for_sigterm(timeout: float, patience: float) -> None:
    assert stop_ladder.terminate_ladder(timeout)[0].patience == patience


def test_duration_is_the_patience_of_all_steps() -> None:
    assert stop_ladder.duration(stop_ladder.quit_ladder(30.0)) == 32.0
    assert stop_ladder.duration(()) == 0.0


def test_reload_ends_nobody_without_a_time_out() -> None:
    (step,) = stop_ladder.drain_ladder(None)

    assert step.signal == signal.SIGQUIT
    assert stop_ladder.drain_ladder(3.0) == stop_ladder.quit_ladder(3.0)
