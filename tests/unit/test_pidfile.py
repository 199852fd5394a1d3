"""The file with the process id of the master."""

import os
import subprocess
from pathlib import Path

import pytest

from kraal.master import pidfile


def test_file_of_a_process_that_is_gone_is_stale_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    gone = subprocess.Popen(["true"])
    gone.wait()
    pidfile.write(str(path), gone.pid)
    assert pidfile.is_stale(str(path))
    pidfile.write(str(path), os.getpid())
    assert not pidfile.is_stale(str(path))


@pytest.mark.parametrize("content", ["", "none", "9" * 40, "\0", "1 2"])
def test_file_that_names_no_process_says_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    assert not pidfile.is_stale(str(path))
    assert not pidfile.is_stale(str(tmp_path / "missing"))
