"""Whether something has changed behind a pool."""

import os
from pathlib import Path

import pytest

import kraal
from kraal.boot import Php
from kraal.master import fingerprints

PHP = Php(ini_path=None, ini_scan_dir=None)


def test_fingerprint_differs_when_one_part_does() -> None:
    parts = [
        (b"order", "9000", "x"),
        (b"order2", "9000", "x"),
        (b"order", "9001", "x"),
        (b"order", "9000", "y"),
    ]

    assert len({fingerprints.of_pool(*part) for part in parts}) == len(parts)
    assert fingerprints.of_pool(*parts[0]) == fingerprints.of_pool(*parts[0])


def test_text_does_not_move_from_part_to_part() -> None:
    assert fingerprints.of_pool(b"ab", "c", "") != fingerprints.of_pool(b"a", "bc", "")


def test_file_that_is_written_removed_or_replaced_is_noticed(tmp_path: Path) -> None:
    file, other = tmp_path / "php.ini", tmp_path / "other"
    found = [fingerprints.of_files([str(file)])]
    for text in ("a", "ab"):
        file.write_text(text)
        found.append(fingerprints.of_files([str(file)]))
    other.write_text("cd")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    found.append(fingerprints.of_files([str(file)]))

    assert len(set(found)) == len(found)


def test_ini_file_in_the_scanned_folder_counts(tmp_path: Path) -> None:
    php = Php(ini_path=None, ini_scan_dir=str(tmp_path))
    before = fingerprints.of_sources(php)
    assert fingerprints.of_sources(php) == before
    (tmp_path / "more.ini").write_text("precision = 10\n")

    assert fingerprints.of_sources(php) != before


def test_files_of_every_folder_of_kraal_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "kraal"
    (package / "manager").mkdir(parents=True)
    file = package / "manager" / "manager.py"
    file.write_text("a")
    monkeypatch.setattr(kraal, "__file__", str(package / "__init__.py"))
    php = Php(ini_path=None, ini_scan_dir=None, ini_ignore=True)
    before = fingerprints.of_sources(php)
    file.write_text("ab")

    assert fingerprints.of_sources(php) != before


@pytest.mark.parametrize(
    ("line", "replaced"),
    [
        ("7f0-7f1 r-xp 0 08:01 42  /usr/lib/libphp8.2.so", False),
        ("7f0-7f1 r-xp 0 08:01 42  /usr/lib/libphp8.2.so (deleted)", True),
        ("7f0-7f1 r-xp 0 08:01 42  /usr/lib/libc.so.6 (deleted)", True),
        ("7f0-7f1 rw-s 0 00:01 42  /dev/zero (deleted)", False),
        ("7f0-7f1 rw-s 0 00:01 42  /memfd:kraal-www (deleted)", False),
    ],
)
def test_replaced_library_is_seen_in_the_memory(line: str, replaced: bool) -> None:
    assert fingerprints.has_replaced(f"first\n{line}\nlast\n") is replaced


def test_process_that_cannot_be_looked_into_counts_as_changed() -> None:
    assert fingerprints.libraries_are_current(os.getpid())
    assert not fingerprints.libraries_are_current(2**22 + 1)
