"""The extensions that php-src's tests of FPM want, built once into the cache with phpize."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conformance.upstream import SetUpError

BUILT = ("dl_test", "pcntl", "zend_test")
CONFIG = "/usr/bin/php-config8.2"


def directory(suite: Path) -> Path:
    """A folder with everything that the tests may load."""
    made = suite / "extensions"
    if not made.exists():
        work = suite / "building"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        modules = [_build(suite / "ext" / name, work / name) for name in BUILT]
        ready = work / "extensions"
        ready.mkdir()
        for module in (*modules, *_shared().glob("*.so")):
            if not (ready / module.name).exists():
                shutil.copy(module, ready)
        ready.rename(made)
        shutil.rmtree(work)
    return made


def _shared() -> Path:
    """Debian's own: tests name some of them, and PHP has one folder of extensions."""
    return Path(_run([CONFIG, "--extension-dir"], Path.cwd()).strip())


def _build(source: Path, place: Path) -> Path:
    shutil.copytree(source, place)
    for file in place.glob("test*.[ch]"):
        # What it does with libxml no test of FPM looks at, and libxml's headers need not be here.
        file.write_text(file.read_text().replace("defined(HAVE_LIBXML)", "0"))
    _run(["phpize8.2"], place)
    _run(["./configure", f"--with-php-config={CONFIG}", f"--enable-{source.name.replace('_', '-')}"], place)
    _run(["make", "-s", f"-j{os.cpu_count() or 1}"], place)
    return place / "modules" / f"{source.name}.so"


def _run(command: list[str], place: Path) -> str:
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise SetUpError(f"{command[0]} is missing: apt-get install php8.2-dev make") from error
    if done.returncode != 0:
        raise SetUpError(f"{' '.join(command)} failed in {place}:\n{done.stderr[-2000:]}")
    return done.stdout
