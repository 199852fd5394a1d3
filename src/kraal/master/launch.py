"""Which pools a start waits for, and whether it goes on without one whose manager somebody has ended.  Pure.

A manager runs as its pool's user, who can end it while it starts.  That must not keep the others from
starting: a pool to which it happens again and again is waited for no more, and gets another manager later.
What a manager itself says is wrong with its PHP is another thing: that is for the operator to know before
anybody is served.
"""

from collections import Counter
from collections.abc import Iterable, Set
from enum import Enum, auto

# Of managers of one pool, until nobody waits for it any more.
MOST_ENDED = 3


class Verdict(Enum):
    """What becomes of a start when a manager was ended."""

    GOES_ON = auto()  # waiting for another manager
    GOES_ON_WITHOUT = auto()  # not waiting for this pool
    FAILS = auto()  # nobody would be served


class Launch:
    """One start of all pools, or of those that are not served elsewhere."""

    def __init__(self, pools: Iterable[str]) -> None:
        self._pools = frozenset(pools)
        self._served: Set[str] = frozenset()
        self._ended: Counter[str] = Counter()
        self._forgone: set[str] = set()

    def wait_for_all_but(self, served: Set[str]) -> None:
        """These pools are served elsewhere, or need nobody to be."""
        self._served = served

    def is_complete(self, serving: Set[str]) -> bool:
        """Whether all pools that are waited for are among these."""
        return serving | self._served | self._forgone >= self._pools

    def ended(self, pool: str) -> Verdict:
        """Its manager was ended by somebody."""
        self._ended[pool] += 1
        if self._ended[pool] < MOST_ENDED:
            return Verdict.GOES_ON
        self._forgone.add(pool)
        return Verdict.GOES_ON_WITHOUT if self._forgone < self._pools else Verdict.FAILS
