"""What subcommands have in common: help, and errors as exit codes."""

import pytest

from kraal.command.common import FLAGS, Subcommand
from kraal.config.problems import ConfigErrors, Problem
from kraal.errors import Error, Exit, StartError, UsageError

COMMAND = Subcommand(name="try", usage="Usage: kraal try\n", values=("--pool",), switches=("--json",))


@pytest.mark.parametrize(
    "command",
    ["command.reload", "command.trace", "command.profile", "command.status", "command.ping", "top.command"],
)
def test_every_help_explains_the_flags_that_say_which_master(command: str) -> None:
    module = __import__(f"kraal.{command}", fromlist=["USAGE"])

    assert module.USAGE.endswith(FLAGS)


def test_help_is_shown_and_nothing_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.run(["--help"], lambda words, options: pytest.fail("it works")) == Exit.OK
    assert capsys.readouterr().out == "Usage: kraal try\n"


def test_options_come_to_the_work_and_its_code_to_the_caller() -> None:
    found = []

    def work(words: object, options: object) -> int:
        found.append((words, options))
        return 3

    assert COMMAND.run(["--json", "--pool=www", "-g", "7"], work) == 3
    ((words, options),) = found
    assert (words.has("--json"), words.value("--pool"), options.pid) == (True, "www", "7")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("what?"), 64, "Usage: kraal try\n\nkraal try: what?\n"),
        (Error("no"), 70, "kraal try: no\n"),
        (StartError("no", exit=Exit.CONFIG), 78, "kraal try: no\n"),
        (ConfigErrors([Problem("a"), Problem("b")]), 78, "kraal try: a\nkraal try: b\n"),
    ],
)
def test_error_is_told_and_becomes_the_exit_code(
    error: Error, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(words: object, options: object) -> int:
        raise error

    assert COMMAND.run([], work) == code
    assert capsys.readouterr().err == said


def test_number_by_itself_is_refused_where_none_is_wanted() -> None:
    assert COMMAND.run(["17"], lambda words, options: pytest.fail("it works")) == Exit.USAGE
