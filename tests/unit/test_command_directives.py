"""`kraal directives`: every directive, one of them, or the one that was meant."""

import json

import pytest

from kraal.cli import main
from kraal.command.directives import rows
from kraal.config.directives import ARRAYS, GLOBAL, POOL
from kraal.errors import Exit


def test_every_directive_is_listed_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directives"]) == Exit.OK

    text = " ".join(capsys.readouterr().out.split())
    for row in (*GLOBAL, *POOL, *ARRAYS):
        assert row.name in text
        assert row.meaning in text


def test_one_directive_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directives", "PM.Max_Spawn_Rate"]) == Exit.OK

    name, *lines = capsys.readouterr().out.splitlines()
    assert name == "pm.max_spawn_rate"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        *("Section", "Value", "Default", "Since", "In force"),
    ]
    assert "  Default:  32" in lines
    assert "  Since:    PHP 8.1" in lines


def test_directive_that_php_fpm_does_not_know_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directives", "pm.max_memory"]) == Exit.OK

    assert (
        "  Known to: kraal only: php-fpm refuses a file that has it" in capsys.readouterr().out.splitlines()
    )


def test_a_name_of_both_kinds_of_section_is_explained_twice(capsys: pytest.CaptureFixture[str]) -> None:
    main(["directives", "process.priority"])

    text = capsys.readouterr().out
    assert "Section:  [global]" in text
    assert "Section:  pool" in text


@pytest.mark.parametrize("name", ["env", "env[PATH]", "access.suppress_path[]"])
def test_a_directive_with_brackets_is_found_by_its_bare_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["directives", name]) == Exit.OK
    assert capsys.readouterr().out.startswith(name.partition("[")[0] + "[")


def test_the_table_is_given_to_programs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directives", "--json"]) == Exit.OK
    assert len(json.loads(capsys.readouterr().out)) == len(rows()) == len((*GLOBAL, *POOL, *ARRAYS))

    assert main(["directives", "listen", "--json"]) == Exit.OK
    [listen] = json.loads(capsys.readouterr().out)
    assert (listen["name"], listen["default"], listen["in_force"]) == ("listen", "must be written", True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["pm.max_childs"], "kraal: there is no directive 'pm.max_childs': did you mean pm.max_children?\n"),
        (["zzz"], "kraal: there is no directive 'zzz'\n"),
        (["a", "b"], "Usage: kraal directives"),
        (["--yaml"], "Usage: kraal directives"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["directives", *arguments]) == Exit.USAGE

    printed = capsys.readouterr()
    assert printed.err.startswith(error)
    assert printed.out == ""
