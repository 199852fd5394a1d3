"""Fuzz the targets: the command line."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import ENVIRON, TARGETS, Target

SET_UP_FAILED = 2
COMPILERS = ("clang", "clang-14", "clang-15", "clang-16", "clang-19")


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kraal-fuzz"
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Fuzz what reads foreign bytes in C with libFuzzer, under the address and "
        "undefined-behaviour sanitizers.  Exit code 1: an input was found that does harm.",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; none: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--keep", action="store_true", help="put what matters into tests/fuzz/corpus")
    parser.add_argument("--cache", type=Path, default=cache, help=f"what was found before (default: {cache})")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.targets) - TARGETS.keys():
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    return asked


def main(arguments: Sequence[str]) -> int:
    """Run them one after the other.  Returns the exit code."""
    asked = options(arguments)
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        print("fuzz: clang is missing: apt-get install clang-14 libclang-rt-14-dev", file=sys.stderr)
        return SET_UP_FAILED
    codes = []
    for name in asked.targets or TARGETS:
        with tempfile.TemporaryDirectory(prefix="kraal-fuzz-") as folder:
            codes.append(Fuzzer(TARGETS[name], compiler, Path(folder), asked.cache / name).run(asked))
    return 1 if any(codes) else 0


class Fuzzer:
    """A target at work; what it finds stays in the cache."""

    def __init__(self, target: Target, compiler: str, folder: Path, cache: Path) -> None:
        self._target = target
        self._folder = folder
        self._found = cache / "found"
        self._crashes = cache / "crashes"
        for place in (self._found, self._crashes):
            place.mkdir(parents=True, exist_ok=True)
        self._program = target.build(folder, (compiler, "-fsanitize=fuzzer,address,undefined"))

    def run(self, asked: argparse.Namespace) -> int:
        """Fuzz for so long.  Returns libFuzzer's exit code."""
        seeds = self._folder / "seeds"
        corpus.unpack(self._target.name, seeds)
        flags = [f"-max_total_time={asked.seconds}", f"-artifact_prefix={self._crashes}/", "-timeout=10"]
        done = self._call(*flags, "-print_final_stats=1", self._found, seeds)
        runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        print(f"{self._target.name}: {runs[1] if runs else '?'} executions, exit code {done.returncode}")
        if done.returncode != 0:
            print(done.stderr[-6000:])
        elif asked.keep:
            self._keep(seeds)
        return done.returncode

    def _keep(self, seeds: Path) -> None:
        merged = self._folder / "merged"
        merged.mkdir()
        self._call("-merge=1", f"-max_len={corpus.LONGEST}", merged, seeds, self._found)
        inputs = [path.read_bytes() for path in merged.iterdir()]
        corpus.write(self._target.name, inputs)
        print(f"{self._target.name}: {len(inputs)} inputs are kept")

    def _call(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [self._program, *arguments]
        # Targets with PHP leave their folder; what libFuzzer writes is named absolutely.
        environ = os.environ | ENVIRON
        output = subprocess.DEVNULL
        return subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace", env=environ
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
