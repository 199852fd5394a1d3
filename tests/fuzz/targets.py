"""What is fuzzed, and how it is built."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NATIVE = ROOT / "native"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")
# The reader gets its bytes from the target, and not from a socket.
WRAPPED = ",".join(f"--wrap={name}" for name in ("recv", "send", "sendmsg", "shutdown"))
FUZZER = "-fsanitize=fuzzer,address,undefined"

Play = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class NativeTarget:
    """One file with libFuzzer's entry point, and the parts of the native library that it calls."""

    name: str
    parts: tuple[str, ...]
    php: bool = False
    flags: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # targets whose inputs are its inputs, too

    @property
    def sources(self) -> list[Path]:
        """Its own file, and the parts."""
        return [HERE / f"{self.name}.c", *(NATIVE / f"{part}.c" for part in self.parts)]

    def build(self, folder: Path, compiler: str) -> Path:
        """A program under libFuzzer.  Raises CalledProcessError, with the compiler's words."""
        return self.compile(folder, (compiler, FUZZER))

    def compile(self, folder: Path, compiler: Sequence[str], *more: Path) -> Path:
        """The same with other sanitizers, and with sources for what libFuzzer would do."""
        program = folder / self.name
        flags = [*WARNINGS, "-std=gnu11", "-g", "-O1", "-fno-sanitize-recover=all", *self.flags]
        includes, libraries = _php() if self.php else ([], [])
        subprocess.run(
            [*compiler, *flags, *includes, "-o", program, *self.sources, *more, *libraries],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        return program


@dataclass(frozen=True, slots=True)
class PythonTarget:
    """A module of tests.fuzz.python."""

    name: str
    also: tuple[str, ...] = ()

    def begin(self, folder: Path) -> AbstractContextManager[Play]:
        """What is called with an input, and raises whatever is wrong."""
        play: AbstractContextManager[Play] = self._module().begin(folder)
        return play

    def words(self) -> Sequence[str]:
        """What would take long to find by chance."""
        words: Sequence[str] = getattr(self._module(), "WORDS", ())
        return words

    def _module(self) -> ModuleType:
        return importlib.import_module(f"tests.fuzz.python.{self.name}")

    def build(self, folder: Path, compiler: str) -> Path:
        """A program under libFuzzer, which executes itself when it merges, and leaves files beside it."""
        del compiler
        program = folder / self.name
        # What hashes are made of would give each run another coverage.
        environ = f"PYTHONHASHSEED=0 PYTHONPATH='{ROOT}'"
        command = f"'{sys.executable}' -W ignore -m tests.fuzz.guided {self.name}"
        program.write_text(f'#!/bin/sh\n{environ} exec {command} "$0" "$@"\n')
        program.chmod(0o755)
        return program


Target = NativeTarget | PythonTarget


def _php() -> tuple[list[str], list[str]]:
    """Where PHP's headers are, whose warnings are not ours, and its library."""
    command = ["php-config8.2", "--includes"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [word for flag in found for word in ("-isystem", flag.removeprefix("-I"))], ["-lphp8.2"]


_READER = ("fastcgi", "fastcgi_body", "fastcgi_decode", "fastcgi_encode", "fastcgi_write", "params")

NATIVE_TARGETS = {
    target.name: target
    for target in (
        NativeTarget("reader", _READER, flags=(f"-Wl,{WRAPPED}",)),
        NativeTarget("params", ("params",)),
        NativeTarget("script", ("params", "script"), php=True),
        NativeTarget("inivalues", ("inivalues", "params"), php=True),
        NativeTarget("userini", ("userini",), php=True),
    )
}
PYTHON_TARGETS = {
    target.name: target
    for target in (
        PythonTarget("protocol", also=("reader",)),
        PythonTarget("configuration"),
        PythonTarget("pages"),
        PythonTarget("channel"),
        PythonTarget("boards"),
    )
}
TARGETS: dict[str, Target] = {**NATIVE_TARGETS, **PYTHON_TARGETS}

# PHP frees nothing of what it keeps until its end.
ENVIRON = {"ASAN_OPTIONS": "detect_leaks=0:handle_abort=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
