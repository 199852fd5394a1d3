"""What OPcache says of itself.  Pure."""

from collections.abc import Sequence

from kraal.fields import Frozen


class Opcache(Frozen):
    """Of one pool, in the order of native/opcache.c.  The first five are bytes."""

    used: int
    free: int
    wasted: int
    strings_used: int
    strings_free: int
    scripts: int
    keys: int
    most_keys: int
    hits: int
    misses: int
    out_of_memory_restarts: int
    hash_restarts: int
    manual_restarts: int


def opcache(figures: Sequence[int]) -> Opcache | None:
    """Of what stands in a scoreboard; None if nobody has written there."""
    return Opcache(*figures) if any(figures) else None
