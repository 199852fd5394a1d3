"""What keeps a pool's scripts in their place: root folder, limits, environment, settings, clients."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer, free_port
from tests.support.workers import ask, wait_workers
from tests.support.workspace import ROOT, give

pytestmark = pytest.mark.skipif(not ROOT, reason="only root may do most of this")


CAUGHT = {"catch_workers_output": "yes"}


def the_worker(server: FpmServer) -> int:
    """A worker that has answered is all that it was to become."""
    return int(server.fetch(server.script("the-worker.php", "echo getmypid();")).text)


# ---------------------------------------------------------------- root folder


JAILED = """
    echo json_encode([
        'file' => __FILE__,
        'folder' => getcwd(),
        'root' => array_values(array_diff(scandir('/'), ['.', '..'])),
        'above' => file_exists('/../etc/passwd'),
        'document root' => $_SERVER['DOCUMENT_ROOT'],
    ]);
"""


@pytest.fixture
def jail(directory: Path) -> Path:
    place = directory / "jail"
    for name in ("site", "elsewhere", "tmp"):
        (place / name).mkdir(parents=True)
    return place


def test_chroot_shows_scripts_nothing_but_the_jail(start_server: StartServer, jail: Path) -> None:
    server = start_server(pool={"chroot": str(jail), "chdir": "/elsewhere"}, root=jail / "site")
    uri = server.script("show.php", JAILED)
    params = server.params(uri) | {"SCRIPT_FILENAME": f"/site{uri}", "DOCUMENT_ROOT": "/site"}
    for _ in range(2):  # the second is served by OPcache
        with Connection(server.address) as connection:
            connection.send(packet(params))
            response = connection.response()
        assert json.loads(response.body) == {
            "file": "/site/show.php",
            "folder": "/site",
            "root": ["elsewhere", "site", "tmp"],
            "above": False,
            "document root": "/site",
        }
    assert server.fetch(uri).status == 404  # by its name outside of the jail
    (worker,) = wait_workers(server, 1)
    assert os.readlink(f"/proc/{worker}/root") == str(jail)
    assert os.readlink(f"/proc/{worker}/cwd") == f"{jail}/elsewhere"


def test_chrooted_pool_answers_its_own_pages_and_replaces_its_workers(
    start_server: StartServer, jail: Path
) -> None:
    """Nothing that is needed later may be looked for in the new root."""
    server = start_server(
        pool={"chroot": str(jail), "pm.status_path": "/status", "ping.path": "/ping", **CAUGHT}
    )
    for _ in range(2):
        assert server.fetch("/ping").text == "pong"
        for query in ("json&full", "html", "xml", "openmetrics", ""):
            assert server.fetch(f"/status?{query}").status == 200
        (worker,) = wait_workers(server, 1)
        os.kill(worker, signal.SIGKILL)
        wait_workers(server, 1, without={worker})
    assert "said into" not in server.log()


def test_chdir_without_chroot_is_where_workers_are(start_server: StartServer, directory: Path) -> None:
    server = start_server(pool={"chdir": str(directory)})
    assert os.readlink(f"/proc/{the_worker(server)}/cwd") == str(directory)


# ---------------------------------------------------------------- limits


def limits(pid: int) -> dict[str, tuple[str, str]]:
    """The soft and the hard limit by name."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def test_limits_of_the_pool_are_those_of_its_workers(start_server: StartServer) -> None:
    server = start_server(pool={"rlimit_files": "333", "rlimit_core": "4096"})
    found = limits(the_worker(server))
    assert found["Max open files"] == ("333", "333")
    assert found["Max core file size"] == ("4096", "4096")


def test_core_files_may_be_unlimited(start_server: StartServer) -> None:
    found = limits(the_worker(start_server(pool={"rlimit_core": "unlimited"})))
    assert found["Max core file size"] == ("unlimited", "unlimited")


def test_limits_of_the_master_are_its_own(start_server: StartServer) -> None:
    server = start_server(options={"rlimit_files": "555"}, pool={"rlimit_files": "333"})
    assert limits(server.pid)["Max open files"] == ("555", "555")
    assert limits(the_worker(server))["Max open files"] == ("333", "333")


