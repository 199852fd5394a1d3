"""The diary of a pool, if it is to have one: only then what reads stacks is imported, which takes a while."""

from typing import TYPE_CHECKING

from kraal.boot import Order
from kraal.layout import Layout
from kraal.logs.relay import Relay
from kraal.scoreboard import Scoreboard
from kraal.unix.loop import Loop

if TYPE_CHECKING:
    from kraal.diary import Diary


def of(order: Order, layout: Layout, loop: Loop, scoreboard: Scoreboard, relay: Relay) -> "Diary | None":
    """That of a pool; None if no request is slow."""
    if not order.slow_timeout:
        return None
    from kraal.diary import Diary

    return Diary(order, layout, loop, scoreboard, relay)
