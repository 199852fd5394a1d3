"""The command line: php-fpm's flags, long and short."""

import pytest

from kraal.boot import Php
from kraal.cli import main
from kraal.errors import Exit, UsageError
from kraal.fields import replace
from kraal.options import FLAGS as TABLE
from kraal.options import Options, parse
from kraal.php import paths
from kraal.php.variables import Variables, config_file

FLAGS = [
    ("-c", "--php-ini", "/etc/php.ini", {"ini": "/etc/php.ini"}),
    ("-d", "--define", "a=b", {"defines": ("a=b",)}),
    ("-y", "--fpm-config", "fpm.conf", {"config": "fpm.conf"}),
    ("-p", "--prefix", "/srv", {"prefix": "/srv"}),
    ("-g", "--pid", "fpm.pid", {"pid": "fpm.pid"}),
]
SWITCHES = [
    ("-n", "--no-php-ini", {"ini_ignore": True}),
    ("-R", "--allow-to-run-as-root", {"allow_root": True}),
    ("-D", "--daemonize", {"daemonize": True}),
    ("-F", "--nodaemonize", {"daemonize": False}),
    ("-O", "--force-stderr", {"force_stderr": True}),
    ("-t", "--test", {"tests": 1}),
    ("-e", "--profile-info", {"extended_info": True}),
    ("-h", "--help", {"show": "help"}),
    ("-?", "--usage", {"show": "help"}),
    ("-v", "--version", {"show": "version"}),
    ("-i", "--info", {"show": "info"}),
    ("-m", "--modules", {"show": "modules"}),
]


BARE_PHP = Php(ini_path=None, ini_scan_dir=None, ini_ignore=True)


def options(**changes: object) -> Options:
    return Options(**changes)  # type: ignore[arg-type]


def test_without_arguments_everything_has_its_default() -> None:
    assert parse([]) == Options()
    assert config_file(None, None, Variables({}, BARE_PHP)) == paths.DEFAULT_CONFIG


def test_the_table_of_flags_is_the_one_that_is_tested() -> None:
    tested = {flag[:2] for flag in [*FLAGS, *SWITCHES]}

    assert {(f"-{flag.letter}", f"--{flag.name}") for flag in TABLE} == tested


def test_the_configuration_is_the_given_file_or_the_ini_setting_or_below_the_prefix() -> None:
    variables = Variables({}, replace(BARE_PHP, defines=("fpm.config=/from/ini",)))

    assert config_file("given", "/srv", variables) == "given"
    assert config_file(None, "/srv", variables) == "/from/ini"
    assert config_file(None, "/srv", Variables({}, BARE_PHP)) == "/srv/etc/php-fpm.conf"


@pytest.mark.parametrize(("short", "long", "value", "changes"), FLAGS)
def test_flag_takes_its_value_attached_or_apart(
    short: str, long: str, value: str, changes: dict[str, object]
) -> None:
    expected = options(**changes)

    assert parse([short, value]) == expected
    assert parse([short + value]) == expected
    assert parse([short + "=" + value]) == expected
    assert parse([long, value]) == expected
    assert parse([f"{long}={value}"]) == expected


@pytest.mark.parametrize(("short", "long", "changes"), SWITCHES)
def test_switch_has_a_short_and_a_long_form(short: str, long: str, changes: dict[str, object]) -> None:
    assert parse([short]) == parse([long]) == options(**changes)


def test_switches_may_stand_together() -> None:
    assert parse(["-nRFO"]) == options(ini_ignore=True, allow_root=True, daemonize=False, force_stderr=True)
    assert parse(["-nFy", "f.conf"]) == options(ini_ignore=True, daemonize=False, config="f.conf")


@pytest.mark.parametrize("arguments", [["-tt"], ["-t", "-t"], ["--test", "-t"]])
def test_testing_twice_asks_for_more(arguments: list[str]) -> None:
    assert parse(arguments).tests == 2


def test_defines_add_up_in_their_order() -> None:
    assert parse(["-d", "a=1", "-da=2", "--define=b"]).defines == ("a=1", "a=2", "b")


def test_last_of_equal_flags_counts() -> None:
    assert parse(["-y", "a", "-y", "b", "-D", "-F"]) == options(config="b", daemonize=False)


def test_first_thing_to_show_counts() -> None:
    assert parse(["-m", "-v"]).show == "modules"


def test_flags_are_looked_at_one_after_the_other() -> None:
    assert parse(["-v", "-Z"]).show == parse(["-vZ"]).show == "version"
    assert parse(["-h", "--nonsense"]).show == "help"
    assert parse(["-n", "-m", "-d", "x"]) == options(ini_ignore=True, show="modules")
    assert parse(["-i", "-n"]) == options(ini_ignore=True, show="info")
    assert parse(["-i", "-v"]).show == "version"
    with pytest.raises(UsageError):
        parse(["-i", "-Z"])


def test_two_dashes_end_the_flags() -> None:
    assert parse(["-F", "--"]) == options(daemonize=False)
    assert parse(["-i", "--", "surplus"]).show == "info"
    with pytest.raises(UsageError, match="unexpected argument: -t"):
        parse(["-F", "--", "-t"])


def test_a_value_may_begin_with_a_dash_and_a_switch_may_have_one_that_nobody_reads() -> None:
    assert parse(["-y", "-t"]).config == "-t"
    assert parse(["--define==x"]).defines == ("x",)
    assert parse(["--test=1"]).tests == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-x"], "option -x not recognized"),
        (["--unknown"], "option --unknown not recognized"),
        (["-y"], "option -y requires argument"),
        (["--fpm-config"], "option --fpm-config requires argument"),
        (["--fpm-config="], "option --fpm-config= not recognized"),
        (["--vers"], "option --vers not recognized"),
        (["-C"], "option -C not recognized"),
        (["-:"], "option -: not recognized"),
        (["-"], "unexpected argument: -"),
        (["-F", "surplus"], "unexpected argument: surplus"),
    ],
)
def test_mistake_is_explained(arguments: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse(arguments)


def test_mistake_ends_with_the_usage_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-x"]) == Exit.USAGE

    error = capsys.readouterr().err
    assert error.startswith("Usage: ")
    assert error.endswith("\noption -x not recognized\n")


def test_help_is_printed_and_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == Exit.OK

    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: ")
    assert printed.err == ""


@pytest.mark.parametrize(("short", "long"), [flag[:2] for flag in [*FLAGS, *SWITCHES]])
def test_help_names_every_flag(short: str, long: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-h"])
    text = capsys.readouterr().out

    assert (short in text and long in text) or long == "--usage"


def test_configuration_that_is_not_there_is_named_without_a_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["-t", "-y", "/nowhere/fpm.conf"]) == Exit.CONFIG

    error = capfd.readouterr().err
    assert "/nowhere/fpm.conf" in error
    assert "Traceback" not in error
