"""The life of a pool manager, as the master sees it."""

from enum import Enum, auto


class State(Enum):
    """Where a manager is in its life."""

    STARTING = auto()  # executed, has not said ready
    SERVING = auto()  # said ready
    LEAVING = auto()  # said that its pool needs no process now
    DRAINING = auto()  # was told to leave, finishes what it has
    GONE = auto()  # reaped


class Event(Enum):
    """What can happen to a manager."""

    READY = auto()  # it said that its workers serve
    RESTED = auto()  # it said that it leaves, as nobody needs it
    SUPERSEDED = auto()  # it was told to leave
    EXITED = auto()  # it was reaped


_TRANSITIONS = {
    (State.STARTING, Event.READY): State.SERVING,
    (State.STARTING, Event.SUPERSEDED): State.DRAINING,
    (State.STARTING, Event.EXITED): State.GONE,
    (State.SERVING, Event.RESTED): State.LEAVING,
    (State.SERVING, Event.SUPERSEDED): State.DRAINING,
    (State.SERVING, Event.EXITED): State.GONE,
    (State.LEAVING, Event.SUPERSEDED): State.DRAINING,
    (State.LEAVING, Event.EXITED): State.GONE,
    # It was told to leave while it was starting, and its word was on the way.
    (State.DRAINING, Event.READY): State.DRAINING,
    (State.DRAINING, Event.SUPERSEDED): State.DRAINING,
    (State.DRAINING, Event.EXITED): State.GONE,
}


def advance(state: State, event: Event) -> State:
    """The next state.  An event that cannot happen raises ValueError: it is a defect of ours."""
    try:
        return _TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a manager that is {state.name} cannot become {event.name}") from None
