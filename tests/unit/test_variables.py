"""`${NAME}`: PHP's ini files, then the environment."""

from pathlib import Path

import pytest

from kraal.boot import Php
from kraal.fields import replace
from kraal.php.variables import Variables
from tests.unit.test_config_load import BARE, load_file, write

NOTHING = Php(ini_path=None, ini_scan_dir=None, ini_ignore=True)


def php(path: Path, scan: Path | None = None, *defines: str) -> Php:
    return Php(ini_path=str(path), ini_scan_dir=str(scan or path / "none"), defines=defines)


def test_the_environment_answers_what_no_ini_file_sets() -> None:
    variables = Variables({"A": "1", "display_errors": "2"}, NOTHING)

    assert variables["A"] == "1"
    assert variables["display_errors"] == "1", "php-fpm sets it itself"
    assert variables.get("B", "") == ""


def test_later_ini_files_and_definitions_count(tmp_path: Path) -> None:
    write(tmp_path / "php.ini", "[PHP]\na = 1\nb = 1\nc = 1\nd = 1\n[PATH=/srv]\na = 2\n[HOST=x]\na = 3\n")
    write(tmp_path / "conf.d/20.ini", "b = 3\nc = 3\nextension = x\n")
    write(tmp_path / "conf.d/10.ini", 'b = 2\ne = "${a}-${HOME}"\n')
    write(tmp_path / "conf.d/30.txt", "b = 4\n")

    variables = Variables({"HOME": "/h"}, php(tmp_path, tmp_path / "conf.d", "c=4", "f"))

    assert [variables.get(name, "") for name in "abcdef"] == ["1", "3", "4", "1", "1-/h", "1"]
    assert set(variables) >= {"HOME", *"abcdef"}
    assert len(variables) == len(set(variables))


def test_php_ini_may_be_a_file_or_in_a_folder_under_two_names(tmp_path: Path) -> None:
    write(tmp_path / "php.ini", "a = second\n")
    write(tmp_path / "other", "a = other\n")

    assert Variables({}, php(tmp_path))["a"] == "second"
    assert Variables({}, php(tmp_path / "other"))["a"] == "other"
    assert "a" not in Variables({}, replace(php(tmp_path), ini_ignore=True))
    write(tmp_path / "php-fpm-fcgi.ini", "a = first\n")
    assert Variables({}, php(tmp_path))["a"] == "first"


def test_one_setting_is_found_in_files_and_definitions(tmp_path: Path) -> None:
    write(tmp_path / "php.ini", "fpm.config = a\n")

    assert Variables({}, php(tmp_path)).setting("fpm.config") == "a"
    assert Variables({}, php(tmp_path, None, "fpm.config=b")).setting("fpm.config") == "b"
    assert Variables({}, NOTHING).setting("fpm.config") is None
    write(tmp_path / "php.ini", "; fpm.config = a\n")
    assert Variables({}, php(tmp_path)).setting("fpm.config") is None


def test_an_ini_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert "a" not in Variables({}, php(tmp_path / "missing", tmp_path / "missing"))


def test_the_configuration_asks_for_ini_files_only_when_it_names_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "php.ini", "memory_limit = 77M\n")
    variables = Variables({}, php(tmp_path))
    plain = write(tmp_path / "plain", "[w]\n" + BARE)
    asking = write(tmp_path / "asking", f"[w]\n{BARE}env[M] = ${{memory_limit}}\n")

    assert load_file(asking, variables=variables).pools[0].env == (("M", "77M"),)
    monkeypatch.setattr(Variables, "settings", lambda _: pytest.fail("nobody asked"))
    assert load_file(plain, variables=variables).pools[0].name == "w"