def test_process_priority_is_the_nice_value(start_server: StartServer) -> None:
    server = start_server(options={"process.priority": "3"}, pool={"process.priority": "7"})
    assert os.getpriority(os.PRIO_PROCESS, server.pid) == 3
    assert os.getpriority(os.PRIO_PROCESS, the_worker(server)) == 7


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel has no autogroups")
def test_nice_values_count_between_pools_and_what_starts(start_server: StartServer) -> None:
    """The kernel weighs them within a session only, where each session has a share of the CPU: sched(7)."""
    server = start_server(more={"second": {"listen": f"127.0.0.1:{free_port()}"}})
    wait_workers(server, 2)
    everybody = {server.pid, *processes.descendants(server.pid)}
    assert len({Path(f"/proc/{pid}/autogroup").read_text() for pid in everybody}) == 1
    assert len(everybody) > 2


def test_scripts_can_be_kept_from_gaining_rights(start_kind: StartKind) -> None:
    def privileged(server: FpmServer) -> str:
        code = "echo shell_exec('grep NoNewPrivs /proc/self/status');"
        return server.fetch(server.script("rights.php", code)).text.strip()

    assert privileged(start_kind("kraal")) == "NoNewPrivs:\t0"
    server = start_kind("kraal", pool={"process.no_new_privs": "yes"})
    assert privileged(server) == "NoNewPrivs:\t1"


def test_apparmor_hat_that_cannot_be_entered_ends_the_worker(start_server: StartServer) -> None:
    """There is no such hat, and perhaps no AppArmor."""
    server = start_server(pool={"apparmor_hat": "no-such-hat", "catch_workers_output": "yes"})
    server.wait_log(r"failed to (query apparmor|change to new) confinement")
    server.wait_log(r"child \d+ exited with code 70")


@pytest.mark.parametrize(("value", "dumpable"), [("yes", True), ("no", False)])
def test_process_dumpable_opens_workers_to_debuggers_of_their_user(
    start_server: StartServer, value: str, dumpable: bool
) -> None:
    """The kernel gives the files in /proc of a process that is not dumpable to root."""
    worker = the_worker(start_server(pool={"process.dumpable": value}))
    assert (os.stat(f"/proc/{worker}/environ").st_uid != 0) == dumpable


# ---------------------------------------------------------------- clients


def test_client_that_is_allowed_is_served(start_server: StartServer) -> None:
    server = start_server(tcp=True, pool={"listen.allowed_clients": "192.0.2.1,127.0.0.1"})
    assert server.fetch(server.script("page.php", "echo 'served';")).text == "served"


def test_client_that_is_not_allowed_is_dropped_and_logged(start_server: StartServer) -> None:
    """php-fpm's worker says it to its standard error, which has to be caught."""
    pool = {"listen.allowed_clients": "192.0.2.1,::1", **CAUGHT}
    server = start_server(tcp=True, pool=pool)
    with Connection(server.address) as connection:
        connection.send_if_possible(packet(server.params(server.script("page.php", "echo 'served';"))))
        assert connection.closed()
    server.wait_log(r"ERROR: .*Connection disallowed: IP address '127\.0\.0\.1' has been dropped\.")


# ---------------------------------------------------------------- environment


def test_env_of_the_pool_wins_over_an_environment_that_is_kept(start_server: StartServer) -> None:
    names = ["KRAAL_A", "KRAAL_B", "KRAAL_C", "KRAAL_D"]
    server = start_server(
        pool={
            "clear_env": "no",
            "env[KRAAL_A]": "of the pool",
            "env[KRAAL_C]": "$KRAAL_B",
            "env[KRAAL_D]": "$KRAAL_THAT_IS_NOT_SET",
        },
        environ={"KRAAL_A": "of the master", "KRAAL_B": "kept"},
    )
    uri = server.script("env.php", f"echo json_encode(array_map('getenv', {json.dumps(names)}));")
    assert json.loads(server.fetch(uri).body) == ["of the pool", "kept", "kept", ""]


