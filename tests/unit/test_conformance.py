"""What the tests of php-src come to; see tests/conformance."""

from pathlib import Path

import pytest

from tests.conformance.exceptions import EXPLAINED
from tests.conformance.verdicts import Result, Verdict, complaints, judge, summary

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
PASSED, FAILED, SKIPPED = (Result("a", verdict) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.SKIP))


@pytest.mark.parametrize(
    ("kraal", "stock", "explained", "expected"),
    [
        (PASSED, PASSED, {}, []),
        (FAILED, PASSED, {}, ["a passes on php-fpm, and not on kraal"]),
        (SKIPPED, PASSED, {}, ["a passes on php-fpm, and not on kraal"]),
        (FAILED, FAILED, {}, []),
        (FAILED, None, {}, ["a passes on php-fpm, and not on kraal"]),
        (FAILED, PASSED, {"a": "a.md"}, []),
        (PASSED, PASSED, {"a": "a.md"}, ["a passes: a.md is out of date"]),
    ],
)
def test_what_php_fpm_passes_and_no_page_explains_has_to_pass(
    kraal: Result, stock: Result | None, explained: dict[str, str], expected: list[str]
) -> None:
    of_stock = {"a": stock} if stock else None

    assert complaints([kraal], of_stock, explained, frozenset()) == expected


def test_a_test_that_is_not_for_this_system_may_be_skipped() -> None:
    assert complaints([SKIPPED], None, {}, {"a"}) == []


def test_reason_of_a_failure_is_the_first_error_that_the_test_printed() -> None:
    result = judge("a", "FAILED", "", "001- Done\n001+ ERROR: Expected body\n002+ ERROR: more\n")

    assert str(result) == "FAIL a: ERROR: Expected body"


def test_reason_of_a_failure_without_errors_is_the_first_difference() -> None:
    assert judge("a", "FAILED", "", "    Done\n003- GET /ping\n").reason == "003- GET /ping"


def test_what_passed_although_a_failure_was_expected_has_passed() -> None:
    assert judge("a", "WARNED", "", "").verdict is Verdict.PASS


def test_reason_of_a_skip_is_that_of_the_test() -> None:
    said = "SKIP a test [sapi/fpm/tests/a.phpt] reason: not running as root\n"

    assert str(judge("a", "SKIPPED", said, "")) == "SKIP a: not running as root"


def test_a_test_without_a_result_has_failed() -> None:
    assert judge("a", "", "", "left running: php-fpm").verdict is Verdict.FAIL


def test_second_attempts_are_told() -> None:
    assert str(judge("a", "PASSED", "", "", attempts=2)) == "PASS a (attempt 2)"
    assert summary([PASSED, FAILED, SKIPPED, PASSED]) == "2 passed, 1 failed, 1 skipped"


def test_every_exception_has_its_page() -> None:
    assert [page for page in EXPLAINED.values() if not (DECISIONS / page).exists()] == []
