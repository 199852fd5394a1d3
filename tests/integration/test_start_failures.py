"""PHP that is missing, of another build, or without OPcache: one sentence, no traceback."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from kraal._native import _bridge

from kraal.boot import Order, Php
from kraal.errors import Exit
from kraal.fields import replace
from kraal.memory import ledger, scoreboard
from kraal.unix import memory, process
from kraal.unix.channel import Channel, Kind
from tests.integration.conftest import StartKind
from tests.support.servers import executable

ORDER = Order(pool="www", policy="static", max_children=1, php=Php(ini_path=None, ini_scan_dir=None))

# Another name for libphp, given before anybody reads it.
RENAMED = "from kraal._native import _bridge; _bridge.LIBPHP = 'libphp-that-is-not-there.so'; "


@pytest.fixture
def dead_end(directory: Path) -> Iterator[tuple[Channel, list[int]]]:
    """The master's end of a channel, and the descriptors of a manager."""
    ours, theirs = Channel.pair()
    listener = socket.socket(socket.AF_UNIX)
    board = memory.create("kraal-test", scoreboard.size_for(1))
    order = memory.create_filled("kraal-test", ORDER.to_bytes())
    said = memory.create_filled("kraal-test", b"")
    entries = memory.create("kraal-test", ledger.SIZE)
    shared = [entries, os.eventfd(0), *(end.detach() for end in socket.socketpair())]
    yield ours, [theirs.fileno(), listener.fileno(), board, order, said, *shared]
    for fd in (board, order, said, *shared):
        os.close(fd)
    listener.close()
    theirs.close()
    ours.close()


def run_manager(
    dead_end: tuple[Channel, list[int]], code: str, environ: Mapping[str, str] | None = None
) -> tuple[int, list[tuple[int, str]]]:
    """The exit code of a manager, and what it told the master."""
    channel, descriptors = dead_end
    start = "import sys; from kraal.manager.manager import main; sys.exit(main())"
    argv = [sys.executable, "-I", "-c", code + start]
    pid = process.execute(argv, {"PATH": os.environ["PATH"], **(environ or {})}, descriptors)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), [(kind, text.decode()) for kind, text in channel.receive()]


