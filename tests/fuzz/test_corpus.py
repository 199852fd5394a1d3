"""Every input of the corpora does no harm; of what is written in C, under gcc's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import ENVIRON, HERE, NATIVE_TARGETS, PYTHON_TARGETS, NativeTarget, PythonTarget

GCC = ("gcc", "-fsanitize=address,undefined")


@pytest.mark.parametrize("target", NATIVE_TARGETS.values(), ids=NATIVE_TARGETS)
def test_kept_inputs_do_no_harm_in_c(target: NativeTarget, tmp_path: Path) -> None:
    inputs = corpus.unpack(target, tmp_path / "corpus")
    assert inputs
    try:
        program = target.compile(tmp_path, GCC, HERE / "replay.c")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)

    done = subprocess.run([program, *inputs], capture_output=True, env=os.environ | ENVIRON)

    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.split()[-1:] == [b"%d" % len(inputs)]


@pytest.mark.parametrize("target", PYTHON_TARGETS.values(), ids=PYTHON_TARGETS)
def test_kept_inputs_do_no_harm_in_python(target: PythonTarget, tmp_path: Path) -> None:
    inputs = corpus.all_of(target)
    assert inputs

    with target.begin(tmp_path) as play:
        for content in inputs:
            try:
                play(content)
            except Exception as error:
                error.add_note(f"the input is {content.hex()}")
                raise
