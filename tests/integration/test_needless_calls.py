"""What kraal leaves out of PHP's system calls: scripts see no difference.

PHP goes to the script's folder and back, sets timers and installs a handler for its time limits, and takes
a lock of OPcache in the kernel, all for each request.  test_system_calls.py counts what is left of it.
"""

import json
from functools import partial

import pytest

from tests.integration.conftest import StartServer
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workers import Held, wait_workers

ONE = {"pm.max_children": "1"}
CPU = """
    function cpu() {
        $used = getrusage();
        return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']
            + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
    }
    function use_time($seconds) { $end = cpu() + $seconds; while (cpu() < $end) { $x = hrtime(true); } }
    """
FOREVER = """
    $begin = cpu();
    register_shutdown_function(function () use ($begin) { printf('used %.2F', cpu() - $begin); });
    while (true) { $x = hrtime(true); }
    """


# ---------------------------------------------------------------- the working folder


def test_shutdown_functions_and_destructors_run_where_the_worker_is(start_server: StartServer) -> None:
    server = start_server(pool=ONE | {"chdir": "/usr"})
    show = "echo getcwd(), ' ';"
    uri = server.script(
        "folder/places.php",
        f"""
        class Late {{ function __destruct() {{ {show} }} }}
        $late = new Late;
        register_shutdown_function(function () {{ {show} }});
        {show}
        """,
    )
    for _ in range(2):
        assert server.fetch(uri).text == f"{server.root}/folder /usr /usr "


ENDS = {"end": "", "exit": "exit;", "error": "trigger_error('end', E_USER_ERROR);"}


@pytest.mark.parametrize("end", ENDS)
def test_script_that_goes_elsewhere_does_not_move_the_next(start_server: StartServer, end: str) -> None:
    server = start_server(pool=ONE | {"chdir": "/usr"})
    code = "register_shutdown_function(function () { echo getcwd(); }); echo getcwd(), ' '; chdir('/tmp');"
    uri = server.script("folder/leaves.php", code + ENDS[end])
    for _ in range(2):
        text = server.fetch(uri).text
        assert text.startswith(f"{server.root}/folder ")
        assert text.endswith("/usr")


def test_folder_that_is_exchanged_is_the_next_request_s_at_once(start_server: StartServer) -> None:
    """As when a release is put in place by a link."""
    server = start_server(pool=ONE, arguments=["-d", "opcache.enable=0", "-d", "realpath_cache_size=0"])
    for release in ("first", "second"):
        server.script(f"{release}/where.php", "echo getcwd(), ' ', file_get_contents('beside');")
        (server.root / release / "beside").write_text(release)
    link = server.root / "current"
    for release in ("first", "second", "first"):
        link.unlink(missing_ok=True)
        link.symlink_to(release)
        assert server.fetch("/current/where.php").text == f"{server.root}/{release} {release}"


# ---------------------------------------------------------------- time limits


def limited(start_server: StartServer, *more: str) -> FpmServer:
    arguments = ["-d", "max_execution_time=1", "-d", "display_errors=1", "-d", "html_errors=0"]
    return start_server(pool=ONE, arguments=[*arguments, *more])


def used(text: str) -> float:
    """Processor time of a script that PHP's limit of one second ended; the kernel counts it in ticks."""
    assert "Maximum execution time of 1 second exceeded" in text
    return float(text.rpartition("used ")[2])


@pytest.mark.slow
@pytest.mark.parametrize("input_time", ["-1", "60"])
def test_time_limit_counts_what_a_request_uses_itself(start_server: StartServer, input_time: str) -> None:
    """However much the requests before it have used, of the same worker."""
    server = limited(start_server, "-d", f"max_input_time={input_time}")
    some = server.script("some.php", f"{CPU} use_time(0.4); echo 'done';")
    forever = server.script("forever.php", f"{CPU} {FOREVER}")
    for _ in range(3):
        assert server.fetch(some).text == "done"
    assert 0.7 < used(server.fetch(forever).text) < 3
    assert server.fetch(some).text == "done"


@pytest.mark.slow
def test_time_limit_that_a_script_sets_counts_from_then_on(start_server: StartServer) -> None:
    server = limited(start_server, "-d", "max_input_time=60")
    some = server.script("some.php", f"{CPU} use_time(0.6); echo 'done';")
    longer = server.script("longer.php", f"{CPU} set_time_limit(5); use_time(1.3); echo 'done';")
    none = server.script("none.php", f"{CPU} set_time_limit(0); use_time(1.3); echo 'done';")
    later = server.script("later.php", f"{CPU} use_time(0.6); set_time_limit(1); {FOREVER}")
    for uri in (some, longer, some, none):
        assert server.fetch(uri).text == "done"
    assert 0.7 < used(server.fetch(later).text) < 3
    assert server.fetch(some).text == "done"


@pytest.mark.slow
def test_time_limit_holds_for_a_request_with_a_body(start_server: StartServer) -> None:
    server = limited(start_server, "-d", "max_input_time=60")
    some = server.script("some.php", f"{CPU} use_time(0.6); echo 'done';")
    forever = server.script("forever.php", f"{CPU} {FOREVER}")
    assert server.fetch(some).text == "done"
    assert server.fetch(some, body=b"a=1").text == "done"
    assert 0.7 < used(server.fetch(forever, body=b"a=1").text) < 3
    assert server.fetch(some).text == "done"


# ---------------------------------------------------------------- OPcache's lock


def restarts(server: FpmServer, status: str) -> int:
    found: int = json.loads(server.fetch(status).body)["opcache_statistics"]["manual_restarts"]
    return found


def has_restarted(server: FpmServer, status: str, times: int) -> bool:
    return restarts(server, status) == times


def test_cache_is_not_emptied_while_a_script_of_it_runs_and_is_as_soon_as_none_does(
    start_server: StartServer,
) -> None:
    server = start_server(pool={"pm.max_children": "2"})
    wait_workers(server, 2)
    reset = server.script("reset.php", "opcache_reset();")
    status = server.script("status.php", "echo json_encode(opcache_get_status(false));")
    for number in (1, 2):
        held = Held(server, f"held{number}")
        server.fetch(reset)
        assert [restarts(server, status) for _ in range(3)] == [number - 1] * 3
        assert held.release().status == 200
        wait_until(partial(has_restarted, server, status, number), what="the cache was emptied")


def test_cache_is_emptied_by_the_request_after_the_reset(start_server: StartServer) -> None:
    """Workers that only wait do not use it."""
    server = start_server(pool={"pm.max_children": "2"})
    wait_workers(server, 2)
    reset = server.script("reset.php", "opcache_reset();")
    status = server.script("status.php", "echo json_encode(opcache_get_status(false));")
    with Connection(server.address) as one, Connection(server.address) as other:
        for connection in (one, other):
            connection.send(packet(server.params(status), keep=True))
            connection.response()
        one.send(packet(server.params(reset), keep=True))
        one.response()
        other.send(packet(server.params(status), keep=True))
        assert json.loads(other.response().body)["opcache_statistics"]["manual_restarts"] == 1
