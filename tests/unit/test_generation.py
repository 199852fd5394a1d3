"""The life of a pool manager: a table, and nothing beside it."""

from itertools import product

import pytest

from kraal.master.generation import Event, State, advance

TABLE = {
    (State.STARTING, Event.READY): State.SERVING,
    (State.STARTING, Event.SUPERSEDED): State.DRAINING,
    (State.STARTING, Event.EXITED): State.GONE,
    (State.SERVING, Event.RESTED): State.LEAVING,
    (State.SERVING, Event.SUPERSEDED): State.DRAINING,
    (State.SERVING, Event.EXITED): State.GONE,
    (State.LEAVING, Event.SUPERSEDED): State.DRAINING,
    (State.LEAVING, Event.EXITED): State.GONE,
    (State.DRAINING, Event.READY): State.DRAINING,
    (State.DRAINING, Event.SUPERSEDED): State.DRAINING,
    (State.DRAINING, Event.EXITED): State.GONE,
}


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_manager_goes_on_as_the_table_says(state: State, event: Event) -> None:
    assert advance(state, event) is TABLE[state, event]


@pytest.mark.parametrize(("state", "event"), [pair for pair in product(State, Event) if pair not in TABLE])
def test_transition_that_cannot_happen_raises(state: State, event: Event) -> None:
    with pytest.raises(ValueError, match=f"{state.name} cannot become {event.name}"):
        advance(state, event)


def test_nothing_happens_to_who_is_gone() -> None:
    assert not [event for state, event in TABLE if state is State.GONE]


def test_every_state_ends_in_gone() -> None:
    reached = {State.GONE}
    for _ in State:
        reached |= {state for (state, _event), following in TABLE.items() if following in reached}
    assert reached == set(State)
