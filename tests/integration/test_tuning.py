"""What docs/tuning.md shows and names is there and works."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind
from tests.support.servers import executable
from tests.support.workspace import POOL_USER, ROOT

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs/tuning.md").read_text()
FAMILIES = (CHECKOUT / "src/kraal/metrics/families.py").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for kind, text in BLOCKS if kind == "ini"]
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
_BASE = {"user": POOL_USER, "listen": "DIRECTORY/www.sock", "pm": "static", "pm.max_children": "4"}


def settings(example: str) -> Iterator[tuple[str, str, str]]:
    """Section, name and value of each line."""
    section = "www"
    for line in example.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            name, _, value = line.partition(" = ")
            yield section, name, value


def file_with(example: str, directory: Path) -> Path:
    """A whole configuration with an example in it."""
    rows = list(settings(example))
    pool = {name: value for name, value in _BASE.items() if ROOT or name != "user"}
    pool |= {name: value for section, name, value in rows if section == "www"}
    lines = ["[global]", f"error_log = {directory}/error.log"]
    lines += [f"{name} = {value}" for section, name, value in rows if section == "global"]
    lines += ["[www]", *(f"{name} = {value}" for name, value in pool.items())]
    file = directory / "tuned.conf"
    text = "\n".join(lines).replace("/var/log", str(directory)).replace("DIRECTORY", str(directory))
    file.write_text(f"{text}\n")
    return file


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: next(settings(text))[1])
def test_example_is_taken_without_a_warning(example: str, directory: Path) -> None:
    file = file_with(example, directory)
    done = subprocess.run(
        [*executable("kraal"), "-t", "-y", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "successful" not in line] == []


def test_every_command_shows_what_it_is_there_for(start_kind: StartKind) -> None:
    server = start_kind("kraal", pool={"access.log": "/dev/null"})
    assert server.fetch(server.script("hello.php", "echo 'hello';")).text == "hello"
    (kraal,) = executable("kraal")
    for command in COMMANDS:
        ours = re.sub(r"^kraal (\S+)", rf"{kraal} \1 -g {server.process.pid}", command)
        done = subprocess.run(
            ["sh", "-c", ours], capture_output=True, text=True, timeout=60, check=False, cwd=server.directory
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout.strip(), command
        if "kraal" in command and "grep" not in command:
            assert "www" in done.stdout, command


def test_every_figure_it_names_is_one_of_kraal_metrics() -> None:
    named = set(re.findall(r"`kraal_(\w+)[`{]", PAGE))

    assert named
    assert {
        name for name in named if f'"{name}"' not in FAMILIES and f'"kraal_{name}"' not in FAMILIES
    } == set()


def test_time_outs_of_the_example_fit_together() -> None:
    (example,) = [text for text in EXAMPLES if "process_control_timeout" in text]
    seconds = {name: int(value[:-1]) for _, name, value in settings(example) if value[:-1].isdigit()}
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `fastcgi_read_timeout`")]
    patience = int(re.findall(r"(\d+) s", row)[-1])
    unit = (CHECKOUT / "packaging/kraal.service").read_text()
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    longest = seconds["request_terminate_timeout"] + seconds["request_terminate_grace"]
    assert longest + seconds["queue.max_wait"] < patience
    assert longest < seconds["process_control_timeout"] <= int(stop) - 5
    assert seconds["request_slowlog_timeout"] < longest
