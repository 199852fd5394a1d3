"""Inputs that are worth keeping: a file per target, an input a line, in hexadecimal."""

from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.targets import Target

PLACE = Path(__file__).parent / "corpus"
LONGEST = 400  # bytes of an input that is kept


def read(target: str) -> list[bytes]:
    """All inputs of a target."""
    path = PLACE / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(target: Target, inputs: Iterable[bytes]) -> None:
    """Keep these, each once, and no others; those that another target keeps are there already."""
    others = {content for name in target.also for content in read(name)}
    kept = {each for each in inputs if 0 < len(each) <= LONGEST} - others
    lines = (f"{each.hex()}\n" for each in sorted(kept, key=lambda each: (len(each), each)))
    (PLACE / f"{target.name}.hex").write_text("".join(lines))


def all_of(target: Target) -> list[bytes]:
    """What a target is to be tried with: its inputs, and those of targets that take the same."""
    return [content for name in (target.name, *target.also) for content in read(name)]


def unpack(target: Target, folder: Path) -> list[Path]:
    """Make a file of each of these."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, content in enumerate(all_of(target)):
        path = folder / f"{target.name}-{number}"
        path.write_bytes(content)
        paths.append(path)
    return paths
