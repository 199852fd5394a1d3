"""The slow log: which requests are in it, and with which stack."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.fastcgi import Connection, packet
from tests.support.processes import check_gone, descendants, kill, status
from tests.support.residents import application
from tests.support.servers import FpmServer, configuration, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, manager
from tests.support.workspace import workspace

# The least that can be written.
TIMEOUT = "1s"
LONG = 30

CLASSES = """
class Shop {
    function open() { return self::sell(3); }
    static function sell($n) {
        $deep = function () use ($n) { include __DIR__ . '/included.php'; };
        return $deep();
    }
    function __get($name) { eval('hold();'); }
}
(new Shop)->open();
"""
RECURSION = "function down($n) { return $n ? down($n - 1) : hold(); }\ndown(30);"
SORT = "$list = [2, 1];\nusort($list, fn ($a, $b) => hold());"
# What holds a request: in C code, in a system call, until the test lets it go.
# A resident has it from the first request on.
HOLD = (
    "if (!function_exists('hold')) { function hold() { $gate = fopen($_GET['gate'], 'r'); fgets($gate); } }\n"
)


@dataclass
class Entry:
    """One of the slow log."""

    head: dict[str, str]
    frames: list[str]  # without their addresses

    @property
    def functions(self) -> list[str]:
        return [frame.split("(", 1)[0] for frame in self.frames]


def entries(file: Path) -> list[Entry]:
    """All that are complete enough to be read."""
    found = []
    for text in file.read_text().split("\n\n"):
        lines = text.strip().splitlines()
        if not lines:
            continue
        assert re.fullmatch(r"\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\]  \[pool www\] pid \d+", lines[0]), lines
        head = dict(line.split(" = ", 1) for line in lines[1:] if not line.startswith("[0x"))
        frames = [line for line in lines if line.startswith("[0x")]
        assert all(re.fullmatch(r"\[0x[0-9a-f]{16}\] [^ ]+\(\) .+:\d+", frame) for frame in frames), frames
        found.append(Entry(head, [frame.split("] ", 1)[1] for frame in frames]))
    return found


def slow_pool(directory: Path, **more: str) -> dict[str, str]:
    return {"request_slowlog_timeout": TIMEOUT, "slowlog": f"{directory}/slow.log", **more}


class Slow:
    """A server, and requests on it that are slow."""

    def __init__(self, server: FpmServer, file: Path, *, folder: str = "") -> None:
        """`folder` is where the scripts are."""
        self.server = server
        self.file = file
        self._folder = folder
        self._count = 0

    def entry(self, code: str, *, uri: str = "", extra: dict[str, str] | None = None) -> Entry:
        """Run a script that calls hold() until it is in the log, and give what stands there."""
        self._count += 1
        gate = self.server.root / f"gate{self._count}"
        os.mkfifo(gate)
        gate.chmod(0o666)
        path = self.server.script(f"{self._folder}slow{self._count}.php", HOLD + code)
        before = len(entries(self.file))
        with Connection(self.server.address, timeout=LONG) as connection:
            params = self.server.params(f"{path}?gate={gate}{uri}", extra=extra)
            connection.send(packet(params))
            wait_until(lambda: len(entries(self.file)) > before, at_most=LONG, what="it is in the slow log")
            wait_until(lambda: self._is_whole(before), at_most=LONG, what="the entry is complete")
            with gate.open("w") as writer:
                writer.write("\n")
            connection.response()
        return entries(self.file)[-1]

    def _is_whole(self, before: int) -> bool:
        return self.server.kind == "kraal" or bool(self.server.log_lines("finished trace of"))


@pytest.fixture
def slow(start_server: StartServer, directory: Path) -> Slow:
    return Slow(start_server(pool=slow_pool(directory)), directory / "slow.log")


@pytest.fixture
def kraal(start_kind: StartKind, directory: Path) -> Slow:
    return Slow(start_kind("kraal", pool=slow_pool(directory)), directory / "slow.log")


def test_stack_tells_who_called_whom_from_which_line(slow: Slow) -> None:
    slow.server.script("included.php", "(new Shop)->never;\n")
    entry = slow.entry(CLASSES)
    root = slow.server.root
    script = f"{root}/slow1.php"
    assert entry.head["script_filename"] == script
    assert entry.frames == [
        f"fopen() {script}:2",
        f"hold() {script}(10) : eval()'d code:1",
        f"[INCLUDE_OR_EVAL]() {script}:10",
        f"__get() {root}/included.php:2",
        f"[INCLUDE_OR_EVAL]() {script}:7",
        f"{{closure}}() {script}:8",
        f"sell() {script}:5",
        f"open() {script}:12",
    ]


def test_callback_of_a_function_in_c_is_between_it_and_the_rest(slow: Slow) -> None:
    entry = slow.entry(SORT)
    script = f"{slow.server.root}/slow1.php"
    assert entry.frames == [
        f"fopen() {script}:2",
        f"hold() {script}:4",
        f"{{closure}}() {script}:4",
        f"usort() {script}:4",
    ]


def test_depth_is_that_of_the_configuration(start_server: StartServer, directory: Path) -> None:
    server = start_server(pool=slow_pool(directory, request_slowlog_trace_depth="5"))
    entry = Slow(server, directory / "slow.log").entry(RECURSION)
    assert entry.functions == ["fopen", "hold", "down", "down", "down"]


def test_depth_is_twenty_if_not_written(slow: Slow) -> None:
    assert len(slow.entry(RECURSION).frames) == 20


def test_slow_request_is_told_in_the_error_log_once_and_counted(
    start_server: StartServer, directory: Path
) -> None:
    pool = slow_pool(directory, **{"pm.status_path": "/status", "pm.max_children": "2"})
    slow = Slow(start_server(pool=pool), directory / "slow.log")
    slow.entry("hold();", uri="&a=b")
    gate = slow.server.root / "gate1"
    line = (
        rf"WARNING: \[pool www\] child \d+, script '{slow.server.root}/slow1.php' "
        rf'\(request: "GET /slow1.php\?gate={gate}&a=b"\) executing too slow \(1\.\d{{6}} sec\), logging'
    )
    assert len(slow.server.wait_log(line)) == 1
    assert re.search(r"slow requests: +1\n", slow.server.fetch("/status").text)


def test_quick_request_is_not_in_the_log(slow: Slow) -> None:
    assert Held(slow.server).release().status == 200
    slow.entry("hold();")
    assert len(entries(slow.file)) == 1


def test_file_is_made_at_the_start_for_its_owner_alone(slow: Slow) -> None:
    assert slow.file.stat().st_mode & 0o777 == 0o600
    assert slow.file.read_text() == ""


def test_file_that_was_moved_away_is_made_again(slow: Slow) -> None:
    slow.entry("hold();")
    slow.file.rename(slow.file.with_suffix(".1"))
    slow.file.touch()
    slow.entry("hold();")
    assert len(entries(slow.file)) == 1
    assert len(entries(slow.file.with_suffix(".1"))) == 1


@pytest.mark.parametrize("kind", ["kraal", "php-fpm"])
def test_file_that_cannot_be_made_stops_the_start(start_kind: StartKind, directory: Path, kind: str) -> None:
    path = directory / "missing" / "slow.log"
    with pytest.raises(AssertionError, match=re.escape(f"Unable to create or open slowlog({path})")):
        start_kind(kind, pool={"request_slowlog_timeout": TIMEOUT, "slowlog": str(path)})  # type: ignore[arg-type]


# ---------------------------------------------------------------- more than php-fpm tells


def test_head_tells_method_url_id_and_place(kraal: Slow) -> None:
    extra = {"REQUEST_ID": "f00d-1", "REQUEST_URI": "/pretty/url?x=1"}
    entry = kraal.entry("hold();", extra=extra)
    assert list(entry.head) == ["script_filename", "request", "request_id", "at"]
    assert entry.head["request"] == "GET /pretty/url?x=1"
    assert entry.head["request_id"] == "f00d-1"
    assert entry.head["at"] == f"{kraal.server.root}/slow1.php:2"


GENERATORS = """
function inner() { yield 1; hold(); yield 2; }
function outer() { yield 0; yield from inner(); }
foreach (outer() as $value) {
    usleep(1);
}
"""


def test_generators_are_told_as_php_itself_tells_them(kraal: Slow) -> None:
    """php-fpm says `inner() unknown:0` and `???()`."""
    script = f"{kraal.server.root}/slow1.php"
    assert kraal.entry(GENERATORS).frames == [
        f"fopen() {script}:2",
        f"hold() {script}:4",
        f"inner() {script}:5",
        f"outer() {script}:6",
    ]


FIBERS = """
function work() { hold(); }
$fiber = new Fiber(function () { work(); });
$fiber->start();
"""


def test_stack_in_a_fiber_goes_on_where_the_fiber_was_started(kraal: Slow) -> None:
    script = f"{kraal.server.root}/slow1.php"
    assert kraal.entry(FIBERS).frames == [
        f"fopen() {script}:2",
        f"hold() {script}:4",
        f"work() {script}:5",
        f"{{closure}}() {script}:6",
        f"start() {script}:6",
    ]


def spinning(kraal: Slow, code: str) -> Entry:
    """Run a script that waits for nothing until it is in the log."""
    path = kraal.server.script("spin.php", code)
    with Connection(kraal.server.address, timeout=LONG) as connection:
        connection.send(packet(kraal.server.params(path)))
        wait_until(lambda: entries(kraal.file), at_most=LONG, what="it is in the slow log")
        assert connection.response().text == "end"
    return entries(kraal.file)[-1]


SPIN = "for ($end = hrtime(true) + 2e9, $i = 0; $i % 1000 || hrtime(true) < $end; $i++);\necho 'end';"


def test_script_that_spins_without_a_call_is_found_where_it_spins(kraal: Slow) -> None:
    """php-fpm says nothing but the name of the script."""
    entry = spinning(kraal, SPIN)
    at = rf"{kraal.server.root}/spin\.php(:2|, lines \d+ to 3(, last seen in line [23])?)"
    assert re.fullmatch(at, entry.head["at"]), entry


def test_stack_that_changes_all_the_time_is_right(kraal: Slow) -> None:
    entry = spinning(
        kraal,
        """
        function a($n) { return $n ? a($n - 1) : strlen('x'); }
        function b($n) { return a($n) + c(); }
        function c() { return count([1]); }
        for ($end = hrtime(true) + 2e9; hrtime(true) < $end;) {
            a(3);
            b(2);
        }
        echo 'end';
        """,
    )
    # a() and b() are called from these lines, and from no others.
    allowed = {"a": {3, 4, 7}, "b": {8}, "c": {4}, "strlen": {3}, "count": {5}, "hrtime": {6}}
    for frame in entry.frames:
        name, line = re.fullmatch(r"(\w+)\(\) .*spin\.php:(\d+)", frame).groups()  # type: ignore[union-attr]
        assert int(line) in allowed[name], entry


def test_system_call_of_the_worker_is_not_interrupted(kraal: Slow) -> None:
    """Neither sleep() nor what waits for a socket ends before its time."""
    path = kraal.server.script(
        "wait.php",
        """
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $read = [$pair[0]]; $none = null;
        $began = hrtime(true);
        $found = @stream_select($read, $none, $none, 2);
        $error = error_get_last()['message'] ?? 'none';
        printf('%d %s %s', (hrtime(true) - $began) / 1e9, var_export($found, true), $error);
        """,
    )
    assert kraal.server.fetch(path).text == "2 0 none"
    assert entries(kraal.file)[0].functions == ["stream_select"]
    assert not kraal.server.log_lines("stopped for tracing")


def test_worker_stays_closed_to_debuggers(kraal: Slow) -> None:
    (worker,) = kraal.server.workers()
    # Of a process that is not dumpable, the files in /proc belong to root.
    expected = 0 if os.getuid() == 0 else os.getuid()
    wait_until(lambda: Path(f"/proc/{worker}/mem").stat().st_uid == expected, what="it is closed again")
    kraal.entry("hold();")
    assert Path(f"/proc/{worker}/mem").stat().st_uid == expected
    held = [os.readlink(path) for path in Path(f"/proc/{worker}/fd").iterdir()]
    assert not [name for name in held if name.endswith("/mem")], "the worker keeps no way into itself"


# ------------------------------------------------------------ worker mode


def test_each_slow_request_of_a_resident_has_its_own_stack_and_name() -> None:
    pool = slow_pool(Path("DIRECTORY"))
    with application(pool=pool, after="usleep(1);") as app:
        server = app.server
        slow = Slow(server, server.directory / "slow.log", folder="app/")
        (resident,) = app.residents()
        boot = f"{server.directory}/worker.php"
        called = Path(boot).read_text().splitlines()
        handled = 1 + next(n for n, line in enumerate(called) if "_handle_request($handler)" in line)
        required = 1 + next(n for n, line in enumerate(called) if "require" in line)
        app.run("echo 'quick';")
        entry = slow.entry(
            "function first() {\n hold(); }\nfirst();", uri="&n=1", extra={"REQUEST_ID": "one"}
        )
        file = f"{server.root}/app/slow1.php"
        assert entry.head["script_filename"] == file
        assert re.fullmatch(r"GET /app/slow1\.php\?gate=.*&n=1", entry.head["request"])
        assert entry.head["request_id"] == "one"
        # From the request's own code down to the loop of the worker script.
        assert entry.frames == [
            f"fopen() {file}:2",
            f"hold() {file}:4",
            f"first() {file}:5",
            f"[INCLUDE_OR_EVAL]() {boot}:{required}",
            f"{{closure}}() {boot}:{handled}",
            f"frankenphp_handle_request() {boot}:{handled}",
        ]
        # Nothing of the one before is left in that of the next, but the function that it has defined.
        entry = slow.entry("hold();", extra={"REQUEST_ID": "two"})
        first, file = file, f"{server.root}/app/slow2.php"
        assert (entry.head["script_filename"], entry.head["request_id"]) == (file, "two")
        assert entry.frames[:2] == [f"fopen() {first}:2", f"hold() {file}:3"]
        assert len(entry.frames) == 5
        assert app.residents() == {resident}
        assert len(entries(slow.file)) == 2


def test_resident_that_waits_for_requests_is_not_slow() -> None:
    """Its script runs all the time."""
    with application(pool=slow_pool(Path("DIRECTORY"))) as app:
        slow = Slow(app.server, app.server.directory / "slow.log")
        # As long as it takes for a request of an ordinary worker to be slow, it waits.
        assert slow.entry("hold();").head["script_filename"].endswith("/slow1.php")
        assert len(entries(slow.file)) == 1


# Nobody, without a capability, in a user and a pid namespace of its own.
UNPRIVILEGED = [
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"),
    *("unshare", "--user", "--pid", "--fork", "--mount-proc", "--kill-child"),
]


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_stack_is_read_without_any_privilege_in_namespaces_of_its_own() -> None:
    if subprocess.run([*UNPRIVILEGED, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not permitted here")
    with workspace() as directory:
        shutil.chown(directory, 65534, 65534)
        address = f"{directory}/www.sock"
        file = directory / "kraal.conf"
        pool = slow_pool(directory, user="", group="")
        file.write_text(configuration(directory, address, pool=pool))
        root = directory / "root"
        root.mkdir()
        command = [*UNPRIVILEGED, *executable("kraal"), "-F", "-y", str(file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            server = FpmServer("kraal", directory, address, process, root, directory / "error.log")
            try:
                server.wait_ready()
                inside = descendants(process.pid)
                assert {status(pid)["CapEff"] for pid in inside} == {"0" * 16}
                entry = Slow(server, directory / "slow.log").entry("hold();")
                assert entry.functions == ["fopen", "hold"]
            finally:
                below = descendants(process.pid)
                kill(below | {process.pid})
                process.wait()
                check_gone(below, before=set())


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user to change to")
def test_manager_that_reads_has_no_capability(kraal: Slow) -> None:
    assert status(manager(kraal.server))["CapEff"] == "0" * 16
    assert kraal.entry("hold();").functions == ["fopen", "hold"]
