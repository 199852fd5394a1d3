"""Where kraal and php-fpm differ and are meant to: the one list, with the reason for each.

A case named here has to differ on every way on which it is run, or on the ways in brackets behind its name; if
it does not, the entry is out of date and the run fails.
"""

import pytest

from tests.integration.side_by_side.case import Case

_FINISHED = (
    "php-fpm ends a script that flushes after fastcgi_finish_request() (php issue 9741); kraal does not"
)
_RESPONSE_HEADERS = "kraal has apache_response_headers(), as PHP's other servers have"

KEPT: dict[str, str] = {
    "finished after a flush": _FINISHED,
    "much output after the finish": _FINISHED,
    "where PHP was built to find its settings": "libphp was built with a folder of its own; kraal reads php-fpm's",
    "the module of the SAPI": _RESPONSE_HEADERS,
    "descriptors of a program that is run": "programs get php-fpm's log, listeners and connections",
}


def marks(case: Case, way: str) -> list[pytest.MarkDecorator]:
    """How a test of the case on that way is marked."""
    reason = KEPT.get(case.id, KEPT.get(f"{case.id} [{way}]"))
    return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
