"""The text of the slow log, which is php-fpm's: an empty line, a head, and a line for each frame.

A frame is told with the place that it was called from, so where the innermost one is itself stands nowhere in
php-fpm's lines; the head says it.  What is ours in the head has the form of php-fpm's `script_filename = …`.
"""

from kraal.fields import Frozen
from kraal.logs.lines import clean, stamp
from kraal.memory.scoreboard import WorkerState
from kraal.memory.stack import Frame, Kind
from kraal.memory.stack_sample import Missing, StackSample

# Called from there: no frame but the next one that is written in PHP knows.
_BEYOND = 32


class Entry(Frozen):
    """A slow request."""

    pool: str
    state: WorkerState
    found: StackSample | Missing
    ended: bool  # before it was looked at

    def text(self, depth: int, now: float) -> str:
        """All of it; at most so many frames."""
        lines = ["", f"{stamp(now)} [pool {self.pool}] pid {self.state.pid}", *self._head()]
        if isinstance(self.found, StackSample) and not self.ended:
            lines += frame_lines(self.found.frames, depth)
        return "".join(f"{clean(line)}\n" for line in lines)

    def _head(self) -> list[str]:
        state = self.state
        query = f"?{state.query}" if state.query else ""
        script, url, name, where = state.script, f"{state.uri}{query}", "", ""
        if self.ended:
            where = "the request has ended meanwhile"
        elif isinstance(self.found, Missing):
            where = f"unknown: {self.found.value}"
        else:
            script = self.found.script or script
            url = self.found.params.get("REQUEST_URI") or url
            name = self.found.request_id
            where = position(self.found.frames)
        lines = [f"script_filename = {script}", f"request = {state.method} {url}"]
        if name:
            lines.append(f"request_id = {name}")
        return [*lines, f"at = {where}"]


def frames_for(depth: int) -> int:
    """How many frames are to be read to tell of so many."""
    return depth + _BEYOND


def frame_lines(frames: tuple[Frame, ...], depth: int) -> list[str]:
    """php-fpm's lines.  It leaves out the frame of the main script, which nobody has called."""
    lines = []
    for index, frame in enumerate(frames[:depth]):
        if frame.kind is Kind.MAIN:
            break
        name = "[INCLUDE_OR_EVAL]" if frame.kind is Kind.INCLUDE else frame.name
        caller = next((each for each in frames[index + 1 :] if each.is_php), Frame(file="unknown"))
        lines.append(f"[0x{frame.address:016x}] {name}() {caller.file}:{caller.line}")
    return lines


def position(frames: tuple[Frame, ...]) -> str:
    """Where a worker is in what is written in PHP."""
    inner = next((frame for frame in frames if frame.is_php), None)
    if inner is None:
        return "outside of PHP code"
    if inner is not frames[0]:
        return f"{inner.file}:{inner.line}"
    # It runs this very moment, and the line is noted now and then only.
    seen = f", last seen in line {inner.line}" if inner.line else ""
    return f"{inner.file}, lines {inner.first_line} to {inner.last_line}{seen}"
