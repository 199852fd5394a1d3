"""Installing kraal as a person does it: with pip, from the sources, with Debian's own Python."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support.checkout import CHECKOUT, SOURCES, copy_sources
from tests.support.workspace import POOL_USER, workspace

pytestmark = pytest.mark.slow

PYTHON = "/usr/bin/python3"
USER = "echo posix_getpwuid(posix_geteuid())['name'];"


def run(*argv: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with both of its outputs in one text."""
    environ = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"} | ({"PATH": path} if path else {})
    return subprocess.run(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        env=environ,
        check=False,
    )


def pip(environment: Path, *arguments: str | Path, path: str | None = None) -> str:
    """Install something; gives what pip says, and fails if pip does."""
    done = run(environment / "bin/pip", "install", "--quiet", *arguments, path=path)
    assert done.returncode == 0, done.stdout
    return done.stdout


def make_environment(place: Path) -> Path:
    done = run(PYTHON, "-m", "venv", place)
    assert done.returncode == 0, done.stdout
    return place


def files(folder: Path) -> set[str]:
    """Everything below a folder that is neither hidden nor compiled."""
    found = {path.relative_to(folder) for path in folder.rglob("*")}
    return {str(path) for path in found if not any(re.match(r"\.|__pycache__", part) for part in path.parts)}


def checkout_files() -> set[str]:
    """What is built, and what stands beside it; caches of tools, which are hidden, do not count."""
    beside = {path.name for path in CHECKOUT.iterdir() if not path.name.startswith(".")}
    return beside.union(*(files(CHECKOUT / part) for part in SOURCES))


@pytest.fixture
def sources(directory: Path) -> Path:
    """A copy of what is built."""
    copy = directory / "sources"
    copy.mkdir()
    copy_sources(copy)
    return copy


@pytest.fixture(scope="module")
def workshop() -> Iterator[Path]:
    """An environment with what a build needs."""
    with workspace() as place:
        environment = make_environment(place / "venv")
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
        pip(environment, *project["build-system"]["requires"])
        yield environment


def check_works(environment: Path, start_kind: StartKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of the environment tells its version, and serves a page as the pool's user."""
    kraal = environment / "bin/kraal"
    version = run(kraal, "-v")
    assert version.returncode == 0, version.stdout
    assert re.match(r"PHP 8\.\d+\.\d+\S* \(fpm-fcgi\)", version.stdout)
    monkeypatch.setenv("KRAAL_EXECUTABLE", str(kraal))
    server = start_kind("kraal")
    assert server.fetch(server.script("user.php", USER)).text == POOL_USER


def test_pip_install_into_a_fresh_environment_serves_a_request(
    sources: Path, directory: Path, start_kind: StartKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, checkout = files(sources), checkout_files()
    environment = make_environment(directory / "venv")
    pip(environment, sources)
    assert files(sources) == before
    check_works(environment, start_kind, monkeypatch)
    assert checkout_files() == checkout


def test_build_tells_in_one_sentence_that_php_config_is_missing(
    sources: Path, workshop: Path, directory: Path
) -> None:
    programs = directory / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith("php-config"):
            (programs / program.name).symlink_to(program)
    path = f"{workshop}/bin:{programs}"
    done = run(workshop / "bin/pip", "install", "--no-build-isolation", "--no-deps", sources, path=path)
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if "php-config is missing" in line]
    assert line.strip().endswith("install PHP's development files (on Debian: php8.2-dev).")


def test_editable_install_follows_the_sources(
    sources: Path, workshop: Path, start_kind: StartKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without isolation: an editable package is built again by itself, and needs the tools for that."""
    pip(workshop, "--no-build-isolation", "--editable", sources, path=f"{workshop}/bin:{os.environ['PATH']}")
    check_works(workshop, start_kind, monkeypatch)
    usage = sources / "src/kraal/__main__.py"
    usage.write_text("print('changed')\n")
    assert run(workshop / "bin/python", "-m", "kraal").stdout == "changed\n"


def test_start_shows_its_usage_and_installs_nothing() -> None:
    before = checkout_files()
    done = run(CHECKOUT / "start", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ./start [FOLDER] [--port NUMBER] [--install-only]\n")
    assert checkout_files() == before
