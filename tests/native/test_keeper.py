"""The thread that looks after a worker's connections while a request runs, under the sanitizers."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The scoreboard is the main thread's alone: that its fences are not understood does not matter.
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-Wno-tsan"]
PARTS = (
    "connections",
    "fastcgi",
    "fastcgi_body",
    "fastcgi_decode",
    "fastcgi_encode",
    "fastcgi_write",
    "handoff",
    "keeper",
    "log",
    "params",
    "parcel",
    "patience",
    "peer",
    "refusal",
    "ledger",
    "scoreboard",
    "sharing",
    "waiting",
)


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
def test_connections_pass_between_the_main_thread_and_its_keeper(tmp_path: Path, sanitizers: str) -> None:
    program = tmp_path / "keeper"
    sources = [ROOT / "tests/native/keeper.c", *(ROOT / "native" / f"{part}.c" for part in PARTS)]
    flags = ["-std=gnu11", "-g", "-O1", *WARNINGS, f"-fsanitize={sanitizers}", "-pthread"]
    done = subprocess.run(["gcc", *flags, "-o", program, *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    done = subprocess.run([program], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0
