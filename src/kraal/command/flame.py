"""Sampled stacks, and the forms in which they are written: folded, speedscope's JSON, a page.  Pure.

Names of functions and files come from scripts, and URLs from anybody.
"""

import json
from collections.abc import Iterator

from kraal.fields import Frozen, Mutable, field
from kraal.logs.lines import clean
from kraal.memory.stack import Frame, Kind

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Spot(Frozen):
    """A level of a stack, as it is shown."""

    name: str
    file: str = ""
    line: int = 0  # where the function begins


Stack = tuple[Spot, ...]  # outermost first


def stack_of(request: str, frames: tuple[Frame, ...]) -> Stack:
    """The stack of a request; the request itself is its root."""
    return (Spot(clean(request)), *(_spot(frame) for frame in reversed(frames)))


def _spot(frame: Frame) -> Spot:
    name = frame.title if frame.kind is Kind.FUNCTION else f"{frame.title} {frame.file}"
    return Spot(clean(name), clean(frame.file), frame.first_line)


class Samples(Mutable):
    """What was seen; the one owner of the counts."""

    title: str
    rate: float  # samples of each worker in a second
    stacks: dict[Stack, int] = field(default_factory=dict)
    idle: int = 0
    outside: int = 0  # with a request, but not in PHP code
    missing: int = 0  # the worker moved, or is gone

    def add(self, stack: Stack) -> None:
        """One sample more."""
        self.stacks[stack] = self.stacks.get(stack, 0) + 1

    @property
    def seen(self) -> int:
        """How many samples have a stack."""
        return sum(self.stacks.values())

    def summary(self) -> str:
        """In one line."""
        return (
            f"{self.seen} stacks, {self.idle} times idle, {self.outside} times outside of PHP code, "
            f"{self.missing} times moved"
        )


def folded(samples: Samples) -> str:
    """A line per stack, as flamegraph.pl and its kin read it."""
    found = sorted(
        (";".join(_plain(spot) for spot in stack), count) for stack, count in samples.stacks.items()
    )
    return "".join(f"{stack} {count}\n" for stack, count in found)


def _plain(spot: Spot) -> str:
    return spot.name.replace(";", ":")


def speedscope(samples: Samples, exporter: str) -> str:
    """For https://www.speedscope.app, which runs in the browser and sends nothing away."""
    numbers: dict[Spot, int] = {}
    rows, weights = [], []
    for stack, count in sorted(samples.stacks.items(), key=lambda item: [spot.name for spot in item[0]]):
        rows.append([numbers.setdefault(spot, len(numbers)) for spot in stack])
        weights.append(count / samples.rate)
    profile = {
        "type": "sampled",
        "name": samples.title,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": rows,
        "weights": weights,
    }
    shared = {"frames": [_frame(spot) for spot in numbers]}
    whole = {"$schema": _SCHEMA, "exporter": exporter, "name": samples.title, "activeProfileIndex": 0}
    return json.dumps({**whole, "shared": shared, "profiles": [profile]})


def _frame(spot: Spot) -> dict[str, str | int]:
    return {"name": spot.name, "file": spot.file, "line": spot.line} if spot.file else {"name": spot.name}


class _Node(Mutable):
    spot: Spot
    count: int = 0
    below: dict[Spot, "_Node"] = field(default_factory=dict)


def page(samples: Samples, template: str) -> str:
    """The template with everything in it: it needs nothing from elsewhere."""
    root = _Node(Spot("all"))
    for stack, count in samples.stacks.items():
        node = root
        node.count += count
        for spot in stack:
            node = node.below.setdefault(spot, _Node(spot))
            node.count += count
    content = {
        "title": samples.title,
        "summary": samples.summary(),
        "rate": samples.rate,
        "nodes": list(_rows(root)),
    }
    # Inside of a script element only this could end it.
    text = json.dumps(content).replace("<", "\\u003c")
    return template.replace("@DATA@", text)


def _rows(root: _Node) -> Iterator[tuple[int, int, int, str, str, int]]:
    """Depth, left edge, width, name, file and line of each box.  Not by recursion: stacks may be deep."""
    waiting = [(root, 0, 0)]
    while waiting:
        node, depth, left = waiting.pop()
        yield depth, left, node.count, node.spot.name, node.spot.file, node.spot.line
        for each in sorted(node.below.values(), key=lambda below: below.spot.name):
            waiting.append((each, depth + 1, left))
            left += each.count
