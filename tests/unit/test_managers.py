"""The table of managers against a manager in the hands of whoever broke into its pool."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kraal.config.model import LogLevel
from kraal.master.budget import Message
from kraal.master.generation import Event, State
from kraal.unix.channel import Kind, Output
from tests.support.managers import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def obey(scene: Scene, kind: int, payload: bytes) -> None:
    scene.managers._obey(scene.manager, kind, payload)


@given(
    kind=st.integers(min_value=0, max_value=255),
    payload=st.binary(max_size=100),
    state=st.sampled_from(State),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_message_raises_or_forges_a_line(scene: Scene, kind: int, payload: bytes, state: State) -> None:
    scene.manager.state = state
    before = len(scene.lines())

    obey(scene, kind, payload)

    # A line that an earlier message began may be ended by this one.
    most = payload.count(b"\n") + 1 if kind == Kind.OUTPUT else 1
    assert len(scene.lines()) <= before + 1 + most


@given(st.binary(min_size=1, max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_log_message_is_one_line(scene: Scene, payload: bytes) -> None:
    before = len(scene.lines())

    obey(scene, Kind.LOG, payload)

    assert len(scene.lines()) == before + 1


def test_line_end_in_a_message_is_shown_and_not_obeyed(scene: Scene) -> None:
    obey(scene, Kind.LOG, bytes([LogLevel.NOTICE]) + b"mine\n[20-Nov-2026 08:53:46] ALERT: forged")

    assert scene.lines() == ["[pool www] mine\\n[20-Nov-2026 08:53:46] ALERT: forged"]


def test_pool_cannot_speak_for_another_or_for_the_master(scene: Scene) -> None:
    for text in (b"[pool other] exited", b"fpm is running, pid 1"):
        obey(scene, Kind.LOG, bytes([LogLevel.NOTICE]) + text)

    assert scene.lines() == ["[pool www] [pool other] exited", "[pool www] fpm is running, pid 1"]


@pytest.mark.parametrize(
    ("byte", "level"), [(0, "DEBUG"), (1, "DEBUG"), (4, "ERROR"), (5, "ALERT"), (255, "ALERT")]
)
def test_level_that_does_not_exist_becomes_one_that_does(scene: Scene, byte: int, level: str) -> None:
    obey(scene, Kind.LOG, bytes([byte]) + b"text")

    assert f"] {level}: pid 4711, (null)(), line 0: [pool www] text\n" in scene.path.read_text()


def test_output_is_of_the_pool_whose_manager_speaks(scene: Scene) -> None:
    obey(scene, Kind.OUTPUT, Output(1, 4712, b"one\nt\x1bwo\n").to_bytes())
    obey(scene, Kind.OUTPUT, Output(2, 4712, b"three", closed=True).to_bytes())

    assert scene.lines() == [
        '[pool www] child 4712 said into stdout: "one"',
        '[pool www] child 4712 said into stdout: "t\\x1bwo"',
        '[pool www] child 4712 said into stderr: "three", pipe is closed',
    ]


def test_output_that_is_none_is_ignored(scene: Scene) -> None:
    obey(scene, Kind.OUTPUT, b"\x02\x00")

    assert scene.lines() == []


def test_message_without_content_is_ignored(scene: Scene) -> None:
    obey(scene, Kind.LOG, b"")

    assert scene.lines() == []


def test_orders_to_a_manager_mean_nothing_to_the_master(scene: Scene) -> None:
    for kind in (Kind.QUIT, Kind.TERMINATE):
        obey(scene, kind, b"")

    assert scene.manager.state is State.STARTING
    assert scene.lines() == []


def test_ready_is_believed_once(scene: Scene) -> None:
    for _ in range(3):
        obey(scene, Kind.READY, b"")

    assert scene.manager.state is State.SERVING


def test_one_ready_pool_does_not_speak_for_the_others(scene: Scene) -> None:
    scene.managers._table[scene.manager.pid] = scene.manager

    obey(scene, Kind.READY, b"")

    assert scene.readied == 0


def test_manager_that_serves_cannot_say_that_it_failed_to_start(scene: Scene) -> None:
    scene.manager.happened(Event.READY)

    obey(scene, Kind.FAILED, b"everything is lost")

    assert scene.failures == []
    assert scene.lines() == []


def test_failed_start_is_told_in_one_line_with_the_pool(scene: Scene) -> None:
    obey(scene, Kind.FAILED, b"no\n[pool other] PHP \xff")

    assert scene.failures == ["[pool www] no\\n[pool other] PHP \\xff"]


def test_channel_of_a_manager_that_is_gone_is_no_longer_watched(scene: Scene) -> None:
    scene.loop.watch(scene.ours.fileno(), lambda: None)
    scene.theirs.send(Kind.LOG, bytes([LogLevel.NOTICE]) + b"last words")
    scene.theirs.close()

    scene.managers._on_message(scene.manager)

    assert scene.lines() == ["[pool www] last words"]
    with pytest.raises(KeyError):
        scene.loop.unwatch(scene.ours.fileno())


def test_grant_that_found_no_room_is_told_when_there_is_some(tmp_path: Path) -> None:
    scene = Scene(tmp_path, limit=3)
    scene.managers._add(scene.manager)
    scene.managers.process_max.open()
    while scene.ours.offer(Kind.SPEAK):
        pass
    obey(scene, Kind.CLAIM, Message(1, 1).to_bytes())
    assert Kind.GRANT not in [kind for kind, _ in scene.theirs.receive()]
    scene.loop.call_later(0.01, scene.loop.stop)
    scene.loop.run()

    assert list(scene.theirs.receive()) == [(Kind.GRANT, Message(1, 1).to_bytes())]
    scene.close()


def test_grant_to_a_manager_that_neither_speaks_nor_listens_does_no_harm(tmp_path: Path) -> None:
    scene = Scene(tmp_path, limit=3)
    scene.managers._add(scene.manager)
    scene.managers.process_max.open()
    while scene.ours.offer(Kind.SPEAK):
        pass
    with socket.socket(fileno=os.dup(scene.theirs.fileno())) as theirs:
        theirs.shutdown(socket.SHUT_WR)
    scene.managers._on_message(scene.manager)

    obey(scene, Kind.CLAIM, Message(1, 1).to_bytes())

    scene.close()
