"""Going to the background: the parent leaves when the child serves, with the right exit code."""

import os
import signal
from collections.abc import Callable

import pytest

from kraal.errors import Exit
from kraal.unix import daemon
from kraal.unix.daemon import Waiter


def start(child: Callable[[Waiter], None]) -> int:
    """The exit code of a process that goes to the background as `child`."""
    pid = os.fork()
    if pid == 0:
        try:
            child(daemon.start())
        finally:
            os._exit(77)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_parent_leaves_with_success_when_the_child_serves() -> None:
    read, write = os.pipe()

    def child(waiter: Waiter) -> None:
        waiter.succeed()
        os.write(write, b"on")
        os._exit(0)

    assert start(child) == Exit.OK
    assert os.read(read, 2) == b"on"
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("code", [Exit.SOFTWARE, Exit.CONFIG, 1, 0])
def test_parent_of_a_child_that_ended_tells_a_failure_as_in_php_fpm(code: int) -> None:
    def child(_waiter: Waiter) -> None:
        os._exit(code)

    assert start(child) == Exit.SOFTWARE


def test_parent_of_a_child_that_was_killed_tells_a_failure() -> None:
    def child(_waiter: Waiter) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert start(child) == Exit.SOFTWARE


def test_child_leads_a_session_of_its_own_and_lets_go_of_the_terminal() -> None:
    read, write = os.pipe()

    def child(waiter: Waiter) -> None:
        waiter.succeed()
        streams = {os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)}
        session = os.getsid(0) == os.getpid()
        os.write(write, b"yes" if session and streams == {os.devnull} else b"no")
        os._exit(0)

    start(child)

    assert os.read(read, 3) == b"yes"
    os.close(read)
    os.close(write)


def test_child_keeps_standard_error_until_it_serves(capfd: pytest.CaptureFixture[str]) -> None:
    def child(_waiter: Waiter) -> None:
        os.write(2, b"why it failed")
        os._exit(1)

    start(child)

    assert capfd.readouterr().err == "why it failed"


def test_parent_whose_own_parent_ignores_the_end_of_children_tells_a_failure() -> None:
    def child(_waiter: Waiter) -> None:
        os._exit(Exit.SOFTWARE)

    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            child(daemon.start())
        finally:
            os._exit(77)
    signal.signal(signal.SIGCHLD, before)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == Exit.SOFTWARE
