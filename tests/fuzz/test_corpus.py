"""Every input of the corpora does no harm, under gcc's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import ENVIRON, HERE, TARGETS, Target

GCC = ("gcc", "-fsanitize=address,undefined")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_kept_inputs_do_no_harm(target: Target, tmp_path: Path) -> None:
    inputs = corpus.unpack(target.name, tmp_path / "corpus")
    assert inputs
    try:
        program = target.build(tmp_path, GCC, HERE / "replay.c")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)

    done = subprocess.run([program, *inputs], capture_output=True, env=os.environ | ENVIRON)

    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.split()[-1:] == [b"%d" % len(inputs)]
