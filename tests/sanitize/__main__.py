"""Run the integration tests on a kraal that is watched: the command line."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.sanitize import environment, reports
from tests.sanitize.environment import ROOT, Environment, Heap, SetUpError
from tests.sanitize.exceptions import IN_VALGRIND

SET_UP_FAILED = 2
# How much longer tests wait than they do otherwise, and seconds that one may take.
PATIENCE = {"address": 4, "valgrind": 40}
TIMEOUT = {"address": 480, "valgrind": 1800}
# Calls a function of planted.c, and ends without the end of Python, as workers do.
PLANTED = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1])[sys.argv[2]](8); os._exit(0)"
# What each watcher has to find of them.
FOUND = {"address": ("overrun", "lose", "shift"), "valgrind": ("overrun", "lose")}


def options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What was asked for, and what is pytest's."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sanitize",
        description="Run the integration tests on a kraal that is watched by the address and "
        "undefined-behaviour sanitizers, or by valgrind.  Other arguments go to pytest.",
        epilog="Exit code 1: a test failed, or there is a report about kraal.",
    )
    parser.add_argument(
        "--valgrind",
        dest="watcher",
        action="store_const",
        const="valgrind",
        default="address",
        help="which is thirty times as slow: some of the tests, if none are named",
    )
    parser.add_argument(
        "--heap",
        choices=["pieces", "zend"],
        default="pieces",
        help="pieces: PHP has no heap of its own, so overruns are seen, and it knows no memory limit",
    )
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Build, run, and look at the reports.  Returns the exit code."""
    asked, rest = options(arguments)
    try:
        made = environment.build(asked.watcher, asked.heap)
        prove(made)
    except SetUpError as error:
        print(f"sanitize: {error}", file=sys.stderr)
        return SET_UP_FAILED
    if not any("tests/" in argument for argument in rest):
        rest += ["tests/integration"] if asked.watcher == "address" else IN_VALGRIND
    code = run(made, asked.heap, rest)
    files = [path for path in made.reports.iterdir() if path.stat().st_size]
    found = about_us(made, files)
    for report in found:
        print(f"\n{named(made.library, report.text)}")
    print(f"sanitize: {len(files)} processes have reported, {len(found)} reports are about kraal")
    return 1 if code or found else 0


def prove(made: Environment) -> None:
    """See that faults are reported, and as ours.  Raises SetUpError."""
    library = environment.plant(made)
    for fault in FOUND[made.watcher]:
        subprocess.run([*made.python, "-I", "-c", PLANTED, library, fault], stderr=subprocess.DEVNULL)
        files = list(made.reports.iterdir())
        if not any(fault in named(library, report.text) for report in about_us(made, files)):
            raise SetUpError(f"what was planted is not reported: {fault}")
        for path in files:
            path.unlink()


def run(made: Environment, heap: Heap, arguments: Sequence[str]) -> int:
    """The tests.  Returns the exit code of pytest."""
    patience, timeout = PATIENCE[made.watcher], TIMEOUT[made.watcher]
    environ = {
        "KRAAL_EXECUTABLE": made.command,
        "KRAAL_TEST_PATIENCE": str(patience),
        "KRAAL_HEAP": heap,
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.sanitize.plugin",
        f"--timeout={timeout}",
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environ).returncode


def about_us(made: Environment, files: Sequence[Path]) -> list[reports.Report]:
    """What was reported and is ours."""
    read = reports.of_address if made.watcher == "address" else reports.of_valgrind
    sources = ["planted.c", *(path.name for path in (ROOT / "native").glob("*.[ch]"))]
    found = [report for path in files for report in read(path.read_text(errors="replace"))]
    return reports.about_us(found, sources)


def named(library: Path, text: str) -> str:
    """With functions and lines instead of a library's offsets."""

    def name(place: "re.Match[str]") -> str:
        command = ["addr2line", "-f", "-p", "-i", "-s", "-e", library, place[1]]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or place[0]

    return re.sub(rf"\({re.escape(str(library))}\+(0x[0-9a-f]+)\)", name, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
