"""What the kernel tells of processes."""

import os
import subprocess

from kraal.unix import vitals


def test_own_vitals_are_those_of_this_process() -> None:
    own = vitals.read(os.getpid())

    assert own is not None
    assert own.parent == os.getppid()
    assert own.rss > 1 << 20
    times = os.times()
    spent = times.user + times.system + times.children_user + times.children_system
    assert 0 <= own.cpu <= spent + 1
    assert vitals.age(own) >= 0


def test_process_that_is_gone_has_none() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert vitals.read(process.pid) is None


def test_name_of_a_process_is_no_part_of_the_figures() -> None:
    argv = [
        "bash",
        "-c",
        "exec -a x sh -c 'echo -n \") 1 2 (\" > /proc/self/comm; cat /proc/$$/stat >&2; read x'",
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b") 1 2 (" in process.stderr.readline()
        found = vitals.read(process.pid)
        process.communicate(b"\n")
    assert found is not None
    assert found.parent == os.getpid()
