"""What watchers say, and whether it is about us.  Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# PHP and Python leave much when a process ends.  A loss is ours if we have asked for the memory: directly, or
# through PHP's functions for that.
NEAR = 4

# What happens near us and is none of our doing: part of a frame, and the reason.
FOREIGN = {
    "zend_string_equal_val": "PHP compares eight bytes at a time, and those behind the end are not set",
}

_ADDRESS_FRAME = re.compile(r"^ *#\d+ 0x[0-9a-f]+ +(?:in )?(.*)$", re.MULTILINE)
_VALGRIND_FRAME = re.compile(r"^==\d+== +(?:at|by) 0x[0-9A-F]+: (.*)$", re.MULTILINE)
_VALGRIND_BREAK = re.compile(r"^==\d+== *\n", re.MULTILINE)
_ADDRESS_FAULT = re.compile(r"ERROR: AddressSanitizer|runtime error:")
_LEAK = re.compile(r"^(Direct|Indirect) leak of ", re.MULTILINE)


@dataclass(frozen=True)
class Report:
    """One of them.  `sure`: it counts, wherever it happened."""

    text: str
    frames: tuple[str, ...]
    sure: bool = False

    def is_about(self, ours: "re.Pattern[str]") -> bool:
        """Whether a frame near where it happened is ours."""
        near = self.frames[:NEAR]
        if any(name in frame for frame in near for name in FOREIGN):
            return False
        return self.sure or any(ours.search(frame) for frame in near)


def of_address(text: str) -> Iterator[Report]:
    """What the sanitizers wrote in a file.  A fault ends its process, a loss is told at its end."""
    if fault := _ADDRESS_FAULT.search(text):
        words = text[fault.start() :]
        yield Report(words, _frames(_ADDRESS_FRAME, words.split("\n\n")[0]), sure=True)
        return
    for part in text.split("\n\n"):
        if _LEAK.search(part):
            yield Report(part, _frames(_ADDRESS_FRAME, part))


def of_valgrind(text: str) -> Iterator[Report]:
    """What memcheck wrote in a file."""
    for part in _VALGRIND_BREAK.split(text):
        # What follows the first stack says where the memory is from.
        first = re.split(r"^==\d+==  [A-Z]", part, maxsplit=1, flags=re.MULTILINE)[0]
        if frames := _frames(_VALGRIND_FRAME, first):
            yield Report(part, frames)


def about_us(found: Iterable[Report], sources: Iterable[str]) -> list[Report]:
    """Those that are, each once; `sources` are the names of our C files."""
    names = "|".join(map(re.escape, sources))
    ours = re.compile(rf"libkraal-php|\((?:{names}):\d+\)")
    return list({report.frames[:NEAR]: report for report in found if report.is_about(ours)}.values())


def _frames(pattern: "re.Pattern[str]", text: str) -> tuple[str, ...]:
    return tuple(pattern.findall(text))
