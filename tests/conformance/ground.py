"""The ground that a test of php-src runs on: a tree of its own in the shape that the test expects.

A test finds the server as ../fpm/php-fpm from the folder of its PHP, writes files where it is, and listens on
ports that are always the same.  As root every test has a network of its own, so several run at once.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import verdicts
from tests.conformance.upstream import SetUpError
from tests.conformance.verdicts import Result

ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).parents[2]
PHP = Path("/usr/bin/php8.2")
NAMESPACES = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")

# Debian's php.ini would hide X-Powered-By, and so fail most tests.
INI = "extension_dir = {extensions}\nextension = posix\n"

# In front of the server, because tests start it with an environment of their own.  Not a shell: that would
# sort the environment and add to it, which tests see.
LAUNCHER = """\
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	(void)count;
	setenv("PHPRC", "%(ini)s", 1);
	setenv("PHP_INI_SCAN_DIR", "%(empty)s", 1);
	arguments[0] = "%(program)s";
	execv(arguments[0], arguments);
	return 127;
}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """What all tests of one server share."""

    place: Path
    suite: Path
    extensions: Path
    launcher: Path
    user: str
    seconds: float
    output: Path | None = None

    def run(self, test: str, *, as_root: bool = False, attempts: int = 1) -> Result:
        """Run a test, again if it fails, so many times at most."""
        for attempt in range(1, attempts + 1):
            result = self._attempt(test, as_root, attempt)
            if result.verdict is not verdicts.Verdict.FAIL:
                break
        return result

    def _attempt(self, test: str, as_root: bool, attempt: int) -> Result:
        # Short: the path of a socket in it has to fit.
        tree = Path(tempfile.mkdtemp(prefix="t", dir=self.place))
        try:
            self._plant(tree, test)
            if ROOT and not as_root:
                subprocess.run(["chown", "-R", f"{self.user}:", tree], check=True)
            return self._judge(tree, test, as_root, attempt)
        finally:
            shutil.rmtree(tree)

    def _plant(self, tree: Path, test: str) -> None:
        tree.chmod(0o755)
        tests = tree / "sapi/fpm/tests"
        tests.mkdir(parents=True)
        source = self.suite / "sapi/fpm/tests"
        for file in (*source.glob("*.inc"), source / "CONFLICTS", source / f"{test}.phpt"):
            shutil.copy(file, tests)
        (tree / "sapi/cli").mkdir()
        (tree / "sapi/cli/php").symlink_to(PHP)
        (tree / "sapi/fpm/php-fpm").symlink_to(self.launcher)
        shutil.copy(self.suite / "run-tests.php", tree)
        misc = tree / "ext/standard/tests/misc"
        misc.mkdir(parents=True)
        shutil.copy(self.suite / "ext/standard/tests/misc/browscap.ini", misc)

    def _judge(self, tree: Path, test: str, as_root: bool, attempt: int) -> Result:
        results, report, said = tree / "results", self.place / f"{tree.name}.report", tree / "said"
        become = () if as_root or not ROOT else _as_user(self.user)
        command = [
            *(NAMESPACES if ROOT else ()),
            *(sys.executable, "-m", "tests.conformance.warden", str(self.seconds), str(report)),
            *become,
            *("env", f"--chdir={tree}"),
            *(str(PHP), "run-tests.php", "-q", "-p", str(tree / "sapi/cli/php"), "-W", str(results)),
            *("--offline", "--no-color", "--no-progress", f"sapi/fpm/tests/{test}.phpt"),
        ]
        with said.open("wb") as stream:
            environ = self._environ(tree, as_root)
            subprocess.run(
                command, cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        outcome = results.read_text().partition("\t")[0] if results.exists() else ""
        printed = _read(tree / f"sapi/fpm/tests/{test}.diff")
        if report.exists():
            outcome, printed = "", report.read_text()
            report.unlink()
        result = verdicts.judge(test, outcome, _read(said), printed, attempts=attempt)
        if self.output and result.verdict is verdicts.Verdict.FAIL:
            shutil.copytree(tree, self.output / f"{test}-{attempt}", symlinks=True, ignore=_sockets)
        return result

    def _environ(self, tree: Path, as_root: bool) -> dict[str, str]:
        own = {
            "NO_INTERACTION": "1",
            "PHPRC": str(self.place / "ini"),
            "PHP_INI_SCAN_DIR": str(self.place / "empty"),
            "TEST_PHP_EXECUTABLE": str(tree / "sapi/cli/php"),
            "TEST_FPM_EXTENSION_DIR": str(self.extensions),
            "RUN_RESOURCE_HEAVY_TESTS": "1",
            "FPM_RUN_RESOURCE_HEAVY_TESTS": "1",
            "PATH": os.environ["PATH"],
        }
        return own | ({"TEST_FPM_RUN_AS_ROOT": "1"} if as_root else {})


@contextmanager
def ground(
    suite: Path, extensions: Path, program: Sequence[str], *, user: str, seconds: float, output: Path | None
) -> Iterator[Ground]:
    """Make one for a server; it is gone in the end."""
    place = Path(tempfile.mkdtemp(prefix="kraal-", dir="/tmp"))
    try:
        place.chmod(0o755)
        (place / "empty").mkdir()
        (place / "ini").mkdir()
        # A copy, as the cache may be private.
        reachable = shutil.copytree(extensions, place / "extensions")
        (place / "ini/php.ini").write_text(INI.format(extensions=reachable))
        launcher = _launcher(place, program)
        _check(launcher, user)
        yield Ground(place, suite, reachable, launcher, user, seconds, output)
    finally:
        shutil.rmtree(place)


def _launcher(place: Path, program: Sequence[str]) -> Path:
    source, made = place / "php-fpm.c", place / "php-fpm"
    (single,) = program
    source.write_text(LAUNCHER % {"ini": place / "ini", "empty": place / "empty", "program": single})
    subprocess.run(["gcc", "-o", made, source], check=True)
    return made


def _check(launcher: Path, user: str) -> None:
    done = subprocess.run(
        [*(_as_user(user) if ROOT else ()), launcher, "-v"], cwd="/", capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SetUpError(f"the server does not start as {user} (out of his reach?):\n{done.stderr.strip()}")
    print(done.stdout.splitlines()[0], flush=True)


def _as_user(user: str) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", "--")


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
