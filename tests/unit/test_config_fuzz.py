"""Bad input: nothing but configuration errors comes of it, soon, and nobody waits for what never comes."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kraal.config.directives import ARRAYS, GLOBAL, POOL
from kraal.config.dump import lines
from kraal.config.problems import ConfigErrors
from tests.unit.test_config_load import BARE, load_file, refused_file, write

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
NAMES = [row.name for row in (*GLOBAL, *POOL)]
KEYED = [f"{row.name}[k]" for row in ARRAYS]
LETTERS = "[]=;\"'${}()|&^~!\\ \t\r$"
WORDS = "$pool $prefix ${HOME} yes none E_ALL include 9000 -1 99999999999 1d /tmp * 127.0.0.1: static dynamic"
PIECES = st.sampled_from([*LETTERS, *WORDS.split(), "\n", "\n", " = ", "\n[w]\n", *NAMES, *KEYED])
INI_LIKE = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)
ASSIGNMENTS = st.lists(
    st.tuples(st.sampled_from([*NAMES, *KEYED]), st.text(max_size=20) | INI_LIKE), max_size=12
).map(lambda pairs: "[w]\n" + "\n".join(f"{name} = {value}" for name, value in pairs))


def judge(file: Path) -> None:
    """Load it; what is taken can also be shown, what is not has been explained in printable lines."""
    try:
        config = load_file(file, testing=True, environ={"HOME": "/root"})
    except ConfigErrors as error:
        said = [str(problem) for problem in error.errors]
        assert said
        assert all("\x1b" not in line for line in said)
    else:
        assert list(lines(config))


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_every_file_that_once_was_trouble_is_judged(file: Path) -> None:
    judge(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.binary(max_size=300) | INI_LIKE.map(os.fsencode) | ASSIGNMENTS.map(lambda text: text.encode()))
def test_any_bytes_are_a_configuration_or_its_errors(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "f.conf"
    file.write_bytes(content)

    judge(file)


# ---------------------------------------------------------------- files that are none


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Interrupt what waits for ever."""

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


STRANGE: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a socket": make_socket,
    "a link to itself": lambda path: path.symlink_to(path),
    "a dangling link": lambda path: path.symlink_to("/nowhere"),
    "a link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "a link to a terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "a link to the kernel's log": lambda path: path.symlink_to("/dev/kmsg"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_is_an_error_and_nobody_waits_for_it(tmp_path: Path, kind: str) -> None:
    STRANGE[kind](tmp_path / "x.conf")
    main = write(tmp_path / "main", f"[w]\n{BARE}include = {tmp_path}/*.conf\n")

    with at_most(5):
        [included] = refused_file(main)
        [direct] = refused_file(tmp_path / "x.conf")

    assert f"[{main}:5] Unable to include {tmp_path}/x.conf" in included
    assert f"failed to open configuration file '{tmp_path}/x.conf'" in included
    assert direct.startswith(f"failed to open configuration file '{tmp_path}/x.conf'")


def test_a_directory_that_an_include_finds_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "d.conf").mkdir()
    main = write(tmp_path / "main", f"[w]\n{BARE}include = {tmp_path}/*.conf\ninclude = {tmp_path}\n")

    assert load_file(main).warnings == ()


def test_a_file_that_was_linked_to_the_null_device_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "x.conf").symlink_to(os.devnull)
    main = write(tmp_path / "main", f"[w]\n{BARE}include = {tmp_path}/*.conf\n")

    assert len(load_file(main).pools) == 1


def test_a_pipe_that_the_shell_has_opened_may_be_the_configuration() -> None:
    read, write_end = os.pipe()
    try:
        os.write(write_end, f"[w]\n{BARE}".encode())
        os.close(write_end)

        assert load_file(Path(f"/dev/fd/{read}")).pools[0].name == "w"
    finally:
        os.close(read)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.conf", "").chmod(0)
    main = write(tmp_path / "main", f"[w]\n{BARE}include = {tmp_path}/*.conf\n")

    assert "Permission denied (13)" in refused_file(main)[0]


