"""`kraal trace` and `kraal profile`, and stacks that are read while they change."""

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kraal.memory import stack_sample
from kraal.memory.stack import Frame, Kind
from kraal.memory.stack_sample import Missing, StackSample
from kraal.observe import onlooker
from tests.integration.conftest import StartKind
from tests.support import processes
from tests.support.fastcgi import Connection, packet
from tests.support.servers import FpmServer, executable
from tests.support.wait import wait_until
from tests.support.workers import Held, manager

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may look into workers of others")

LONG = 60


def kraal(*arguments: str, cwd: Path | None = None, user: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [*executable("kraal"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LONG, cwd=cwd, user=user, check=False
    )


@pytest.fixture
def server(start_kind: StartKind) -> FpmServer:
    return start_kind("kraal", pool={"pm.max_children": "2"}, more={"shop": {}})


@contextmanager
def running(server: FpmServer, code: str) -> Iterator[int]:
    """A worker that runs a script; ended with the test.  Gives its process id."""
    started = server.root / "started"
    started.mkdir(mode=0o777)
    started.chmod(0o777)
    uri = server.script("running.php", f"file_put_contents('{started}/pid', getmypid());\n{code}")
    file = started / "pid"
    with Connection(server.address, timeout=LONG) as connection:
        connection.send(packet(server.params(uri)))
        yield int(wait_until(lambda: file.exists() and file.read_text(), what="the script runs") or 0)


def test_stack_of_a_worker_is_shown(server: FpmServer) -> None:
    with running(server, "class A { function m() { sleep(60); } }\n(new A)->m();\n") as pid:
        wait_until(lambda: "sleep()" in kraal("trace", str(pid)).stdout, what="it sleeps")
        shown = kraal("trace", str(pid))
    assert shown.returncode == 0
    script = f"{server.root}/running.php"
    head, *stack = shown.stdout.splitlines()
    assert re.fullmatch(rf"worker {pid}, pool www: GET /running\.php \(\d+\.\d\d\d s\)", head)
    assert stack == [
        f"  at {script}:3",
        f"  #0 {script}(3): sleep()",
        f"  #1 {script}(4): A->m()",
        "  #2 {main}",
    ]


def test_all_workers_of_all_pools_or_of_one_are_shown(server: FpmServer) -> None:
    held = Held(server)
    everybody = kraal("trace", "-g", str(server.pid_file)).stdout
    assert everybody.count("pool www: ") == 2
    assert everybody.count("pool www: idle") == 1
    assert everybody.count("pool shop: idle") == 1
    assert kraal("trace", "--pool", "shop", "-g", str(server.pid)).stdout.count("worker") == 1
    assert kraal("trace", str(manager(server))).stdout.count("worker") == 2
    held.release()


def test_wrong_words_and_processes_are_told_in_one_line(server: FpmServer) -> None:
    for arguments, code, text in (
        ((str(os.getpid()),), 70, f"process {os.getpid()} is no worker of kraal"),
        (("-g", str(os.getpid())), 70, f"process {os.getpid()} has no pools of kraal"),
        (("--pool", "none", "-g", str(server.pid)), 70, "there is no pool none; there are: shop, www"),
        (("99999999",), 70, "process 99999999: there is no such process"),
    ):
        done = kraal("trace", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr == f"kraal trace: {text}\n"
    assert kraal("trace", "1", "2").returncode == 64
    assert kraal("profile", "--seconds", "never").returncode == 64


def test_who_may_not_look_is_told_who_may(server: FpmServer) -> None:
    (pid, *_) = server.workers()
    done = kraal("trace", str(pid), user=65534)
    assert done.returncode == 70
    assert re.fullmatch(rf"kraal trace: process {pid}: it may not be looked into: .*\n", done.stderr)


WORK = """
function busy() { for ($end = hrtime(true) + 4e6; hrtime(true) < $end;) { md5('x'); } }
function lazy() { usleep(4000); }
for ($end = hrtime(true) + 60e9; hrtime(true) < $end;) { busy(); lazy(); }
"""


def test_profile_is_written_in_three_forms(server: FpmServer, directory: Path) -> None:
    with running(server, WORK):
        done = kraal("profile", "--pool", "www", "--seconds", "1.5", "-g", str(server.pid), cwd=directory)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ stacks, \d+ times idle, .*: see kraal-profile\.html\n", done.stderr)
    assert {file.name for file in directory.iterdir()} == {
        "kraal-profile.folded",
        "kraal-profile.speedscope.json",
        "kraal-profile.html",
    }
    folded = (directory / "kraal-profile.folded").read_text()
    main = f"GET /running.php;{{main}} {server.root}/running.php"
    assert f"{main};lazy;usleep " in folded
    assert f"{main};busy" in folded
    names = {line.rpartition(" ")[0].rpartition(";")[2] for line in folded.splitlines()}
    assert names <= {"busy", "lazy", "usleep", "md5", "hrtime", main.rpartition(";")[2]}
    found = json.loads((directory / "kraal-profile.speedscope.json").read_text())
    assert {"busy", "lazy"} <= {frame["name"] for frame in found["shared"]["frames"]}
    assert '"busy"' in (directory / "kraal-profile.html").read_text()


def looks(pid: int) -> bool:
    """Whether a profile has begun: it holds files in /proc of the workers."""
    return any(target.endswith("/status") for target in processes.descriptors(pid).values())


def test_interrupted_profile_writes_what_there_is(server: FpmServer, directory: Path) -> None:
    command = [*executable("kraal"), "profile", "--seconds", "60", "-g", str(server.pid)]
    with (
        running(server, WORK),
        subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE) as process,
    ):
        wait_until(lambda: looks(process.pid), what="it looks")
        process.send_signal(signal.SIGINT)
        assert b"stacks" in process.communicate(timeout=LONG)[1]
    assert process.returncode == 0
    assert (directory / "kraal-profile.html").exists()


def test_requests_are_served_while_a_profile_is_taken(server: FpmServer, directory: Path) -> None:
    uri = server.script("quick.php", "echo 'quick';")
    command = [*executable("kraal"), "profile", "--seconds", "1.5", "--rate", "1000", "-g", str(server.pid)]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            assert server.fetch(uri).text == "quick"
        process.communicate()
    assert process.returncode == 0
    assert not server.log_lines("exited")


# ---------------------------------------------------------------- stacks that never hold still

# Every line calls one thing at most, so that a line tells what it may have called.
TORTURE = """\
function a($n) {
    $x = $n > 0
        ? a($n - 1)
        : b();
    return $x + 1;
}
function b() {
    return strlen('abc');
}
function c($f) {
    return $f();
}
function g($n) {
    for ($i = 0; $i < $n; $i++) {
        yield b();
    }
}
function h() {
    yield from g(3);
}
class K {
    function __get($name) {
        return a(1);
    }
    static function s() {
        return count([1, 2]);
    }
}
$k = new K;
$end = hrtime(true) + 600e9;
while (hrtime(true) < $end) {
    a(7);
    c(function () {
        return b();
    });
    foreach (h() as $v) {
        K::s();
    }
    $k->never;
    array_map(
        'b', [1, 2]
    );
}
"""
# Who is called from where: the callee, its caller and the lines.
FIRST = 3  # the line of the script that the text above begins with
CALLS = {
    ("file_put_contents", "{main}"): {0},  # with which `running` begins
    ("a", "a"): {3, 2},
    ("b", "a"): {4, 2},
    ("strlen", "b"): {8},
    ("{closure}", "c"): {11},
    ("b", "{closure}"): {34},
    ("b", "g"): {15},
    ("g", "h"): {19},
    ("a", "K->__get"): {23},
    ("count", "K::s"): {26},
    ("hrtime", "{main}"): {30, 31},
    ("a", "{main}"): {32},
    ("c", "{main}"): {33, 34, 35},
    ("h", "{main}"): {36},
    ("g", "{main}"): set(),
    ("K::s", "{main}"): {37},
    ("K->__get", "{main}"): {39},
    ("array_map", "{main}"): {40, 41, 42},
    ("b", "{main}"): {40, 41, 42},  # by way of array_map
}
SAMPLES = 10_000


def check(frames: tuple[Frame, ...], script: str) -> None:
    """Every frame is one of the script, and each was called by the next."""
    assert frames[-1].kind is Kind.MAIN, frames
    for index, frame in enumerate(frames[:-1]):
        caller = next(each for each in frames[index + 1 :] if each.is_php)
        assert caller.file == script
        lines = {line + FIRST - 1 for line in CALLS.get((frame.title, caller.title), set())}
        assert caller.line in lines, (frame.title, caller, frames)
        between = [each.title for each in frames[index + 1 : frames.index(caller)]]
        assert between in ([], ["array_map"]), frames


def test_no_frame_of_a_stack_that_never_holds_still_is_wrong(server: FpmServer) -> None:
    """Ten thousand looks at a worker that calls, returns and yields as fast as it can."""
    script = f"{server.root}/running.php"
    moved: Counter[Missing] = Counter()
    shapes: Counter[tuple[str, ...]] = Counter()
    with running(server, TORTURE) as pid:
        board = onlooker.board_of(pid)
        assert board
        subject = board.subject(pid)
        wait_until(lambda: board.workers()[pid].requests == 1, what="it is at its request")
        for _ in range(SAMPLES):
            found = stack_sample.sample(subject, 100)
            if isinstance(found, StackSample):
                check(found.frames, script)
                shapes[tuple(frame.title for frame in found.frames)] += 1
            else:
                moved[found] += 1
        subject.process.close()
        assert processes.alive(pid)
        processes.kill({pid})
    print(f"{shapes.total()} stacks of {len(shapes)} shapes; {dict(moved)}")
    assert set(moved) <= {Missing.MOVED}
    # Most looks succeed, and see it in many places.
    assert moved.total() < SAMPLES / 2
    assert len(shapes) > 10
