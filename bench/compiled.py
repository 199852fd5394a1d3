"""The C programs of the benchmarks, compiled when they are first needed."""

import atexit
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def program(name: str, *flags: str) -> str:
    """The path of the program of this name, made from NAME.c."""
    folder = tempfile.mkdtemp(prefix="kraal-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source, path = Path(__file__).with_name(f"{name}.c"), os.path.join(folder, name)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-O2", str(source), *flags, "-o", path], check=True)
    return path
