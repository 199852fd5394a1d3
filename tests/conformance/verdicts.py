"""What the tests of php-src came to, and whether that will do.  Pure."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a test came to."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one test on one server."""

    test: str
    verdict: Verdict
    reason: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        attempts = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        return f"{self.verdict.value} {self.test}{attempts}" + (f": {self.reason}" if self.reason else "")


# A warning is of a test that passed at the second attempt, or although php-src expects it to fail.
_VERDICTS = {
    "PASSED": Verdict.PASS,
    "WARNED": Verdict.PASS,
    "SKIPPED": Verdict.SKIP,
    "XFAILED": Verdict.SKIP,
}
_SKIPPED = re.compile(r"^SKIP .*? reason: (.*)$", re.MULTILINE)
# What a test of FPM prints when one of its checks fails.
_ERROR = re.compile(r"(?:ERROR|Fatal error|Warning): .*$", re.MULTILINE)
_DIFFERS = re.compile(r"^\d+[-+] .*$", re.MULTILINE)


def judge(test: str, outcome: str, said: str, printed: str, *, attempts: int = 1) -> Result:
    """Read the outcome in run-tests.php's words, what that said, and how the output differs."""
    verdict = _VERDICTS.get(outcome, Verdict.FAIL)
    reason = ""
    if verdict is Verdict.SKIP:
        found = _SKIPPED.search(said)
        reason = found[1] if found else ""
    elif verdict is Verdict.FAIL:
        error = _ERROR.search(printed) or _DIFFERS.search(printed)
        reason = error[0] if error else printed.strip() or outcome or "no result"
    return Result(test, verdict, reason, attempts)


def summary(results: Iterable[Result]) -> str:
    """How many of each."""
    counts = dict.fromkeys(Verdict, 0)
    for result in results:
        counts[result.verdict] += 1
    passed, failed, skipped = (counts[each] for each in (Verdict.PASS, Verdict.FAIL, Verdict.SKIP))
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def complaints(
    kraal: Iterable[Result],
    stock: Mapping[str, Result] | None,
    explained: Mapping[str, str],
    not_for_us: Set[str],
) -> list[str]:
    """What stands against kraal.  Without results of php-fpm, that is taken to pass all that are for us."""
    found = []
    for result in kraal:
        passes = result.verdict is Verdict.PASS
        expected = result.test not in not_for_us
        if stock is not None and result.test in stock:
            expected = stock[result.test].verdict is Verdict.PASS
        if passes and result.test in explained:
            found.append(f"{result.test} passes: {explained[result.test]} is out of date")
        elif expected and not passes and result.test not in explained:
            found.append(f"{result.test} passes on php-fpm, and not on kraal")
    return found
