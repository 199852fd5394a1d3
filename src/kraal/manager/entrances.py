"""Where connections wait for an ordinary worker: in the listener, and where workers give theirs away."""

import os
from collections.abc import Callable

from kraal.unix.handoff import Handoff


class Entrances:
    """Of one pool.  While its residents serve, the listener is theirs."""

    def __init__(
        self,
        listener: int | None,
        handoff: Handoff,
        queue: Callable[[], int],
        count: Callable[[], tuple[int, int]],
    ) -> None:
        """Without a listener what is given away is all there is.

        `queue` tells how many wait in the listener, `count` how many workers are idle and how many active.
        """
        self._listener = listener
        self._handoff = handoff
        self._queue = queue
        self._count = count
        # The manager watches the original, too, while there is no worker.
        self.pair = os.dup(handoff.fileno())

    def waiting(self) -> int:
        """How many wait, as far as that can be told."""
        if self._listener is None:
            return self._handoff.waiting()
        return self._queue() + (self._handoff.waiting() if self._is_pair_watched() else 0)

    def watched(self) -> set[int]:
        """Can be read when somebody waits.  To be asked again when the number of workers has changed."""
        if self._listener is None:
            return {self.pair}
        return {self._listener, self.pair} if self._is_pair_watched() else {self._listener}

    def _is_pair_watched(self) -> bool:
        """Who leaves gives away what nobody waits for; who is busy, what others could serve."""
        return self._count()[1] > 0
