"""Fixtures of the integration tests: both servers, and real web servers in front of them.

With pytest-xdist, `--dist loadfile` keeps a module's servers and databases in one process.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support import processes
from tests.support.differences import KRAAL_ONLY, PHP_FPM_DIFFERS
from tests.support.mariadb import MariaDB, mariadb
from tests.support.servers import KINDS, FpmServer, Kind
from tests.support.workspace import workspace


def pytest_configure() -> None:
    processes.adopt_orphans()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expect php-fpm to fail where the list of differences says that it does."""
    dropped = []
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        if item.callspec.params.get("server_kind") != "php-fpm":
            continue
        if item.originalname in KRAAL_ONLY:
            dropped.append(item)
        if reason := PHP_FPM_DIFFERS.get(item.originalname, PHP_FPM_DIFFERS.get(item.name)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


@pytest.fixture(params=KINDS, scope="session")
def server_kind(request: pytest.FixtureRequest) -> Kind:
    """Every test that uses this runs on kraal and on php-fpm."""
    kind: Kind = request.param
    return kind


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Torn down after everything else: no process of a test outlives it, not even of one that failed."""
    before = processes.orphans()
    yield
    left = processes.orphans() - before
    for pid in left:
        processes.kill(processes.descendants(pid) | {pid})
    assert not left, "processes are left"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for one test, reachable for a pool's user."""
    with workspace() as path:
        yield path


@pytest.fixture(scope="module")
def twins(request: pytest.FixtureRequest) -> Iterator[dict[Kind, FpmServer]]:
    """Both servers on TCP with one document root, and the module's TWINS settings."""
    settings: dict[str, Any] = getattr(request.module, "TWINS", {})
    with ExitStack() as stack:
        root = stack.enter_context(workspace())
        servers = {}
        for kind in KINDS:
            server = FpmServer.start(kind, stack.enter_context(workspace()), tcp=True, root=root, **settings)
            stack.callback(server.stop)
            servers[kind] = server
        yield servers


class StartKind(Protocol):
    def __call__(self, kind: Kind, **settings: Any) -> FpmServer: ...


class StartServer(Protocol):
    def __call__(self, **settings: Any) -> FpmServer: ...


@pytest.fixture
def start_kind() -> Iterator[StartKind]:
    """Start servers of any kind; stopped, and checked for leftovers, in the end."""
    with ExitStack() as stack:

        def start(kind: Kind, **settings: Any) -> FpmServer:
            server = FpmServer.start(kind, stack.enter_context(workspace()), **settings)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def start_server(server_kind: Kind, start_kind: StartKind) -> StartServer:
    """Start servers of the kind that the test runs on."""

    def start(**settings: Any) -> FpmServer:
        return start_kind(server_kind, **settings)

    return start


@pytest.fixture(scope="module")
def shared_server(server_kind: Kind, request: pytest.FixtureRequest) -> Iterator[FpmServer]:
    """One server for all tests of a module that do it no harm, with the module's SHARED settings."""
    settings: dict[str, Any] = getattr(request.module, "SHARED", {})
    with workspace() as directory:
        server = FpmServer.start(server_kind, directory, **settings)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def script(shared_server: FpmServer, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Write a script of the running test on the shared server; gives its URI."""
    test = re.sub(r"\W+", "_", request.node.name).strip("_")
    names = iter(f"{test}_{number}.php" for number in range(1000))

    def write(code: str) -> str:
        return shared_server.script(next(names), code)

    return write


@pytest.fixture(scope="session")
def database() -> Iterator[MariaDB]:
    with workspace() as directory, mariadb(directory) as running:
        yield running
