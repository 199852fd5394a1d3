"""Runs a target in Python under libFuzzer, with atheris; see `PythonTarget.build`."""

import os
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.targets import PYTHON_TARGETS


def main(name: str, *command: str) -> None:
    """Do what libFuzzer is told; it ends the process."""
    # Files in memory are written ten times as fast.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kraal-fuzz-", dir=memory) as folder:
        # What is imported in here tells where it has been.
        with atheris.instrument_imports(include=["kraal"]):
            target = PYTHON_TARGETS[name].begin(Path(folder))
        with target as play:
            atheris.Setup(list(command), play)
            atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
