"""What a master tells of its reloads."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.reload import report
from kraal.reload.report import Report
from kraal.unix import memory


@pytest.fixture
def reports() -> Iterator[int]:
    fd = report.create()
    yield fd
    os.close(fd)


@given(st.builds(Report, st.integers(0, 10**9), st.none() | st.text(max_size=900), st.integers(0, 10**9)))
def test_report_arrives_whole(given_report: Report) -> None:
    assert report.from_bytes(report.to_bytes(given_report)) in (
        given_report,
        Report(given_report.number, given_report.failure or None, given_report.going_on),
    )


def test_short_report_covers_a_long_one(reports: int) -> None:
    report.write(reports, Report(1, "x" * 100_000))
    report.write(reports, Report(2))

    assert report.read(reports) == Report(2)


def test_half_a_report_is_none() -> None:
    old, new = report.to_bytes(Report(1, "abc")), report.to_bytes(Report(2, "abd"))

    for at in range(8, len(old.rstrip(b"\n"))):
        mixed = new[:at] + old[at:]
        assert report.from_bytes(mixed) in (None, Report(1, "abc"), Report(2, "abd"))


def test_reports_are_found_in_the_process_that_writes_them(reports: int) -> None:
    report.write(reports, Report(7))
    found = report.find(os.getpid())

    assert found is not None
    assert report.read(found) == Report(7)
    os.close(found)


def test_process_without_reports_is_no_master() -> None:
    assert report.find(os.getpid()) is None


def test_a_scoreboard_of_a_pool_called_reloads_is_not_taken_for_reports() -> None:
    forged = memory.create("kraal-reloads", 4096)
    os.pwrite(forged, b"00000000", 0)
    reports = report.create()
    try:
        assert forged < reports
        found = report.find(os.getpid())
        assert found is not None
        assert os.path.sameopenfile(found, reports)
        os.close(found)
    finally:
        os.close(forged)
        os.close(reports)