def test_env_of_a_pool_is_not_that_of_another(start_server: StartServer) -> None:
    server = start_server(pool={"env[KRAAL_SECRET]": "whisper"}, more={"second": {}})
    uri = server.script(
        "env.php", "echo json_encode([getenv('KRAAL_SECRET'), file_get_contents('/proc/self/environ')]);"
    )
    assert json.loads(server.fetch(uri).body)[0] == "whisper"
    assert "whisper" not in ask(f"{server.directory}/second.sock", server, uri)


def test_workers_of_two_pools_share_no_descriptor(start_kind: StartKind) -> None:
    server = start_kind("kraal", more={"second": {}})

    def held(pid: int) -> set[int]:
        """The sockets and memory files of a process."""
        found = processes.descriptors(pid)
        numbers = {fd for fd, name in found.items() if name.startswith(("socket:", "/memfd:"))}
        return {os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in numbers}

    uri = server.script("pid.php", "echo getmypid();")
    one = held(int(server.fetch(uri).text))
    other = held(int(ask(f"{server.directory}/second.sock", server, uri)))
    assert one
    assert other
    assert not one & other


# ---------------------------------------------------------------- settings

SHARED = {"pool": {"php_admin_value[memory_limit]": "200M", "php_value[precision]": "10"}}
SET = """
    foreach ($_GET['names'] as $name) {
        $found[$name] = [ini_get($name), ini_set($name, $_GET['to'] ?? '6') !== false];
    }
    echo json_encode($found);
"""


def settings(server: FpmServer, uri: str, sent: Mapping[str, str], *names: str) -> dict[str, list[object]]:
    """What each setting is, and whether a script may change it, in a request with such params."""
    query = "&".join(f"names[]={name}" for name in names)
    found: dict[str, list[object]] = json.loads(server.fetch(f"{uri}?{query}", extra=sent).body)
    return found


@pytest.fixture
def server(start_server: StartServer) -> FpmServer:
    """One for each test: php-fpm's workers keep what web servers send."""
    return start_server(**SHARED)


def test_value_that_the_web_server_sends_may_be_changed_by_the_script(server: FpmServer) -> None:
    uri = server.script("set.php", SET)
    sent = {"PHP_VALUE": "precision=5\nuser_agent=sent along"}
    found = settings(server, uri, sent, "precision", "user_agent")
    assert found == {"precision": ["5", True], "user_agent": ["sent along", True]}


def test_admin_value_that_the_web_server_sends_may_not_be_changed(server: FpmServer) -> None:
    uri = server.script("set.php", SET)
    sent = {"PHP_ADMIN_VALUE": "precision=5\nuser_agent=sent along"}
    found = settings(server, uri, sent, "precision", "user_agent")
    assert found == {"precision": ["5", False], "user_agent": ["sent along", False]}


@pytest.mark.parametrize("name", ["PHP_VALUE", "PHP_ADMIN_VALUE"])
def test_value_that_the_web_server_sent_is_undone_for_the_next_request(server: FpmServer, name: str) -> None:
    uri = server.script("set.php", SET)
    before = settings(server, uri, {}, "precision", "user_agent")
    assert before == {"precision": ["10", True], "user_agent": ["", True]}
    for _ in range(2):
        found = settings(server, uri, {name: "precision=5\nuser_agent=sent along"}, "precision")
        assert found["precision"][0] == "5"
        assert settings(server, uri, {}, "precision", "user_agent") == before


@pytest.mark.parametrize("name", ["PHP_VALUE", "PHP_ADMIN_VALUE"])
def test_web_server_cannot_override_an_admin_value_of_the_pool(server: FpmServer, name: str) -> None:
    uri = server.script("set.php", SET)
    assert settings(server, uri, {name: "memory_limit=300M"}, "memory_limit") == {
        "memory_limit": ["200M", False]
    }


def test_user_ini_file_cannot_override_an_admin_value_of_the_pool(server: FpmServer) -> None:
    (server.root / ".user.ini").write_text("memory_limit = 300M\nprecision = 5\n")
    found = settings(server, server.script("set.php", SET), {}, "memory_limit", "precision")
    assert found == {"memory_limit": ["200M", False], "precision": ["5", True]}


