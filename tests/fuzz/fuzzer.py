"""A target at work under libFuzzer."""

import os
import re
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import ENVIRON, NativeTarget, Target

COMPILERS = ("clang", "clang-14", "clang-15", "clang-16", "clang-19")
# Much more than any input takes on a busy machine, in seconds.
_LONGEST = 30


def compiler() -> str | None:
    """The clang that there is."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def what_lacks(target: Target) -> str | None:
    """What has to be installed first."""
    if isinstance(target, NativeTarget):
        return None if compiler() else "clang is missing: apt-get install clang-14 libclang-rt-14-dev"
    try:
        import atheris  # noqa: F401 (it is needed by another program)
    except ImportError:
        return "atheris is missing: pip install atheris"
    return None


def workplace() -> "tempfile.TemporaryDirectory[str]":
    """A folder for a fuzzer; in memory if there is a place, where files are written ten times as fast."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="kraal-fuzz-", dir=memory)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    executions: int
    cpu_seconds: float
    findings: tuple[Path, ...]  # inputs that do harm
    said: str  # by libFuzzer
    failed: bool

    def explain(self) -> str:
        """Why it has failed, with the bytes that did it."""
        inputs = (f"{path.name}: {path.read_bytes().hex()}" for path in self.findings)
        return "\n".join([self.said[-6000:], *inputs])


class Fuzzer:
    """Has a folder of its own, and one for what is found."""

    def __init__(self, target: Target, folder: Path, crashes: Path) -> None:
        """Build it.  Raises CalledProcessError."""
        self.target = target
        self._folder = folder
        self._crashes = crashes
        crashes.mkdir(parents=True, exist_ok=True)
        self._seeds = folder / "seeds"
        corpus.unpack(target, self._seeds)
        self._program = target.build(folder, compiler() or "")

    def run(self, found: Path, *flags: str) -> Outcome:
        """Fuzz, from the corpus and from what was found before; what adds to that is put there, too."""
        before, cpu = set(self._crashes.iterdir()), _cpu_of_children()
        done = self._call(
            f"-artifact_prefix={self._crashes}/",
            f"-timeout={_LONGEST}",
            # A look by the clock, and so no finding.
            f"-report_slow_units={_LONGEST}",
            "-print_final_stats=1",
            *flags,
            found,
            self._seeds,
        )
        runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        return Outcome(
            executions=int(runs[1]) if runs else 0,
            cpu_seconds=_cpu_of_children() - cpu,
            findings=tuple(sorted(set(self._crashes.iterdir()) - before)),
            said=done.stderr,
            failed=done.returncode != 0,
        )

    def merge(self, found: Path) -> list[bytes]:
        """The fewest inputs that reach what all of them reach, of the corpus and of those that were found."""
        merged = self._folder / "merged"
        merged.mkdir()
        self._call("-merge=1", f"-max_len={corpus.LONGEST}", merged, self._seeds, found)
        return [path.read_bytes() for path in merged.iterdir()]

    def _call(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        # Targets with PHP leave their folder; what libFuzzer writes is named absolutely.
        return subprocess.run(
            [self._program, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | ENVIRON,
        )


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