def test_links_in_a_circle_are_one_file_that_includes_itself(tmp_path: Path) -> None:
    main = write(tmp_path / "main", f"[w]\n{BARE}include = {tmp_path}/loop/loop/*.conf\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "x.conf").symlink_to(main)

    [error] = refused_file(main)

    assert "includes itself" in error


def test_files_that_include_files_many_times_end_at_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kraal.config.load._MAX_FILES", 1000)
    for number in range(1, 5):
        write(tmp_path / f"{number}.conf", f"include = {tmp_path}/{number + 1}.conf\n" * 100)
    write(tmp_path / "5.conf", "")

    [error] = refused_file(tmp_path / "1.conf")

    assert "the configuration has more than" in error


# ---------------------------------------------------------------- time


def cost(action: Callable[[], object]) -> float:
    """Processor time, the better of two: other processes on the machine do not count."""
    best = float("inf")
    for _ in range(2):
        started = time.process_time()
        with suppress(ConfigErrors):
            action()
        best = min(best, time.process_time() - started)
    return best


def grows_linearly(make: Callable[[int], Path], size: int, factor: int = 10) -> bool:
    """Ten times as much costs ten times the processor time, give or take what a busy machine adds.

    What grows with the square would cost a hundred times as much.
    """
    small, large = make(size), make(size * factor)
    base = max(cost(lambda: load_file(small)), 0.01)
    return cost(lambda: load_file(large)) < 3 * factor * base + 0.05


LONG: dict[str, Callable[[int], str]] = {
    "one line of text": lambda size: "[w]\nuser = " + "x" * size,
    "one line of quotes": lambda size: "[w]\nuser = " + "'a'" * size,
    "one line of empty quotes": lambda size: "[w]\n" + "a=''" * size,
    "one line of double quotes": lambda size: "[w]\nuser = " + '"a"' * size,
    "one line of variables": lambda size: "[w]\nuser = " + "${X}" * size,
    "one line of pool names": lambda size: f"[{'p' * size}]\nuser = " + "$pool" * size,
    "one line of a variable that is long": lambda size: "[w]\nuser = " + "${LONG}" * size,
    "one name": lambda size: "[w]\n" + "pm" * size + " = 1\n",
    "one key": lambda size: "[w]\nenv[" + "k" * size + "] = 1\n",
    "one section": lambda size: "[" + "s" * size,
    "one pattern": lambda size: "include = /*" + "*a" * size,
    "one address": lambda size: "[w]\nlisten = " + ":" * size,
    "one number": lambda size: "[w]\npm.max_children = " + "9" * size,
    "unknown names": lambda size: "[w]\n" + "pm.max_childs = 1\n" * size,
    "good lines": lambda size: "[w]\n" + BARE + "env[A] = b\n" * (size // 3),
    "sections": lambda size: "".join(f"[w{number}]\n" for number in range(size // 5)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LONG)
def test_time_grows_no_faster_than_the_file(tmp_path: Path, kind: str) -> None:
    def make(size: int) -> Path:
        return write(tmp_path / f"{size}.conf", LONG[kind](size))

    assert grows_linearly(make, 5_000) or grows_linearly(make, 5_000)


ONE_OF_MANY = """\
user = nobody
listen = /run/p/$pool.sock
listen.owner = www-data
pm = ondemand
pm.max_children = 5
php_admin_value[error_log] = /var/log/$pool.log
env[PATH] = /usr/bin:/bin
"""


def pools(directory: Path, count: int) -> Path:
    for number in range(count):
        write(directory / f"{count}/{number}.conf", f"[p{number}]\n{ONE_OF_MANY}")
    return write(directory / f"{count}.main", f"include = {directory}/{count}/*.conf\n")


@pytest.mark.slow
def test_a_thousand_pools_cost_ten_times_as_much_as_a_hundred(tmp_path: Path) -> None:
    def make(size: int) -> Path:
        return pools(tmp_path, size)

    assert len(load_file(make(1000)).pools) == 1000
    assert grows_linearly(make, 100) or grows_linearly(make, 100)


@pytest.mark.slow
def test_a_mistake_in_one_of_a_thousand_pools_is_one_line(tmp_path: Path) -> None:
    main = pools(tmp_path, 1000)
    wrong = tmp_path / "1000/567.conf"
    wrong.write_text(wrong.read_text().replace("pm.max_children", "pm.max_childs"))

    assert refused_file(main) == [f"[{wrong}:6] unknown entry 'pm.max_childs': did you mean pm.max_children?"]


@pytest.mark.slow
def test_ten_thousand_includes_are_read_in_time_that_grows_with_them(tmp_path: Path) -> None:
    def make(size: int) -> Path:
        directory = tmp_path / str(size)
        for number in range(size):
            write(directory / f"{number}.inc", f"env[A{number}] = b\n")
        text = "".join(f"include = {directory}/{number}.inc\n" for number in range(size))
        return write(tmp_path / f"{size}.main", f"[w]\n{BARE}{text}")

    assert len(load_file(make(10_000)).pools[0].env) == 10_000
    assert grows_linearly(make, 1_000) or grows_linearly(make, 1_000)
