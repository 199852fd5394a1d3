"""What a small request costs in system calls: the exact list, so that nobody adds to it unknowingly.

A change that needs another call on the request path changes the list here, and gives its reason.
"""

import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.fastcgi import Connection, packet
from tests.support.processes import status
from tests.support.residents import application
from tests.support.servers import KINDS, FpmServer, Kind, executable
from tests.support.wait import NeverHappened, wait_until
from tests.support.workspace import workspace

# OPcache looks at the script's file now and then: not while we count.
POOL = {"pm.max_children": "1", "php_admin_value[opcache.revalidate_freq]": "3600"}

REQUESTS = 25

# To the script's folder, and back.  What else libphp and OPcache would do by themselves for each request is
# left out; test_needless_calls.py has the proof that scripts see no difference.
PHP = ["chdir", "fchdir"]
REQUEST = ["recvfrom", *PHP, "sendto"]
NEW = ["accept4", *REQUEST, "close"]
KEPT = REQUEST
RESIDENT = ["recvfrom", "sendto", "epoll_wait"]

# Calls that do not belong to every request.  A worker that has had no rest for long looks whether its client
# is still there (poll): here only if the machine is so busy, and strace so slow, that the next request is
# always there already.  The clock of processor time is read after requests that take long, as they do under
# strace, and now and then.  Whoever has run for 3 ms lets others run (native/rest.h).
NOW_AND_THEN = {"poll", "clock_gettime", "sched_yield"}

Call = tuple[str, int]
Way = Callable[[FpmServer, str], Iterator[None]]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Kind, FpmServer]]:
    """Both servers with one worker each."""
    with ExitStack() as stack:
        found = {}
        for kind in KINDS:
            found[kind] = FpmServer.start(kind, stack.enter_context(workspace()), pool=POOL)
            stack.callback(found[kind].stop)
        yield found


@pytest.fixture(scope="module")
def logging_server() -> Iterator[FpmServer]:
    """One that writes an access log, with all that its default format and the format json show."""
    with workspace() as directory:
        log = {"access.log": f"{directory}/access.log", "access.format": "json"}
        server = FpmServer.start("kraal", directory, pool=POOL | log, tcp=True)
        yield server
        server.stop()


def asked(server: FpmServer, uri: str) -> Iterator[None]:
    """The requests, each on a connection of its own."""
    for _ in range(REQUESTS):
        assert server.fetch(uri).text == "hello"
        yield


def asked_on_one_connection(server: FpmServer, uri: str) -> Iterator[None]:
    with Connection(server.address) as connection:
        for _ in range(REQUESTS):
            connection.send(packet(server.params(uri), keep=True))
            assert connection.response().text == "hello"
            yield


def traced(server: FpmServer, way: Way, file: Path, worker: int | None = None) -> list[Call]:
    """The system calls of the worker, the only one if none is named, while it serves a script that is warm.

    Each with its result.
    """
    uri = server.script(f"app/{way.__name__}-{file.name}.php", "echo 'hello';")
    for _ in range(5):
        assert server.fetch(uri).text == "hello"
    if worker is None:
        (worker,) = server.workers()
    assert shutil.which("strace"), "strace is not installed"
    strace = subprocess.Popen(["strace", "-qq", "-o", file, "-p", str(worker)], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: status(worker)["TracerPid"] == str(strace.pid), what="strace is attached")
        for _ in way(server, uri):
            pass
    except NeverHappened:
        pytest.skip("strace may not attach here")
    finally:
        strace.send_signal(signal.SIGINT)
        _output, error = strace.communicate(timeout=10)
    lines = file.read_text().splitlines()
    found = [re.match(r"(\w+)\(.* = (-?\d+)", line) for line in lines]
    calls = [(match[1], int(match[2])) for match in found if match and match[1] not in NOW_AND_THEN]
    assert calls, error
    return calls


def parts(calls: list[Call], begins: Callable[[Call], bool]) -> list[list[Call]]:
    """The calls cut where a request begins; without the last part, which may be cut short."""
    starts = [at for at, call in enumerate(calls) if begins(call)]
    return [calls[a:b] for a, b in pairwise(starts)]


def names(calls: list[Call]) -> list[str]:
    return [name for name, _result in calls]


