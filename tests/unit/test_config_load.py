"""From files to a configuration: what is read, in which order, and what cannot be."""

import os
from pathlib import Path

import pytest

from kraal.config.load import load
from kraal.config.model import Config, LogLevel
from kraal.config.problems import ConfigErrors

BARE = "listen = /x\npm = static\npm.max_children = 4\n"


def load_file(file: Path, **changes: object) -> Config:
    arguments = {"prefix": None, "environ": {}, "as_root": False, "allow_root": False} | changes
    return load(str(file), **arguments)  # type: ignore[arg-type]


def refused_file(file: Path, **changes: object) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load_file(file, **changes)
    return [str(error) for error in caught.value.errors]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_includes_are_read_where_they_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "d/b.conf", "[b]\n" + BARE.replace("/x", "/b"))
    write(tmp_path / "d/a.conf", f"[a]\n{BARE.replace('/x', '/a')}include = {tmp_path}/d/deep/*.inc\n")
    write(tmp_path / "d/deep/one.inc", "pm.max_requests = 5\n")
    main = write(tmp_path / "main.conf", f"include={tmp_path}/d/*.conf\nping.path = /ping\n")

    a, b = load_file(main).pools

    assert (a.name, a.pm_max_requests, a.ping_path) == ("a", 5, None)
    assert (b.name, b.pm_max_requests, b.ping_path) == ("b", 0, "/ping")
    assert b.at.file == f"{tmp_path}/d/b.conf"


def test_an_include_without_a_match_is_a_warning(tmp_path: Path) -> None:
    main = write(tmp_path / "main.conf", f"include = {tmp_path}/*.none\n[w]\n{BARE}")

    [notice] = load_file(main).warnings

    assert str(notice) == f"Nothing matches the include pattern '{tmp_path}/*.none' from {main} at line 1."
    assert notice.level is LogLevel.WARNING


def test_an_include_from_a_missing_directory_is_an_error_as_in_php_fpm(tmp_path: Path) -> None:
    main = write(tmp_path / "main.conf", f"include = {tmp_path}/none/*.conf\n[w]\n{BARE}")

    [error] = refused_file(main)

    assert f"Unable to globalize '{tmp_path}/none/*.conf' from {main} at line 1" in error


@pytest.mark.parametrize("pattern", ["main.conf", "*.conf", "./../{name}/main.conf"])
def test_a_file_that_includes_itself_is_one_error(tmp_path: Path, pattern: str) -> None:
    pattern = pattern.format(name=tmp_path.name)
    main = write(tmp_path / "main.conf", f"[w]\n{BARE}include = {tmp_path}/{pattern}\n")

    [error] = refused_file(main)

    assert "failed to include more than 5 files recursively" in error
    assert "includes itself" in error


def test_five_files_deep_is_allowed_and_six_are_not(tmp_path: Path) -> None:
    for number in range(1, 6):
        write(tmp_path / f"{number}.conf", f"include = {tmp_path}/{number + 1}.conf\n")
    write(tmp_path / "6.conf", f"[w]\n{BARE}")

    assert load_file(tmp_path / "2.conf").pools[0].name == "w"
    assert "failed to include more than 5 files recursively" in refused_file(tmp_path / "1.conf")[0]


def test_the_environment_answers_variables(tmp_path: Path) -> None:
    main = write(tmp_path / "main.conf", f"daemonize = ${{D}}\n[w]\n{BARE}env[X] = ${{X}}\n")

    config = load_file(main, environ={"D": "false", "X": "y"})

    assert config.global_.daemonize is False
    assert config.pools[0].env == (("X", "y"),)


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = f"failed to open configuration file '{tmp_path}/x': No such file or directory (2)"
    directory = f"failed to open configuration file '{tmp_path}': Is a directory (21)"

    assert refused_file(tmp_path / "x") == [missing]
    assert refused_file(tmp_path) == [directory]
    assert "failed to open configuration file" in refused_file(Path("a\0b"))[0]


def test_a_binary_is_one_error_and_garbage_a_hundred(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"[w]\n\x7fELF\0\0")
    (tmp_path / "garbage").write_bytes(b"\xff&\xfe\n" * 10_000)

    assert refused_file(tmp_path / "binary") == [
        f"configuration file '{tmp_path}/binary' is no text: there is a NUL byte in line 2"
    ]
    assert len(refused_file(tmp_path / "garbage")) == 101


def test_a_missing_prefix_is_named(tmp_path: Path) -> None:
    text = f"the global prefix '{tmp_path}/none' does not exist or is not a directory"

    assert refused_file(tmp_path / "x", prefix=f"{tmp_path}/none") == [text]


@pytest.mark.slow
def test_a_thousand_pools_load_in_a_second(tmp_path: Path) -> None:
    for number in range(1000):
        write(
            tmp_path / f"{number}.conf",
            f"[p{number}]\n" + BARE.replace("/x", f"/{number}") + "; comment\n" * 400,
        )
    main = write(tmp_path / "main", f"include = {tmp_path}/*.conf\n")
    started = os.times()

    assert len(load_file(main).pools) == 1000
    assert os.times().user - started.user < 3  # a second, on a machine that is busy with other tests
