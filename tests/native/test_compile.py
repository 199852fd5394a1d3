"""The whole native library against PHP's headers: no warning, and PHP nowhere else."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SOURCES = sorted(NATIVE.glob("*.c"))
HEADERS = sorted(NATIVE.glob("*.h"))
STRICT = ["gcc", "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]

# What works without PHP, so that it can be tested and fuzzed alone.
WITHOUT_PHP = {
    "connections.c",
    "fastcgi.c",
    "fastcgi_body.c",
    "fastcgi_decode.c",
    "fastcgi_encode.c",
    "fastcgi_write.c",
    "keeper.c",
    "listening.c",
    "log.c",
    "params.c",
    "passing.c",
    "patience.c",
    "peer.c",
    "ledger.c",
    "scoreboard.c",
    "sharing.c",
}


@pytest.fixture(scope="module")
def includes() -> list[str]:
    """Where PHP's headers are; as system headers they are not ours to warn about."""
    config = shutil.which("php-config8.2") or shutil.which("php-config")
    assert config, "php-config is not installed: apt-get install php8.2-dev"
    done = subprocess.run([config, "--includes"], capture_output=True, text=True, check=True)
    return [word for flag in done.stdout.split() for word in ("-isystem", flag.removeprefix("-I"))]


def compile_(*arguments: str | Path) -> str:
    return subprocess.run([*STRICT, *arguments], capture_output=True, text=True).stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_source_compiles_without_a_warning(source: Path, includes: list[str]) -> None:
    assert compile_(*includes, source) == ""


@pytest.mark.parametrize("source", sorted(WITHOUT_PHP))
def test_source_that_needs_no_php_compiles_without_its_headers(source: str) -> None:
    assert compile_(NATIVE / source) == ""


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_header_stands_on_its_own(header: Path, includes: list[str]) -> None:
    # functions.h and its like speak of PHP's types: php.h comes first, as in every file that includes them.
    needs_php = "zval" in header.read_text() or "zend_" in header.read_text()
    before = ["-include", "php.h"] if needs_php else []

    assert compile_(*includes, *before, "-x", "c", "-include", header, "/dev/null") == ""
