"""An environment with a kraal that is watched, beside the one that the tests run in."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.checkout import copy_sources

Watcher = Literal["address", "valgrind"]
# Of whom PHP takes memory: from its own heap, of which a watcher sees nothing, or piece by piece.
Heap = Literal["pieces", "zend"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_DEBUG = ("-g", "-O1", "-fno-omit-frame-pointer")
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
_VALGRIND = (
    "valgrind",
    "--quiet",
    "--trace-children=yes",
    "--num-callers=16",
    "--leak-check=full",
    "--show-leak-kinds=definite",
)


class SetUpError(Exception):
    """There is no such environment; one sentence."""


@dataclass(frozen=True)
class Environment:
    """A kraal, and where its watcher reports."""

    watcher: Watcher
    folder: Path
    reports: Path

    @property
    def library(self) -> Path:
        """Ours, which reports name."""
        return next(self.folder.glob("lib/python3*/site-packages/kraal/_native/libkraal-*.so"))

    @property
    def before(self) -> tuple[str, ...]:
        """The watcher, if it is a program."""
        return () if self.watcher == "address" else (*_VALGRIND, f"--log-file={self.reports}/%p")

    @property
    def python(self) -> tuple[str, ...]:
        """How its Python is called."""
        return (*self.before, str(self.folder / "bin/python"))

    @property
    def command(self) -> str:
        """How kraal is called."""
        return shlex.join([*self.before, str(self.folder / "bin/kraal")])


def build(watcher: Watcher, heap: Heap) -> Environment:
    """Make one anew, inside the environment that runs us.  Raises SetUpError."""
    if watcher == "valgrind" and not shutil.which("valgrind"):
        raise SetUpError("valgrind is missing: apt-get install valgrind libc6-dbg")
    place = Path(sys.prefix) / "watched" / watcher
    shutil.rmtree(place, ignore_errors=True)
    made = Environment(watcher, place / "venv", place / "reports")
    made.reports.mkdir(parents=True)
    # Pools run as whoever they are told to.
    made.reports.chmod(0o1777)
    _install(made)
    _put_interpreter(made, heap)
    return made


def _install(made: Environment) -> None:
    base = Path(sys.base_prefix) / "bin/python3"
    _run([base, "-m", "venv", made.folder])
    watched = _SANITIZERS if made.watcher == "address" else ()
    with tempfile.TemporaryDirectory(prefix="kraal-watched-") as copy:
        copy_sources(Path(copy))
        pip: list[str | Path] = [made.folder / "bin/python", "-m", "pip", "--disable-pip-version-check"]
        _run(
            [*pip, "install", "--use-pep517", f"{copy}[http]"],
            {"CFLAGS": " ".join((*_DEBUG, *watched)), "LDFLAGS": " ".join(watched)},
        )


def _put_interpreter(made: Environment, heap: Heap) -> None:
    """Replace the `python` of the environment."""
    python = made.folder / "bin/python3"
    python.unlink()
    defines = (f"-DPIECES={int(heap == 'pieces')}", f'-DREPORTS="{made.reports}"')
    include, libraries = sysconfig.get_path("include"), sysconfig.get_config_var("LIBDIR")
    links = (f"-L{libraries}", f"-lpython{sysconfig.get_python_version()}")
    sources = (HERE / "interpreter.c", HERE / f"{made.watcher}.c")
    _run([*_gcc(made), *defines, "-isystem", include, "-rdynamic", "-o", python, *sources, *links])


def plant(made: Environment) -> Path:
    """A library with faults, named as if it were ours."""
    library = made.folder / "libkraal-php-planted.so"
    _run([*_gcc(made), "-shared", "-fPIC", "-o", library, HERE / "planted.c"])
    return library


def _gcc(made: Environment) -> list[str]:
    return [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror",
        *_DEBUG,
        *(_SANITIZERS if made.watcher == "address" else ()),
    ]


def _run(command: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> None:
    everything = os.environ | dict(environ or {})
    done = subprocess.run(
        command, env=everything, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise SetUpError(f"{shlex.join(map(str, command))} failed:\n{done.stdout[-4000:]}")
