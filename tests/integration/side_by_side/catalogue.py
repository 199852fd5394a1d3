"""All cases, and the ways on which they are run."""

from collections.abc import Iterator

from tests.integration.side_by_side import bodies, errors, headers, output, php, requests, resolution
from tests.integration.side_by_side.case import Case

FRONTS = ("nginx", "SetHandler", "ProxyPassMatch", "balancer", "caddy")

# What depends on the front, and what only a front could spoil.
PATHS = resolution.CASES + requests.CASES
OTHERS = (
    resolution.CASES_OF_OTHER_POOLS
    + requests.CASES_OF_SETTINGS
    + bodies.CASES
    + output.CASES
    + headers.CASES
    + errors.CASES
    + php.CASES
)
CASES = PATHS + OTHERS

# Not behind web servers: each takes a second of processor time.
SLOW = errors.SLOW


# What cannot be compared, with the reason.
LEFT_OUT = {
    ("caddy", "a body in chunks"): "its length is said to be -1, and php-fpm waits for more behind its end",
    ("caddy", "an empty type"): "it is sent twice, with two values, in any order",
    ("caddy", "a header with an underscore"): "two headers become one variable, in any order",
}


def by_front() -> Iterator[tuple[str, Case]]:
    for front in FRONTS:
        for case in CASES if front in ("nginx", "SetHandler") else PATHS:
            if (front, case.name) not in LEFT_OUT:
                yield front, case
