"""Decide whether so many workers have crashed within a short time that everything is to be started anew."""

from collections import deque


class Emergency:
    """php-fpm's rule: a number of crashes within an interval, in all pools together.  No clock."""

    def __init__(self, threshold: int, interval: float) -> None:
        """If one of them is 0 there is never an emergency."""
        self._threshold = threshold if interval > 0 else 0
        self._interval = interval
        self._crashes: deque[float] = deque(maxlen=max(1, self._threshold))

    def crashed(self, now: float) -> bool:
        """A worker has; returns whether that makes it an emergency, after which counting begins anew."""
        if not self._threshold:
            return False
        self._crashes.append(now)
        if len(self._crashes) < self._threshold or now - self._crashes[0] > self._interval:
            return False
        self._crashes.clear()
        return True

    def __str__(self) -> str:
        return f"{self._threshold} in {self._interval:.0f} sec"
