"""What a manager does first: it reads its order, and sees what it was given and what is to stay its own."""

import os
from contextlib import suppress

from setproctitle import setproctitle

from kraal.boot import Descriptor, Order
from kraal.manager import streams


def arrive() -> tuple[Order, int]:
    """The order, and /dev/null."""
    with os.fdopen(Descriptor.ORDER, "rb") as file:
        order = Order.from_bytes(file.read())
    for fd in set(Descriptor) - {Descriptor.ORDER, Descriptor.SAID}:
        # Not all pools have all of them.
        with suppress(OSError):
            os.set_inheritable(fd, False)
    setproctitle(f"kraal: pool {order.pool} (manager)")
    # Now, because a root folder of the pool's own need not have it.
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    streams.speak_into_file(wanted=order.catch_output)
    return order, null