def test_request_on_a_new_connection_makes_no_other_call(
    servers: dict[Kind, FpmServer], directory: Path
) -> None:
    calls = traced(servers["kraal"], asked, directory / "list")
    requests = parts(calls, lambda call: call[0] == "accept4" and call[1] >= 0)

    assert len(requests) >= REQUESTS - 1
    # On a busy machine a connection may be accepted before its request was sent.
    complete = [request for request in requests if request[1][1] > 0]
    assert len(complete) > REQUESTS / 2
    for request in complete:
        assert names(request[: len(NEW)]) == NEW
        assert names(request[len(NEW) :]) == ["epoll_wait"]


def test_request_on_a_kept_connection_makes_no_other_call(
    servers: dict[Kind, FpmServer], directory: Path
) -> None:
    calls = traced(servers["kraal"], asked_on_one_connection, directory / "list")
    first, *requests = parts(calls, lambda call: call[0] == "recvfrom" and call[1] > 0)

    assert len(requests) >= REQUESTS - 2
    # A connection is watched once it is kept, or earlier if its request was late.
    assert names(first) in ([*KEPT, "epoll_ctl", "epoll_wait"], [*KEPT, "epoll_wait"])
    for request in requests:
        assert names(request) == [*KEPT, "epoll_wait"]


def test_access_log_costs_one_call(logging_server: FpmServer, directory: Path) -> None:
    calls = traced(logging_server, asked_on_one_connection, directory / "list")
    _first, *requests = parts(calls, lambda call: call[0] == "recvfrom" and call[1] > 0)

    assert len(requests) >= REQUESTS - 2
    for request in requests:
        found = names(request)
        found.remove("write")
        assert found == [*KEPT, "epoll_wait"]


def test_request_in_worker_mode_makes_no_other_call(directory: Path) -> None:
    """Nor does it go to a folder: what the script leaves alone need not be put back."""
    boot = "while (frankenphp_handle_request(static function () { echo 'hello'; })) { } exit;"
    with application(boot=boot, pool={"catch_workers_output": "no"}) as app:
        (resident,) = app.residents()
        calls = traced(app.server, asked_on_one_connection, directory / "list", resident)
    _first, *requests = parts(calls, lambda call: call[0] == "recvfrom" and call[1] > 0)

    assert len(requests) >= REQUESTS - 2
    for request in requests:
        assert names(request) == RESIDENT


@pytest.mark.parametrize("way", [asked, asked_on_one_connection], ids=["new connections", "kept connection"])
def test_request_costs_fewer_calls_than_in_php_fpm(
    servers: dict[Kind, FpmServer], directory: Path, way: Way
) -> None:
    calls = {kind: len(traced(server, way, directory / kind)) / REQUESTS for kind, server in servers.items()}

    assert calls["kraal"] * 3 < calls["php-fpm"]


def test_worker_without_a_rest_lets_others_run_between_requests(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is interrupted within a request lets it wait until all others have run."""
    # With a filter, calls that are not looked at take no longer than they do; -D: strace is no parent.
    watched = "accept4,sendto,sched_yield"
    strace = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(directory / "list"), "-e", watched]
    monkeypatch.setenv("KRAAL_EXECUTABLE", shlex.join([*strace, *executable("kraal")]))
    server = FpmServer.start("kraal", directory, pool=POOL | {"listen.backlog": "400"})
    try:
        worker = wait_until(server.workers, what="the worker shows its title").pop()
        wait = f"while (!file_exists('{directory}/go')) {{ usleep(1000); clearstatcache(); }}"
        slow = server.script("slow.php", wait)
        uri = server.script("hello.php", "echo 'hello';")
        with ExitStack() as stack:
            for each in [slow, *[uri] * 300]:
                connection = stack.enter_context(Connection(server.address))
                connection.send(packet(server.params(each)))
            (directory / "go").touch()
            assert connection.response().text == "hello"
    finally:
        server.stop()
    calls = re.findall(rf"^{worker} +(\w+)\(.* = \d", (directory / "list").read_text(), re.MULTILINE)
    calls = calls[calls.index("sendto") :]  # before it somebody may have connected only
    followed = {calls[at - 1] for at, call in enumerate(calls) if call == "sched_yield"}

    assert calls.count("accept4") == 300
    assert followed == {"sendto"}
