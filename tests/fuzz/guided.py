"""Runs a target in Python under libFuzzer, with atheris; see `PythonTarget.build`."""

import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.targets import PYTHON_TARGETS


def main(name: str, *command: str) -> None:
    """Do what libFuzzer is told; it ends the process."""
    # Nothing returns from libFuzzer to take it away: who has built the program does that.
    folder = Path(tempfile.mkdtemp(dir=Path(command[0]).parent))
    # What is imported in here tells where it has been.
    with atheris.instrument_imports(include=["kraal"]):
        target = PYTHON_TARGETS[name].begin(folder)
    with target as play:
        atheris.Setup([*command, *_dictionary(name, folder)], play)
        atheris.Fuzz()


def _dictionary(name: str, folder: Path) -> list[str]:
    """The words of a target, as libFuzzer takes them."""
    words = PYTHON_TARGETS[name].words()
    path = folder / "words.dict"
    path.write_text("".join(f'"{word}"\n' for word in words))
    return [f"-dict={path}"] if words else []


if __name__ == "__main__":
    main(*sys.argv[1:])
