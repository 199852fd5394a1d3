"""Run php-src's tests of FPM: the command line."""

import argparse
import fnmatch
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.conformance import extensions, upstream, verdicts
from tests.conformance.exceptions import EXPLAINED, NOT_FOR_LINUX, RACY
from tests.conformance.ground import ROOT, Ground, ground
from tests.conformance.upstream import SetUpError
from tests.conformance.verdicts import Result, Verdict
from tests.support.servers import KINDS, Kind, executable

SET_UP_FAILED = 2
RACY_ATTEMPTS = 6


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kraal-conformance"
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Run php-src's own tests of FPM on kraal, php-fpm or both.  As root they run as an "
        "unprivileged user, and those that want root once more as root.",
        epilog="Exit code 1: kraal does not pass what php-fpm passes, and no page explains it.",
    )
    parser.add_argument("tests", nargs="*", metavar="TEST", help="name or pattern; none means all")
    parser.add_argument("--server", choices=[*KINDS, "both"], default="both")
    parser.add_argument(
        "-j", "--jobs", type=int, default=2 if ROOT else 1, help="tests at once, as root only"
    )
    parser.add_argument("--user", default="nobody", help="who runs tests if root does not (default: nobody)")
    parser.add_argument("--timeout", type=float, default=90.0, help="seconds a test may take (default: 90)")
    parser.add_argument("--cache", type=Path, default=cache, help=f"default: {cache}")
    parser.add_argument("--output", type=Path, help="folder for all that a test which failed has left")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run them.  Returns the exit code."""
    asked = options(arguments)
    asked.cache.mkdir(parents=True, exist_ok=True)
    try:
        suite = upstream.suite(asked.cache)
        loadable = extensions.directory(suite)
        tests = selected(suite, asked.tests)
        kinds = KINDS if asked.server == "both" else (asked.server,)
        results = {kind: run_all(kind, suite, loadable, tests, asked) for kind in kinds}
    except SetUpError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return SET_UP_FAILED
    for kind, found in results.items():
        print(f"{kind}: {verdicts.summary(found)}")
    stock = {each.test: each for each in results["php-fpm"]} if "php-fpm" in results else None
    complaints = verdicts.complaints(results.get("kraal", []), stock, EXPLAINED, NOT_FOR_LINUX)
    print("".join(f"{line}\n" for line in complaints), end="")
    return 1 if complaints else 0


def selected(suite: Path, patterns: Sequence[str]) -> list[str]:
    """The names of the tests that one of the patterns means."""
    names = sorted(path.stem for path in (suite / "sapi/fpm/tests").glob("*.phpt"))
    found = [
        n for n in names if not patterns or any(fnmatch.fnmatch(n, p.removesuffix(".phpt")) for p in patterns)
    ]
    if not found:
        raise SetUpError("there is no such test")
    return found


def run_all(
    kind: Kind, suite: Path, loadable: Path, tests: Sequence[str], asked: argparse.Namespace
) -> list[Result]:
    """Run the tests on one server, and print what they came to."""
    print(f"{suite.name} on {kind}: ", end="", flush=True)
    with ExitStack() as stack:
        output = asked.output / kind if asked.output else None
        here = stack.enter_context(
            ground(suite, loadable, executable(kind), user=asked.user, seconds=asked.timeout, output=output)
        )
        pool = stack.enter_context(ThreadPoolExecutor(asked.jobs if ROOT else 1))
        results = []
        for result in pool.map(lambda test: run_one(here, test), tests):
            print(result, flush=True)
            results.append(result)
    return results


def run_one(here: Ground, test: str) -> Result:
    """Run a test as the user, and as root if it asks for that."""
    attempts = RACY_ATTEMPTS if test in RACY else 2
    result = here.run(test, attempts=attempts)
    if ROOT and result.verdict is Verdict.SKIP and "root" in result.reason:
        return here.run(test, as_root=True, attempts=attempts)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
