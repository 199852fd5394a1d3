"""The catalogue of cases, asked through web servers: what a client gets has to be equal."""

import json

import pytest

from tests.integration.side_by_side.case import Case
from tests.integration.side_by_side.catalogue import by_front
from tests.integration.side_by_side.kept import marks
from tests.integration.side_by_side.servers import Side, difference
from tests.support.servers import KINDS, Kind


@pytest.mark.parametrize(
    ("front", "case"),
    [
        pytest.param(front, case, id=f"{front}-{case.id}", marks=marks(case, front))
        for front, case in by_front()
    ],
)
def test_the_client_gets_what_it_gets_of_php_fpm(both: dict[Kind, Side], front: str, case: Case) -> None:
    for ask in case.asks:
        found = {}
        for kind in KINDS:
            side = both[kind]
            answer = side.ask_front(front, case, ask)
            found[kind] = side.anonymous(answer.head + b"\n\n" + answer.body).split(b"\n")
        assert not difference(found), ask


def test_a_body_in_chunks_arrives_through_caddy(both: dict[Kind, Side]) -> None:
    """php-fpm waits for more of it until the client has given up."""
    ((_, case),) = (
        (front, case) for front, case in by_front() if (front, case.name) == ("nginx", "a body in chunks")
    )
    answer = both["kraal"].ask_front("caddy", case, case.asks[0])
    assert json.loads(answer.body)["post"] == {"a": "1", "b": "2"}