def run_about(code: str = "", environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`kraal -v` behind its replacement of the process."""
    code += "import sys; sys.argv[1:] = ['version']; from kraal.php.info import main; sys.exit(main())"
    order = replace(ORDER, environment=dict(environ or {}))
    return subprocess.run(
        [sys.executable, "-I", "-c", code],
        input=order.to_bytes().decode(),
        capture_output=True,
        text=True,
        env=dict(os.environ) | dict(environ or {}),
        check=False,
    )


def symbols(library: str | Path, *flags: str) -> dict[str, str]:
    """The dynamic symbols of a library, with their type as `nm` names it."""
    done = subprocess.run(["nm", "-D", *flags, library], capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        kind, name = line.split()[-2:]
        found[name.split("@")[0]] = kind
    return found


SNPRINTF = """
#include <stdarg.h>
#include <stdio.h>
int ap_php_snprintf(char *to, size_t size, const char *format, ...) {
    va_list values;
    va_start(values, format);
    return vsnprintf(to, size, format, values);
}
"""


@pytest.fixture
def other_php(directory: Path) -> Path:
    """A folder with a libphp that has all the names that kraal needs, but not the layout behind them."""
    assert shutil.which("gcc"), "gcc is not installed"
    printed = subprocess.run(
        ["gcc", f"-print-file-name={_bridge.LIBPHP}"], capture_output=True, text=True, check=True
    )
    real = symbols(printed.stdout.strip(), "--defined-only")
    library = Path(_bridge.__file__).with_name(f"libkraal-php{_bridge.PHP_API}.so")
    needed = {name: real[name] for name in symbols(library, "--undefined-only") if name in real}
    del needed["ap_php_snprintf"]  # PHP's headers put it in the place of snprintf
    code = SNPRINTF + "".join(
        f"void {name}(void) {{ __builtin_trap(); }}\n" if kind in "TtWi" else f"char {name}[16];\n"
        for name, kind in needed.items()
    )
    return compile_libphp(directory, code)


def compile_libphp(directory: Path, code: str) -> Path:
    (directory / "stub.c").write_text(code)
    folder = directory / "lib"
    folder.mkdir()
    output = folder / _bridge.LIBPHP
    flags = ["-shared", "-fPIC", "-fno-builtin", "-w"]
    subprocess.run(["gcc", *flags, "-o", output, directory / "stub.c"], check=True)
    return folder


MISSING = (
    r"libphp cannot be loaded \(.*libphp-that-is-not-there\.so.*\): install the package libphp[\d.]+-embed"
)
OTHER = r"\S+/lib/libphp[\d.]+\.so is not the PHP that kraal was built for \(API \d+; .*\): reinstall kraal"
UNFIT = r"libkraal-php\d+\.so and libphp[\d.]+\.so do not fit each other \(.*undefined.*\): reinstall kraal"


def test_command_tells_in_one_sentence_that_libphp_is_missing() -> None:
    done = run_about(RENAMED)

    assert done.returncode == Exit.SOFTWARE
    assert re.fullmatch(f"kraal: {MISSING}\n", done.stderr)
    assert done.stdout == ""


def test_manager_tells_the_master_that_libphp_is_missing(dead_end: tuple[Channel, list[int]]) -> None:
    code, messages = run_manager(dead_end, RENAMED)

    assert code == Exit.SOFTWARE
    ((kind, text),) = messages
    assert kind == Kind.FAILED
    assert re.fullmatch(MISSING, text)


def test_command_tells_in_one_sentence_that_libphp_is_of_another_php(other_php: Path) -> None:
    done = run_about(environ={"LD_LIBRARY_PATH": str(other_php)})

    assert done.returncode == Exit.SOFTWARE, done.stderr
    assert re.fullmatch(f"kraal: {OTHER}\n", done.stderr)


def test_manager_tells_the_master_that_libphp_is_of_another_php(
    dead_end: tuple[Channel, list[int]], other_php: Path
) -> None:
    code, messages = run_manager(dead_end, "", {"LD_LIBRARY_PATH": str(other_php)})

    assert code == Exit.SOFTWARE
    ((kind, text),) = messages
    assert kind == Kind.FAILED
    assert re.fullmatch(OTHER, text)


def test_command_of_the_user_tells_it_as_well(other_php: Path) -> None:
    done = subprocess.run(
        [*executable("kraal"), "-v"],
        capture_output=True,
        text=True,
        env=dict(os.environ) | {"LD_LIBRARY_PATH": str(other_php)},
        check=False,
    )

    assert done.returncode == Exit.SOFTWARE
    assert re.fullmatch(f"kraal: {OTHER}\n", done.stderr)


def test_libphp_that_lacks_what_kraal_needs_is_told(directory: Path) -> None:
    folder = compile_libphp(directory, "int nothing;\n")

    done = run_about(environ={"LD_LIBRARY_PATH": str(folder)})

    assert done.returncode == Exit.SOFTWARE
    assert re.fullmatch(f"kraal: {UNFIT}\n", done.stderr)


def test_without_opcache_the_pool_warns_once_and_serves(start_kind: StartKind, directory: Path) -> None:
    server = start_kind("kraal", environ={"PHP_INI_SCAN_DIR": str(directory)}, arguments=["-n"])
    uri = server.script("hello.php", "echo extension_loaded('Zend OPcache') ? 'up' : 'not up';")

    assert server.fetch(uri).text == "not up"
    (line,) = server.log_lines("OPcache")
    assert line.endswith("WARNING: [pool www] OPcache is not loaded: every request compiles its scripts anew")
    assert "Traceback" not in server.log()
