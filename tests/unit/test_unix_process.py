"""Programs that are executed, and what is told of their end."""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kraal.unix import process
from kraal.unix.process import Exit, Pid

# What a program finds: its descriptors, and its process.
LOOK = """
import json, os, signal, sys
found = {}
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        pass
print(json.dumps({
    "descriptors": {fd: to for fd, to in found.items() if not to.startswith("/proc/")},
    "session": os.getsid(0),
    "group": os.getpgid(0) == os.getpid(),
    "environ": dict(os.environ),
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "ignored": [int(n) for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN],
    "arguments": sys.argv[1:],
}), file=open(sys.argv[1], "w"))
"""


def run(
    tmp_path: Path, descriptors: Sequence[int], *, environ: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Execute a program that looks around, and give what it saw."""
    report = tmp_path / "report"
    argv = [sys.executable, "-I", "-S", "-c", LOOK, str(report), "a b", "'\"$"]
    pid = process.execute(argv, environ or {}, descriptors)
    assert os.waitpid(pid, 0)[1] == 0
    found: dict[str, object] = json.loads(report.read_text())
    return found


def in_child(call: Callable[[], object]) -> int:
    """The exit code of a child that has no other children than those it makes in `call`."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            result = call()
            code = 0 if result is True else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def names(found: Mapping[str, object]) -> dict[int, str]:
    """The descriptors beside the standard streams, by the last part of what they refer to."""
    descriptors: dict[str, str] = dict(found["descriptors"])  # type: ignore[call-overload]
    return {int(fd): Path(to).name for fd, to in descriptors.items() if int(fd) > 2}


def test_descriptors_stand_at_three_and_on_and_nothing_else_leaks(tmp_path: Path) -> None:
    def call() -> bool:
        files = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "abc"]
        left_by_a_careless_parent = os.open(tmp_path / "careless", os.O_RDWR | os.O_CREAT)
        os.set_inheritable(left_by_a_careless_parent, True)
        process.keep_descriptors()
        return names(run(tmp_path, files)) == {3: "a", 4: "b", 5: "c"}

    assert in_child(call) == 0


def test_standard_streams_are_handed_on(tmp_path: Path) -> None:
    def call() -> bool:
        process.keep_descriptors()
        descriptors: dict[str, str] = dict(run(tmp_path, [])["descriptors"])  # type: ignore[call-overload]
        return all(descriptors[str(fd)] == os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2))

    assert in_child(call) == 0


def test_descriptors_may_stand_where_others_are_to_go(tmp_path: Path) -> None:
    def call() -> bool:
        process.keep_descriptors()
        opened = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "abc"]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in opened]
        for place, fd in zip((5, 3, 4), high, strict=True):
            os.dup2(fd, place, inheritable=False)
        return [names(run(tmp_path, (5, 3, 4)))[fd] for fd in (3, 4, 5)] == ["a", "b", "c"]

    assert in_child(call) == 0


def test_descriptors_of_the_caller_stay_as_they_are(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with (tmp_path / "a").open("w") as file:
        run(tmp_path, [file.fileno()])
        assert not os.get_inheritable(file.fileno())
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_program_leads_a_process_group_of_its_own(tmp_path: Path) -> None:
    found = run(tmp_path, [])

    assert (found["session"], found["group"]) == (os.getsid(0), True)


def test_program_gets_the_environment_that_it_is_given_and_no_other(tmp_path: Path) -> None:
    found = run(tmp_path, [], environ={"ONLY": "this"})

    environ = dict(found["environ"])  # type: ignore[call-overload]
    assert {name: value for name, value in environ.items() if name != "LC_CTYPE"} == {"ONLY": "this"}


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    assert list(run(tmp_path, [])["arguments"])[1:] == ["a b", "'\"$"]  # type: ignore[call-overload]


def test_program_starts_with_no_signal_blocked_or_ignored(tmp_path: Path) -> None:
    numbers = {signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    actions = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGQUIT)}
    try:
        found = run(tmp_path, [])
    finally:
        for number, action in actions.items():
            signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert found["blocked"] == []
    # Python itself ignores these two.
    assert set(found["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}  # type: ignore[call-overload]


def test_program_that_does_not_exist_raises() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        process.execute(["/no/such/program"], {}, [0])
    assert sorted(os.listdir("/proc/self/fd")) == before


# ---------------------------------------------------------------- reaping


def ended(pid: int) -> None:
    """Wait until a child has ended, without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_reap_without_children_gives_nothing() -> None:
    assert in_child(lambda: list(process.reap()) == []) == 0


def test_reap_gives_every_ended_child_once_and_leaves_the_living() -> None:
    def call() -> bool:
        codes = {}
        for code in (0, 3, 255):
            pid = os.fork()
            if pid == 0:
                os._exit(code)
            codes[pid] = code
            ended(pid)
        living = os.fork()
        if living == 0:
            signal.pause()
            os._exit(0)
        found = {gone.pid: gone.code for gone in process.reap()}
        again = list(process.reap())
        os.kill(living, signal.SIGKILL)
        ended(living)
        (killed,) = process.reap()
        last = killed == Exit(Pid(living), None, signal.SIGKILL, memory=killed.memory) and killed.memory > 0
        return found == codes and again == [] and last

    assert in_child(call) == 0


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        (Exit(Pid(1), 0), "with code 0"),
        (Exit(Pid(1), 70), "with code 70"),
        (Exit(Pid(1), None, signal.SIGSEGV), "on signal 11 (SIGSEGV)"),
        (Exit(Pid(1), None, signal.SIGSEGV, core=True), "on signal 11 (SIGSEGV - core dumped)"),
        (Exit(Pid(1), None, signal.SIGKILL), "on signal 9 (SIGKILL)"),
    ],
)
def test_end_is_told_in_the_words_of_php_fpm(gone: Exit, text: str) -> None:
    assert str(gone) == text


def test_end_by_a_signal_without_a_name_is_told() -> None:
    assert str(Exit(Pid(1), None, 40)).startswith("on signal 40 (")


def test_signalling_who_is_gone_does_no_harm() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    process.send(pid, signal.SIGTERM)
    process.send_group(pid, signal.SIGTERM)


def test_group_is_signalled_as_a_whole() -> None:
    argv = [sys.executable, "-I", "-S", "-c", "import os, signal; os.fork(); signal.pause()"]
    read, write = os.pipe()
    pid = process.execute(argv, {}, [write])
    os.close(write)

    process.send_group(pid, signal.SIGKILL)

    assert os.read(read, 1) == b""  # everybody who held the other end is gone
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    os.close(read)


def test_child_dies_with_its_parent() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            process.die_with_parent(signal.SIGKILL)
            os.write(write, b"armed")
            signal.pause()
        os.close(write)
        os.read(read, 5)
        os._exit(0)
    os.close(write)
    os.waitpid(parent, 0)

    assert os.read(read, 1) == b""
    os.close(read)


def test_blocked_signal_is_seen_from_outside() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGQUIT})
    try:
        assert process.blocks(os.getpid(), signal.SIGQUIT)
        assert not process.blocks(os.getpid(), signal.SIGUSR2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert not process.blocks(os.getpid(), signal.SIGQUIT)


def test_memory_of_a_process_grows_with_what_it_uses() -> None:
    before = process.own_memory(os.getpid())
    content = bytearray(b"x" * (32 << 20))

    assert process.own_memory(os.getpid()) - before > len(content) // 2


def test_process_that_is_gone_blocks_nothing_and_has_no_memory() -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)

    assert not process.blocks(gone, signal.SIGQUIT)
    assert process.own_memory(gone) == 0
