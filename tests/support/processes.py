"""Look at processes through /proc, and see to it that none is left behind.

The test process adopts orphans (`adopt_orphans`), so that whatever outlives its parent becomes a
child of ours and cannot hide.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.wait import PATIENCE, wait_until

PR_SET_CHILD_SUBREAPER = 36

_spawned: set[int] = set()


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def spawn(
    argv: Sequence[str | Path],
    *,
    output: IO[bytes] | int,
    environ: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is ours to stop, in a session of its own.

    It begins in /, as a service does: workers may not be able to come back to where the tests are.
    """
    process = subprocess.Popen(
        [str(word) for word in argv],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=dict(os.environ) | dict(environ or {}),
        user=user,
        group="nogroup" if user else None,
        extra_groups=[] if user else None,
        start_new_session=True,
    )
    _spawned.add(process.pid)
    return process


def end(process: subprocess.Popen[bytes], number: signal.Signals, *, at_most: float = 10.0) -> int:
    """Ask a program to stop; one that does not is killed, which fails the test."""
    process.send_signal(number)
    try:
        return process.wait(at_most * PATIENCE)
    except subprocess.TimeoutExpired:
        kill(descendants(process.pid) | {process.pid})
        process.wait()
        raise AssertionError(f"{process.args!r} did not stop within {at_most:g} seconds") from None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def alive(pid: int) -> bool:
    """Whether the process runs: a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def children(pid: int) -> set[int]:
    return {child for child, parent in _parents().items() if parent == pid}


def descendants(pid: int) -> set[int]:
    """Everything below the process."""
    parents = _parents()
    found: set[int] = set()
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found |= wave
    return found


def _parents() -> dict[int, int]:
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in "ZX":
            parents[int(entry)] = int(fields[1])
    return parents


def orphans() -> set[int]:
    """Living processes that came to us because their parent died; dead ones are reaped."""
    for pid in zombies(os.getpid()) - _spawned:
        os.waitpid(pid, 0)
    return children(os.getpid()) - _spawned


def zombies(pid: int) -> set[int]:
    """Dead children that a process has not reaped."""
    found = {int(entry): _stat(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    return {child for child, fields in found.items() if fields and fields[0] == "Z" and int(fields[1]) == pid}


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def descriptors(pid: int) -> dict[int, str]:
    """What each descriptor of a process refers to."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            continue
    return found


def status(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status by name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def check_gone(pids: Iterable[int], *, before: set[int], at_most: float = 5.0) -> None:
    """Fail if one of the processes still runs, or if an orphan turned up that was not there before."""

    def left() -> set[int]:
        return {pid for pid in pids if alive(pid)} | (orphans() - before)

    try:
        wait_until(lambda: not left(), at_most=at_most, what="all processes are gone")
    except AssertionError:
        found = {pid: command_line(pid) for pid in left()}
        kill(found)
        raise AssertionError(f"left running: {found}") from None
