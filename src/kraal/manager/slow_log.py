"""What writes the slow requests of a pool down, if any is slow: what reads stacks takes a while to import."""

from typing import TYPE_CHECKING

from kraal.boot import Order
from kraal.logs.relay import Relay
from kraal.memory.layout import Layout
from kraal.memory.scoreboard import Scoreboard
from kraal.unix.loop import Loop

if TYPE_CHECKING:
    from kraal.manager.slow_requests import SlowRequests


def of(
    order: Order, layout: Layout, loop: Loop, scoreboard: Scoreboard, relay: Relay
) -> "SlowRequests | None":
    """That of a pool; None if no request is slow."""
    if not order.slow_timeout:
        return None
    from kraal.manager.slow_requests import SlowRequests

    return SlowRequests(order, layout, loop, scoreboard, relay)
