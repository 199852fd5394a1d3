"""The source of php-src's tests: Debian's source package, fetched into a cache and unpacked there.

The machine's own configuration of apt is read and not touched; lists and downloads are the cache's.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "php8.2"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
WANTED = (
    "run-tests.php",
    "sapi/fpm/tests/*",
    "ext/dl_test/*",
    "ext/pcntl/*",
    "ext/zend_test/*",
    "ext/standard/tests/misc/browscap.ini",
)


class SetUpError(Exception):
    """The tests cannot run here; the text says why, and what to do."""


def suite(cache: Path) -> Path:
    """The newest source that can be had, unpacked; fetched if the cache has none."""
    if unpacked := _newest(cache.glob("php-*/run-tests.php")):
        return unpacked.parent
    archive = _newest(cache.glob(f"{PACKAGE}_*.orig.tar.xz")) or _fetch(cache)
    return _unpack(archive, cache)


def _newest(found: Iterator[Path]) -> Path | None:
    return max(found, default=None, key=lambda path: path.stat().st_mtime)


# ------------------------------------------------------------ apt


def _fetch(cache: Path) -> Path:
    options = _own_lists(cache / "apt")
    _run("apt-get", *options, "-q", "update")
    versions = _versions(_run("apt-cache", *options, "showsrc", "--only-source", PACKAGE))
    for version in versions:
        name = f"{PACKAGE}={version}"
        # A mirror drops the files of a version before its lists do, or the other way round.
        done = subprocess.run(
            ["apt-get", *options, "-q", "source", "--download-only", "--only-source", name],
            cwd=cache,
            capture_output=True,
        )
        if done.returncode == 0 and (archive := _newest(cache.glob(f"{PACKAGE}_*.orig.tar.xz"))):
            return archive
    raise SetUpError(f"the mirror has no source of {PACKAGE}; tried: {', '.join(versions) or 'none'}")


def _own_lists(place: Path) -> list[str]:
    """Options that make apt use lists in this folder, of the sources of Debian that the machine uses."""
    for name in ("lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True, exist_ok=True)
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = _run("apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian")
    if not targets:
        raise SetUpError("apt knows no lists of Debian: run `apt-get update` once")
    signed = f" [signed-by={KEYS}]" if KEYS.exists() else ""
    sources = place / "sources.list"
    sources.write_text("".join(f"deb-src{signed} {target}\n" for target in sorted(set(targets.splitlines()))))
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": place / "lists",
        "Dir::Cache": place / "cache",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _versions(sources: str) -> list[str]:
    """As apt shows them, the newest first."""
    return list(dict.fromkeys(re.findall(r"^Version: (\S+)$", sources, re.MULTILINE)))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SetUpError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout


# ------------------------------------------------------------ unpacking


def _unpack(archive: Path, cache: Path) -> Path:
    """Take what is needed out of an archive, whole or not at all."""
    partial = cache / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    wanted = (f"php-*/{path}" for path in WANTED)
    _run("tar", "-xf", str(archive), "-C", str(partial), "--no-same-owner", "--wildcards", *wanted)
    found = next(partial.glob("php-*"), None)
    if found is None:
        raise SetUpError(f"{archive} is no source of PHP")
    return found.rename(cache / found.name)
