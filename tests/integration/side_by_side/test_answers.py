"""The catalogue of cases, asked of kraal and php-fpm over FastCGI: the answers have to be equal."""

import re

import pytest

from tests.integration.side_by_side import resolution
from tests.integration.side_by_side.case import Case
from tests.integration.side_by_side.catalogue import CASES, LEFT_OUT, SLOW
from tests.integration.side_by_side.kept import KEPT, marks
from tests.integration.side_by_side.paths import PATHS
from tests.integration.side_by_side.pools import POOLS
from tests.integration.side_by_side.servers import Side, difference
from tests.support.fastcgi import Connection, Response, packet
from tests.support.servers import KINDS, Kind


def said(side: Side, answer: Response) -> list[bytes]:
    """Everything that came, in lines.

    A folder that is named like a script fails to open without an error: php-fpm names the last one there was.
    """
    head = answer.head.replace(b"\r\n", b"\n")
    ends = f"application {answer.app_status}, protocol {answer.protocol_status}".encode()
    stderr = answer.stderr
    if b"/folder.php" in stderr:
        stderr = re.sub(rb"(open stream: |folder\.php \()[\w ]+( in |\))", rb"\1REASON\2", stderr)
    return side.anonymous(b"\n".join([head, answer.body, b"stderr:", stderr, ends])).split(b"\n")


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id, marks=marks(case, "FastCGI")) for case in CASES + SLOW]
)
def test_the_answer_is_that_of_php_fpm(both: dict[Kind, Side], case: Case) -> None:
    for ask in case.asks:
        found = {kind: said(both[kind], both[kind].ask(case, ask)) for kind in KINDS}
        assert not difference(found), ask


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("variables", PATHS)
def test_the_script_is_that_of_php_fpm(both: dict[Kind, Side], pool: str, variables: str) -> None:
    found = {}
    for kind in KINDS:
        side = both[kind]
        root = str(side.server.root)
        params = {"REQUEST_METHOD": "GET", "DOCUMENT_ROOT": root, "QUERY_STRING": ""}
        for name, value in PATHS[variables].items():
            params[name] = value.replace("ROOT", root).replace(
                "SCRIPT", f"/{resolution.SITE.folder}/index.php"
            )
        with Connection(side.address(pool)) as connection:
            connection.send(packet(params))
            found[kind] = said(side, connection.response())
    assert not difference(found)


def test_names_of_cases_are_unique_and_known_to_the_lists() -> None:
    names = [case.id for case in CASES + SLOW]
    assert len(names) == len(set(names))
    assert {name.partition(" [")[0] for name in KEPT} <= set(names)
    assert {name for _, name in LEFT_OUT} <= set(names)
