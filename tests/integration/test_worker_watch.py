"""Worker mode for development: after a change of a file that is watched, the residents have the new code."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.residents import Application, application
from tests.support.wait import wait_until
from tests.support.workspace import workspace


def _watchers(pid: int) -> list[int]:
    return [each for each in processes.descendants(pid) if "(watches files)" in processes.command_line(each)]


def _write(library: Path, version: str) -> None:
    """Replaced at once, as editors do."""
    new = library.with_suffix(".new")
    new.write_text(f"<?php define('VERSION', '{version}');")
    new.rename(library)


@contextmanager
def _application(number: int = 1) -> Iterator[tuple[Application, Path]]:
    """One whose worker script has a library, which is watched."""
    with workspace() as directory:
        library = directory / "library.php"
        _write(library, "first")
        boot, watched = f"require '{library}';", {"worker.watch": str(directory)}
        with application(boot=boot, number=number, pool=watched) as app:
            yield app, library


def test_residents_start_anew_after_a_change() -> None:
    with _application(number=3) as (app, library):
        show = app.script("echo VERSION;")
        assert app.server.fetch(show).text == "first"
        first = app.residents()
        _write(library, "second")
        app.server.wait_log(f"worker.watch: {library} changed: starting the worker script again")
        wait_until(lambda: len(app.residents()) == 3 and not first & app.residents(), what="all are new")
        assert app.server.fetch(show).text == "second"


def test_a_script_that_no_longer_boots_is_tried_again_after_the_next_change() -> None:
    with _application() as (app, library):
        show = app.script("echo VERSION;")
        library.write_text("<?php syntax error")
        app.server.wait_log("next attempt in")
        _write(library, "mended")
        wait_until(lambda: app.server.fetch(show).text == "mended", what="the mended code answers")


def test_who_watches_is_replaced_and_leaves_with_its_manager() -> None:
    with _application() as (app, _):
        (first,) = _watchers(app.server.pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: _watchers(app.server.pid) not in ([], [first]), what="another one watches")
        (second,) = _watchers(app.server.pid)
        app.server.send(signal.SIGUSR2)
        app.server.wait_log("ready to handle connections", times=2)
        wait_until(lambda: not processes.alive(second), what="it left with the old manager")
        (third,) = _watchers(app.server.pid)
    assert not processes.alive(third)
