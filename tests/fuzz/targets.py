"""What is fuzzed, and how it is built."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "native"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")
# The reader gets its bytes from the target, and not from a socket.
WRAPPED = ",".join(f"--wrap={name}" for name in ("recv", "send", "sendmsg", "shutdown"))


@dataclass(frozen=True, slots=True)
class Target:
    """One file with libFuzzer's entry point, and the parts of the native library that it calls."""

    name: str
    parts: tuple[str, ...]
    php: bool = False
    flags: tuple[str, ...] = ()

    def build(self, folder: Path, compiler: Sequence[str], *more: Path) -> Path:
        """Compile it.  Raises CalledProcessError, with the compiler's words."""
        program = folder / self.name
        sources = [HERE / f"{self.name}.c", *more, *(NATIVE / f"{part}.c" for part in self.parts)]
        flags = [*WARNINGS, "-std=gnu11", "-g", "-O1", "-fno-sanitize-recover=all", *self.flags]
        includes, libraries = _php() if self.php else ([], [])
        subprocess.run(
            [*compiler, *flags, *includes, "-o", program, *sources, *libraries],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        return program


def _php() -> tuple[list[str], list[str]]:
    """Where PHP's headers are, whose warnings are not ours, and its library."""
    command = ["php-config8.2", "--includes"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [word for flag in found for word in ("-isystem", flag.removeprefix("-I"))], ["-lphp8.2"]


_READER = ("fastcgi", "fastcgi_body", "fastcgi_decode", "fastcgi_encode", "fastcgi_write", "params")

TARGETS = {
    target.name: target
    for target in (
        Target("reader", _READER, flags=(f"-Wl,{WRAPPED}",)),
        Target("params", ("params",)),
        Target("script", ("params", "script"), php=True),
        Target("inivalues", ("inivalues", "params"), php=True),
        Target("userini", ("userini",), php=True),
    )
}

# PHP frees nothing of what it keeps until its end.
ENVIRON = {"ASAN_OPTIONS": "detect_leaks=0:handle_abort=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
