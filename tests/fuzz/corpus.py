"""Inputs that are worth keeping: a file per target, an input a line, in hexadecimal."""

from collections.abc import Iterable
from pathlib import Path

PLACE = Path(__file__).parent / "corpus"
LONGEST = 400  # bytes of an input that is kept


def read(target: str) -> list[bytes]:
    """All inputs of a target."""
    path = PLACE / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these, each once, and no others."""
    kept = sorted({each for each in inputs if 0 < len(each) <= LONGEST}, key=lambda each: (len(each), each))
    (PLACE / f"{target}.hex").write_text("".join(f"{each.hex()}\n" for each in kept))


def unpack(target: str, folder: Path) -> list[Path]:
    """Make a file of each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, content in enumerate(read(target)):
        path = folder / f"{target}-{number}"
        path.write_bytes(content)
        paths.append(path)
    return paths
