"""Fuzz the targets: the command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.fuzzer import Fuzzer, what_lacks, workplace
from tests.fuzz.targets import TARGETS, Target

SET_UP_FAILED = 2


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kraal-fuzz"
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Fuzz what reads foreign bytes with libFuzzer: in C, under the address and "
        "undefined-behaviour sanitizers, and in Python.  Exit code 1: an input was found that does harm.",
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
    targets = [TARGETS[name] for name in asked.targets or TARGETS]
    if lacking := {each for target in targets if (each := what_lacks(target))}:
        print(*(f"fuzz: {each}" for each in sorted(lacking)), sep="\n", file=sys.stderr)
        return SET_UP_FAILED
    print(f"{'target':<14}{'executions':>12}{'CPU seconds':>13}{'findings':>10}", flush=True)
    failed = [_fuzz(target, asked) for target in targets]
    return 1 if any(failed) else 0


def _fuzz(target: Target, asked: argparse.Namespace) -> bool:
    """Returns whether harm was done."""
    found = asked.cache / target.name / "found"
    found.mkdir(parents=True, exist_ok=True)
    with workplace() as folder:
        fuzzer = Fuzzer(target, Path(folder), asked.cache / target.name / "crashes")
        outcome = fuzzer.run(found, f"-max_total_time={asked.seconds}")
        figures = f"{outcome.executions:>12}{outcome.cpu_seconds:>13.0f}{len(outcome.findings):>10}"
        print(f"{target.name:<14}{figures}", flush=True)
        if outcome.failed:
            print(outcome.explain())
        elif asked.keep:
            inputs = fuzzer.merge(found)
            corpus.write(target, inputs)
            print(f"{target.name}: {len(inputs)} inputs are kept")
    return outcome.failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
