"""The floor: PHP's engine without a server, in a process of its own (engine.c)."""

import os
import shutil
import subprocess
from pathlib import Path

import compiled


def measure(script: Path, scan_dir: str, count: int) -> float:
    """Processor time of a request in microseconds."""
    config = shutil.which("php-config8.2") or shutil.which("php-config")
    if not config:
        raise SystemExit("php-config is not installed (on Debian: php8.2-dev)")

    def ask(what: str) -> str:
        return subprocess.run([config, what], capture_output=True, text=True, check=True).stdout.strip()

    includes = [flag.replace("-I", "-isystem", 1) for flag in ask("--includes").split()]
    version = ".".join(ask("--version").split(".")[:2])
    command = [compiled.program("engine", *includes, f"-lphp{version}"), script.with_name("php.ini"), script]
    done = subprocess.run(
        [*map(str, command), str(count)],
        env={**os.environ, "PHP_INI_SCAN_DIR": scan_dir},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