@pytest.mark.parametrize("name", ["PHP_VALUE", "PHP_ADMIN_VALUE"])
def test_web_server_cannot_disable_functions_for_good(start_kind: StartKind, name: str) -> None:
    """What could not be undone after the request is refused."""
    server = start_kind("kraal")
    uri = server.script("call.php", "echo strrev('abc');")
    assert server.fetch(uri, extra={name: "disable_functions=strrev"}).text == "cba"
    assert server.fetch(uri).text == "cba"
    server.wait_log(r"ERROR: \[pool www\] .*unable to set 'disable_functions'")


def test_disabled_function_is_not_there(start_server: StartServer) -> None:
    server = start_server(pool={"php_admin_value[disable_functions]": "strrev,exec"})
    uri = server.script("call.php", "echo json_encode([function_exists('exec')]); strrev('abc');")
    response = server.fetch(uri)
    assert response.text.startswith("[false]")
    assert "Call to undefined function strrev()" in response.stderr.decode()


def test_open_basedir_keeps_scripts_in_their_folders(start_server: StartServer, directory: Path) -> None:
    site = directory / "site"
    site.mkdir()
    (directory / "outside").write_text("secret")
    (site / "inside").write_text("public")
    (site / "link").symlink_to(directory / "outside")
    server = start_server(pool={"php_admin_value[open_basedir]": str(site)}, root=site)
    uri = server.script(
        "read.php",
        "ini_set('open_basedir', '/');"
        "foreach ($_GET['files'] as $file) { $found[] = @file_get_contents($file); }"
        "echo json_encode($found);",
    )
    files = ["inside", "link", "../outside", "/etc/passwd"]
    query = "&".join(f"files[]={site / file}" for file in files)
    assert json.loads(server.fetch(f"{uri}?{query}").body) == ["public", False, False, False]


def test_pools_do_not_see_each_others_scripts(start_server: StartServer) -> None:
    server = start_server(more={"second": {}})
    address = f"{server.directory}/second.sock"
    secret = server.script("secret.php", "echo 'secret';")
    uri = server.script("cached.php", "echo json_encode(array_keys(opcache_get_status()['scripts']));")
    for _ in range(2):
        assert server.fetch(secret).text == "secret"
        seen = json.loads(ask(address, server, uri))
    assert seen == [f"{server.root}{uri}"]
    assert f"{server.root}{secret}" in json.loads(server.fetch(uri).body)


# ---------------------------------------------------------------- a body in a file

BODY = "echo json_encode([file_get_contents('php://input'), $_POST]);"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def with_body_file(server: FpmServer, file: Path, content: bytes) -> list[object]:
    """Ask with a body that stands in a file, as nginx's fastcgi_pass_request_body off leaves it."""
    params = server.params(server.script(f"{file.name}.php", BODY), body=content, headers=FORM)
    with Connection(server.address) as connection:
        connection.send(packet(params | {"REQUEST_BODY_FILE": str(file)}))
        response = connection.response()
    found: list[object] = json.loads(response.body)
    return [*found, response.stderr.decode()]


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_body_is_read_from_the_file_that_the_web_server_names(server: FpmServer, size: int) -> None:
    content = b"name=" + b"x" * size
    file = server.directory / "body"
    file.write_bytes(content)
    give(file).chmod(0o600)
    assert with_body_file(server, file, content) == [content.decode(), {"name": "x" * size}, ""]


def test_body_of_a_file_ends_with_its_announced_length(server: FpmServer) -> None:
    file = server.directory / "body"
    file.write_bytes(b"name=x&more=y")
    assert with_body_file(server, file, b"name=x") == ["name=x", {"name": "x"}, ""]


def test_body_file_that_the_pool_may_not_read_is_a_warning_and_no_body(server: FpmServer) -> None:
    file = server.directory / "body"
    file.write_bytes(b"name=x")
    file.chmod(0o600)
    content, form, message = with_body_file(server, file, b"name=x")
    assert (content, form) == ("", [])
    assert f"REQUEST_BODY_FILE: open('{file}') failed: Permission denied (13)" in str(message)
