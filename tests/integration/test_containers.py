"""What tells of workers, in a container: without the right to trace, and with users of its own."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.contained import MOST_USERS, SYS_PTRACE, Contained, contained
from tests.support.fastcgi import Connection, packet
from tests.support.wait import wait_until

SLOW = {"request_slowlog_timeout": "1s", "slowlog": "DIRECTORY/slow.log"}
NOBODY_ELSE = SLOW | {"user": "", "group": ""}


def check_rights(server: Contained) -> None:
    """Nobody in there may trace others."""
    rights = {processes.status(pid)["CapEff"] for pid in processes.descendants(server.pid) | {server.pid}}
    assert not [each for each in rights if int(each, 16) & SYS_PTRACE]


def slow_log(server: Contained) -> str:
    file = server.directory / "slow.log"
    text = wait_until(lambda: file.exists() and file.read_text(), at_most=30, what="it is in the slow log")
    return text or ""


@contextmanager
def running(server: Contained) -> Iterator[None]:
    """A request that runs; its script has no file of another user to write to."""
    gate = server.root / "gate"
    uri = server.script("busy.php", f"while (!file_exists('{gate}')) {{ usleep(2000); }}\necho 'done';")
    with Connection(server.address) as connection:
        connection.send(packet(server.params(uri)))
        yield
        gate.touch()
        assert connection.response().text == "done"


def is_closed(pid: int) -> bool:
    """Whether a process is closed to debuggers of its own user: its files in /proc are then root's."""
    return Path(f"/proc/{pid}/mem").stat().st_uid == 0


def test_workers_of_a_container_with_one_user_are_seen() -> None:
    with contained(NOBODY_ELSE, users=1) as server:
        check_rights(server)
        with running(server):
            # Written after a second: by then it runs.
            assert f"at = {server.root}/busy.php:2\n" in slow_log(server)
            shown = server.run("trace")
            assert (shown.returncode, shown.stderr) == (0, "")
            assert re.match(r"worker \d+, pool www: GET /busy\.php", shown.stdout)
            assert f"  at {server.root}/busy.php:2\n" in shown.stdout
            done = server.run("profile", "--seconds", "0.5", "--output", f"{server.directory}/profile")
            assert done.returncode == 0, done.stderr
            assert "GET /busy.php;" in (server.directory / "profile.folded").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may have many users in a namespace")
def test_workers_that_have_changed_their_user_are_in_the_slow_log_and_closed_to_all_else() -> None:
    with contained(SLOW, users=MOST_USERS) as server:
        check_rights(server)
        (worker,) = server.workers()
        assert processes.status(worker)["Uid"].split()[0] != "0"
        with running(server):
            assert f"at = {server.root}/busy.php:2\n" in slow_log(server)
            for command in ("trace", "profile"):
                done = server.run(command)
                assert (done.returncode, done.stdout) == (70, "")
                assert re.fullmatch(rf"kraal {command}: .* may not be looked into: .*\n", done.stderr)
            assert is_closed(worker)
