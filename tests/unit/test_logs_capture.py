"""Reading real pipes, as a manager does."""

import os
import signal
from collections.abc import Iterator

import pytest

from kraal.logs.capture import Capture, Pipes
from kraal.logs.output import END_OF_REQUEST, Said, Stream
from kraal.unix.loop import Loop

OUT, ERR = Stream.STDOUT, Stream.STDERR


class Scene:
    """A capture of one worker, whose ends of the pipes the test holds."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.said: list[tuple[int, Said]] = []
        self.capture = Capture(self.loop, lambda pid, said: self.said.append((pid, said)), buffering=True)
        pipes = Pipes.open(wanted=True)
        assert pipes.unfinished is not None
        self.unfinished = pipes.unfinished
        self.worker = {stream: os.dup(theirs) for stream, theirs in zip(Stream, pipes.theirs, strict=False)}
        pipes.hand_over()
        self.capture.add(7, pipes)

    def write(self, stream: Stream, content: bytes) -> None:
        assert os.write(self.worker[stream], content) == len(content)

    def close(self, stream: Stream) -> None:
        os.close(self.worker.pop(stream))

    def turn(self) -> None:
        self.loop.call_later(0, self.loop.stop)
        self.loop.run()

    def texts(self) -> list[bytes]:
        return [said.text for _pid, said in self.said]


@pytest.fixture
def scene() -> Iterator[Scene]:
    wakeup = signal.set_wakeup_fd(-1)
    scene = Scene()
    yield scene
    for stream in list(scene.worker):
        scene.close(stream)
    scene.capture.drain()
    scene.loop.close_in_child()
    signal.set_wakeup_fd(wakeup)


def test_line_is_given_with_the_worker_and_its_stream(scene: Scene) -> None:
    scene.write(ERR, b"text\n")
    scene.turn()

    assert scene.said == [(7, Said(ERR, b"text\n"))]


@pytest.mark.parametrize("cut", range(len(END_OF_REQUEST) + 1))
def test_what_a_request_printed_comes_before_its_end(scene: Scene, cut: int) -> None:
    # Standard error is read first here, although it was written last.
    scene.write(OUT, b"printed")
    scene.write(ERR, END_OF_REQUEST[:cut])
    scene.capture.look()
    scene.write(ERR, END_OF_REQUEST[cut:])
    scene.capture.look()

    assert scene.said == [(7, Said(OUT, b"printed\n"))]


def test_worker_sees_whether_a_line_is_open(scene: Scene) -> None:
    assert scene.unfinished[0] == 0
    scene.write(ERR, b"begin")
    scene.turn()
    assert scene.unfinished[0] == 1
    scene.write(ERR, b" end\n")
    scene.turn()
    assert scene.unfinished[0] == 0


def test_pipe_holds_more_than_the_usual(scene: Scene) -> None:
    scene.write(ERR, b"x" * 200_000 + b"\n")
    scene.capture.drain()

    assert b"".join(scene.texts()) == b"x" * 200_000 + b"\n"


def test_one_stream_does_not_keep_the_others_waiting(scene: Scene) -> None:
    scene.write(ERR, b"x" * 200_000)
    scene.write(OUT, b"printed\n")
    scene.turn()

    assert b"printed\n" in scene.texts()
    assert sum(map(len, scene.texts())) < 200_000


def test_closed_pipes_are_given_back(scene: Scene) -> None:
    scene.write(ERR, b"last words")
    scene.close(ERR)
    scene.close(OUT)
    scene.capture.look()

    assert scene.said == [(7, Said(ERR, b"last words", closed=True))]
    assert scene.capture._workers == set()


def test_unwanted_output_has_no_pipes() -> None:
    pipes = Pipes.open(wanted=False)

    assert (pipes.ours, pipes.theirs) == ({}, [])
    assert pipes.unfinished is None
