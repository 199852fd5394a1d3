"""The event loop: descriptors, timers and signals, with a clock that the test turns."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from kraal.unix.loop import Loop


class ClockedLoop(Loop):
    """A loop whose time passes only when it waits for a timer."""

    def __init__(self) -> None:
        self.time = 100.0
        super().__init__()

    def now(self) -> float:  # type: ignore[override]
        return self.time

    def _patience(self) -> float | None:
        patience = super()._patience()
        if patience is None:
            return None
        self.time += patience
        return 0.0


@pytest.fixture
def loop() -> Iterator[ClockedLoop]:
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    wakeup = signal.set_wakeup_fd(-1)
    loop = ClockedLoop()
    yield loop
    loop.close_in_child()
    signal.set_wakeup_fd(wakeup)
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def note(seen: list[str], name: str) -> Callable[[], None]:
    return lambda: seen.append(name)


# ---------------------------------------------------------------- timers


def test_timers_run_in_the_order_of_their_time(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.call_later(3, loop.stop)
    loop.call_later(2, note(seen, "second"))
    loop.call_later(1, note(seen, "first"))

    loop.run()

    assert seen == ["first", "second"]
    assert loop.time == 103.0


def test_timers_of_one_moment_run_in_the_order_of_their_making(loop: ClockedLoop) -> None:
    seen: list[str] = []
    for name in "abc":
        loop.call_later(1, note(seen, name))
    loop.call_later(1, loop.stop)

    loop.run()

    assert seen == ["a", "b", "c"]


def test_cancelled_timer_does_not_run_and_nobody_waits_for_it(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.call_later(1, note(seen, "never")).cancel()
    loop.call_later(2, note(seen, "never as well")).cancel()
    loop.call_later(3, loop.stop)

    loop.run()

    assert seen == []
    assert loop.time == 103.0


def test_timer_can_be_cancelled_by_one_of_the_same_moment(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.call_later(1, lambda: second.cancel())
    second = loop.call_later(1, note(seen, "never"))
    loop.call_later(2, loop.stop)

    loop.run()

    assert seen == []


def test_timer_that_ran_can_be_cancelled_without_harm(loop: ClockedLoop) -> None:
    first = loop.call_later(1, lambda: None)
    loop.call_later(2, loop.stop)

    loop.run()
    first.cancel()


def test_timer_may_start_another(loop: ClockedLoop) -> None:
    def start_another() -> None:
        loop.call_later(1, loop.stop)

    loop.call_later(1, start_another)
    loop.run()

    assert loop.time == 102.0


def test_stopped_loop_leaves_the_other_timers_alone(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.call_later(1, loop.stop)
    loop.call_later(1, note(seen, "later"))

    loop.run()
    assert seen == []

    loop.call_later(0, loop.stop)
    loop.run()
    assert seen == ["later"]


# ---------------------------------------------------------------- descriptors


def test_descriptor_that_can_be_read_calls(loop: ClockedLoop, pipe: tuple[int, int]) -> None:
    read, write = pipe
    seen: list[bytes] = []

    def take() -> None:
        seen.append(os.read(read, 10))
        loop.stop()

    loop.watch(read, take)
    os.write(write, b"x")
    loop.run()

    assert seen == [b"x"]


def test_descriptor_that_is_unwatched_calls_no_more(loop: ClockedLoop, pipe: tuple[int, int]) -> None:
    read, write = pipe
    seen: list[str] = []
    loop.watch(read, note(seen, "never"))
    loop.unwatch(read)
    os.write(write, b"x")
    loop.call_later(1, loop.stop)

    loop.run()

    assert seen == []


def test_descriptor_unwatched_by_a_callback_of_the_same_turn_is_not_called(loop: ClockedLoop) -> None:
    pipes = [os.pipe(), os.pipe()]
    seen: list[int] = []

    def first_come(own: int, other: int) -> Callable[[], None]:
        def call() -> None:
            seen.append(own)
            loop.unwatch(own)
            loop.unwatch(other)

        return call

    (one, _), (two, _) = pipes
    loop.watch(one, first_come(one, two))
    loop.watch(two, first_come(two, one))
    for _read, write in pipes:
        os.write(write, b"x")
    loop.call_later(1, loop.stop)

    loop.run()

    assert len(seen) == 1
    for ends in pipes:
        for fd in ends:
            os.close(fd)


def test_callback_may_unwatch_itself(loop: ClockedLoop, pipe: tuple[int, int]) -> None:
    read, write = pipe
    seen: list[str] = []

    def once() -> None:
        seen.append("once")
        loop.unwatch(read)

    loop.watch(read, once)
    os.write(write, b"x")
    loop.call_later(1, loop.stop)
    loop.run()

    assert seen == ["once"]


def test_unwatching_what_is_not_watched_raises(loop: ClockedLoop, pipe: tuple[int, int]) -> None:
    with pytest.raises(KeyError):
        loop.unwatch(pipe[0])


# ---------------------------------------------------------------- signals


def test_signal_is_called_from_the_loop_and_not_before(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.on_signal(signal.SIGUSR1, note(seen, "signal"))
    loop.call_later(1, loop.stop)

    os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == []
    loop.run()

    assert seen == ["signal"]


def test_many_equal_signals_are_one_call(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.on_signal(signal.SIGUSR1, note(seen, "one"))
    loop.on_signal(signal.SIGUSR2, note(seen, "two"))
    loop.call_later(1, loop.stop)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):
        os.kill(os.getpid(), number)

    loop.run()

    assert seen == ["one", "two"]


def test_more_signals_than_the_pipe_holds_do_no_harm(loop: ClockedLoop) -> None:
    seen: list[str] = []
    loop.on_signal(signal.SIGUSR1, note(seen, "signal"))
    loop.call_later(1, loop.stop)
    for _ in range(70_000):
        signal.raise_signal(signal.SIGUSR1)

    loop.run()

    assert seen


def test_signal_wakes_a_loop_that_waits_for_nothing_else() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            loop = Loop()
            loop.on_signal(signal.SIGUSR1, loop.stop)
            loop.on_signal(signal.SIGALRM, lambda: os._exit(1))
            signal.alarm(10)
            os.kill(os.getppid(), 0)
            loop.call_later(0, lambda: os.kill(os.getpid(), signal.SIGUSR1))
            loop.run()
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


def test_loop_closed_in_a_child_gives_signals_and_descriptors_back() -> None:
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            before = set(os.listdir("/proc/self/fd"))
            loop = Loop()
            loop.on_signal(signal.SIGUSR1, lambda: None)
            loop.close_in_child()
            given_back = signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
            code = 0 if given_back and set(os.listdir("/proc/self/fd")) == before else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---------------------------------------------------------------- room to write


def test_room_is_told_until_nobody_asks(loop: ClockedLoop) -> None:
    ours, theirs = socket.socketpair()
    seen: list[str] = []

    def write() -> None:
        seen.append("room")
        loop.unwatch_room(ours.fileno())
        loop.unwatch_room(ours.fileno())
        theirs.send(b"x")

    def read() -> None:
        seen.append("read")
        loop.stop()

    with ours, theirs:
        loop.watch(ours.fileno(), read)
        loop.watch_room(ours.fileno(), write)
        loop.run()
        loop.unwatch(ours.fileno())

    assert seen == ["room", "read"]


def test_what_is_not_watched_any_more_has_no_room(loop: ClockedLoop) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.watch(ours.fileno(), loop.stop)
        loop.watch_room(ours.fileno(), lambda: pytest.fail("called"))
        loop.unwatch(ours.fileno())
        loop.call_later(0, loop.stop)
        loop.run()


def test_signals_that_a_callback_leaves_to_others_are_not_lost(loop: Loop) -> None:
    seen: list[list[int]] = []

    def give_up() -> None:
        seen.append(list(loop.undelivered()))
        loop.stop()

    loop.on_signal(signal.SIGUSR1, give_up)
    loop.on_signal(signal.SIGUSR2, lambda: None)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    loop.run()

    assert seen == [[signal.SIGUSR2]]


def test_end_of_a_process_is_told_once_also_of_one_that_has_ended_before(loop: ClockedLoop) -> None:
    process = subprocess.Popen(["sleep", "60"])
    calls: list[str] = []

    def end() -> None:
        process.kill()
        process.wait()

    loop.when_ended(process.pid, note(calls, "ended"))
    before = len(os.listdir("/proc/self/fd"))
    loop.call_later(1.0, end)
    loop.call_later(2.0, loop.stop)
    loop.run()
    loop.when_ended(process.pid, note(calls, "was gone"))

    assert calls == ["ended", "was gone"]
    assert len(os.listdir("/proc/self/fd")) == before - 1
