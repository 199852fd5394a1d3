"""The command line: php-fpm's flags, its exit codes, and errors that a person can use."""

import fcntl
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.support import processes
from tests.support.fastcgi import Connection, cgi_params, packet
from tests.support.servers import READY, FpmServer, Kind, configuration, executable, reachable
from tests.support.wait import wait_until
from tests.support.workspace import ROOT, give, make_directory

OK, USAGE, SOFTWARE, CONFIG = 0, 64, 70, 78

needs_root = pytest.mark.skipif(not ROOT, reason="only root may change users")


def call(kind: Kind, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends; it never shows a traceback, whatever it was asked."""
    done = subprocess.run(
        [*executable(kind), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        user=user,
        group="nogroup" if user else None,
        extra_groups=[] if user else None,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def write(directory: Path, text: str) -> str:
    file = directory / "fpm.conf"
    file.write_text(text)
    return str(file)


def holds(file: Path, text: str) -> bool:
    return file.exists() and text in file.read_text()


def good(directory: Path, **pool: str) -> str:
    return write(directory, configuration(directory, f"{directory}/fpm.sock", pool=pool))


# ---------------------------------------------------------------- answers


def test_v_tells_the_version_of_php_and_the_sapi(server_kind: Kind) -> None:
    done = call(server_kind, "-v")
    assert done.returncode == OK
    own = r" kraal \S+" if server_kind == "kraal" else ""
    assert re.match(rf"PHP 8\.2\.\d+\S* \(fpm-fcgi\) \(built: [^)]+\){own}\n", done.stdout)
    assert re.search(r"^Zend Engine v4\.2.*\n    with Zend OPcache v8\.2", done.stdout, re.MULTILINE)


def test_h_lists_the_options(server_kind: Kind) -> None:
    done = call(server_kind, "-h")
    assert done.returncode == OK
    assert "Usage:" in done.stdout
    for option in "cndhvpgytDFOR":
        assert re.search(rf"^ +-{option}\b", done.stdout, re.MULTILINE), option


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-Z"], ["-y"], ["--memory-limit=1G"]])
def test_a_wrong_command_line_shows_the_usage(server_kind: Kind, arguments: list[str]) -> None:
    done = call(server_kind, *arguments)
    assert done.returncode == USAGE
    assert "Usage:" in done.stdout + done.stderr


def test_t_says_that_a_configuration_is_good(server_kind: Kind, directory: Path) -> None:
    file = good(directory)
    done = call(server_kind, "-t", "-y", file)
    assert done.returncode == OK
    assert f"NOTICE: configuration file {file} test is successful" in done.stderr
    assert not (directory / "fpm.sock").exists()


GENERAL = "[global]\nerror_log = /dev/null\n"
POOL = GENERAL + "[www]\nuser = www-data\nlisten = /run/never.sock\n"
WHOLE = POOL + "pm = static\npm.max_children = 1\n"

# The configuration, and what the error says of it; FILE is its path.
WRONG = {
    "unknown entry": (GENERAL + "nonsense = 1\n", r"\[FILE:3\] unknown entry 'nonsense'"),
    "unknown entry of a pool": (WHOLE + "pm.nonsense = 1\n", r"\[FILE:8\] unknown entry 'pm.nonsense'"),
    "pool entry in global": (GENERAL + "listen = 9000\n", r"\[FILE:3\] unknown entry 'listen'"),
    "not a number": (POOL + "pm = static\npm.max_children = many\n", r"\[FILE:7\] .*'pm.max_children'"),
    "not a process manager": (POOL + "pm = sometimes\n", r"\[FILE:6\] .*'pm'.*static, dynamic or ondemand"),
    "not a time": (WHOLE + "request_terminate_timeout = soon\n", r"\[FILE:8\] .*'request_terminate_timeout'"),
    "not an array": (WHOLE + "php_value = 3\n", r"\[FILE:8\] .*'php_value'"),
    "not INI": (WHOLE + 'this is "no ini\n', r"\[?FILE:8\b"),
    "no workers": (POOL + "pm = static\npm.max_children = 0\n", r"\[pool www\] pm.max_children must be"),
    "no process manager": (POOL, r"\[pool www\] the process manager is missing"),
    "no address": (
        GENERAL + "[www]\nuser = www-data\npm = static\n",
        r"\[pool www\] no listen",
    ),
    "no such folder": (WHOLE + "chdir = /nonexistent\n", r"\[pool www\] the chdir path '/nonexistent'"),
    "no pool": (GENERAL, "No pool defined"),
    "no such include": (GENERAL + "include = /nonexistent/*.conf\n", "'/nonexistent/.*FILE.* 3"),
    "no place for the log": (
        WHOLE.replace("/dev/null", "/nonexistent/log"),
        r"error_log.*/nonexistent/log.*No such file or directory",
    ),
}


@pytest.mark.parametrize("start", [["-t"], ["-F", "-O"]], ids=["tested", "started"])
@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_configuration_is_named_with_its_place(
    server_kind: Kind, directory: Path, text: str, message: str, start: list[str]
) -> None:
    file = write(directory, text)
    done = call(server_kind, *start, "-y", file)
    assert done.returncode == CONFIG
    assert re.search(message.replace("FILE", re.escape(file)), done.stderr), done.stderr


@needs_root
@pytest.mark.parametrize(
    ("user", "message"),
    [
        (None, r"\[pool www\] user has not been defined"),
        ("nobody-of-that-name", r"\[pool www\] cannot get uid for user 'nobody-of-that-name'"),
    ],
)
def test_root_has_to_name_a_user_that_exists(
    server_kind: Kind, directory: Path, user: str | None, message: str
) -> None:
    text = WHOLE.replace("user = www-data\n", f"user = {user}\n" if user else "")
    done = call(server_kind, "-t", "-y", write(directory, text))
    assert done.returncode == CONFIG
    assert re.search(message, done.stderr), done.stderr


def test_a_configuration_that_is_not_there_is_named(server_kind: Kind) -> None:
    for start in (["-t"], ["-F", "-O"]):
        done = call(server_kind, *start, "-y", "/nonexistent/fpm.conf")
        assert done.returncode == CONFIG
        assert "'/nonexistent/fpm.conf': No such file or directory" in done.stderr


@needs_root
def test_an_unreadable_configuration_is_named(server_kind: Kind, directory: Path) -> None:
    file = good(directory)
    Path(file).chmod(0o600)
    done = call(server_kind, "-t", "-y", file, user="nobody")
    assert done.returncode == CONFIG
    assert f"'{file}': Permission denied" in done.stderr


# ---------------------------------------------------------------- what the system does not allow


def test_a_port_in_use_is_named(server_kind: Kind, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = good(directory, listen=address)
        done = call(server_kind, "-F", "-O", "-y", file)
        assert done.returncode == CONFIG
        assert (
            f"unable to bind listening socket for address '{address}': Address already in use" in done.stderr
        )
        assert call(server_kind, "-D", "-y", file).returncode == SOFTWARE
    assert not (directory / "fpm.pid").exists()


def test_a_missing_directory_of_the_socket_is_named(server_kind: Kind, directory: Path) -> None:
    path = f"{directory}/missing/fpm.sock"
    done = call(server_kind, "-F", "-O", "-y", good(directory, listen=path))
    assert done.returncode == CONFIG
    assert f"'{path}': No such file or directory" in done.stderr


@needs_root
def test_a_directory_without_permission_is_named(server_kind: Kind, directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir()
    own = give(make_directory(directory / "own"), "nobody")
    text = configuration(
        directory, f"{closed}/fpm.sock", options={"error_log": f"{own}/log", "pid": f"{own}/pid"}
    )
    done = call(server_kind, "-F", "-O", "-y", write(directory, text), user="nobody")
    assert done.returncode == CONFIG
    assert f"'{closed}/fpm.sock': Permission denied" in done.stderr


@needs_root
def test_a_pool_runs_as_root_only_if_allowed(
    server_kind: Kind, directory: Path, start_server: StartServer
) -> None:
    done = call(server_kind, "-F", "-O", "-y", good(directory, user="root", group="root"))
    assert done.returncode != OK
    assert "please specify user and group other than root" in done.stderr
    server = start_server(pool={"user": "root", "group": "root"}, arguments=["-R"])
    assert server.fetch(server.script("uid.php", "echo posix_geteuid();")).text == "0"


@needs_root
def test_any_user_may_run_it_for_himself(server_kind: Kind, directory: Path) -> None:
    own = give(make_directory(directory / "own"), "nobody")
    file = write(directory, configuration(own, f"{own}/fpm.sock"))
    (directory / "who.php").write_text("<?php echo posix_getpwuid(posix_geteuid())['name'];")
    before = processes.orphans()
    with (directory / "log").open("wb") as log:
        argv = [*executable(server_kind), "-F", "-O", "-y", file]
        process = processes.spawn(argv, output=log, user="nobody")
    try:
        wait_until(
            lambda: process.poll() is not None or READY in (directory / "log").read_text(), what="it is ready"
        )
        with Connection(f"{own}/fpm.sock") as connection:
            connection.send(packet(cgi_params(str(directory), "/who.php")))
            assert connection.response().text == "nobody"
        assert (
            "'user' directive is ignored when FPM is not running as root" in (directory / "log").read_text()
        )
    finally:
        below = processes.descendants(process.pid)
        code = processes.end(process, signal.SIGTERM)
        processes.check_gone(below, before=before)
    assert code == OK


# ---------------------------------------------------------------- ini settings

INI = "echo ini_get('precision'), ' ', basename((string) php_ini_loaded_file()), ' ', ini_get('user_agent');"


def show_ini(server: FpmServer) -> str:
    return server.fetch(server.script("ini.php", INI)).text


def test_c_names_the_ini_file_or_its_folder(start_server: StartServer, directory: Path) -> None:
    (directory / "php.ini").write_text("precision = 7\n")
    (directory / "my.ini").write_text("precision = 8\n")
    assert show_ini(start_server(arguments=["-c", str(directory)])) == "7 php.ini "
    assert show_ini(start_server(arguments=["-c", f"{directory}/my.ini"])) == "8 my.ini "


def test_n_reads_no_ini_file(start_server: StartServer) -> None:
    assert show_ini(start_server(arguments=["-n"])) == "14  "


def test_d_defines_ini_settings(start_server: StartServer) -> None:
    server = start_server(arguments=["-d", "precision=9", "-duser_agent=kraal test"])
    assert show_ini(server) == "9 php.ini kraal test"


# ---------------------------------------------------------------- files and the background


def test_p_is_where_relative_paths_begin(
    server_kind: Kind, directory: Path, start_server: StartServer
) -> None:
    for name in ("run", "log"):
        (directory / name).mkdir()
    text = configuration(
        directory, "run/fpm.sock", options={"pid": "run/fpm.pid", "error_log": "log/error.log"}
    )
    file = write(directory, text)
    address = f"{directory}/run/fpm.sock"
    before = processes.orphans()
    with (directory / "out").open("wb") as output:
        argv = [*executable(server_kind), "-F", "-O", "-p", str(directory), "-y", file]
        process = processes.spawn(argv, output=output)
    try:
        wait_until(lambda: process.poll() is not None or reachable(address), what="it listens")
        assert process.poll() is None, (directory / "out").read_text()
        wait_until(lambda: READY in (directory / "out").read_text(), what="it is ready")
        assert (directory / "run/fpm.pid").read_text().strip() == str(process.pid)
        assert (directory / "log/error.log").exists()
    finally:
        below = processes.descendants(process.pid)
        processes.end(process, signal.SIGTERM)
        processes.check_gone(below, before=before)
    assert not list((directory / "run").iterdir())


def test_g_names_the_pid_file_unless_the_configuration_does(
    start_server: StartServer, directory: Path
) -> None:
    file = directory / "other.pid"
    other = start_server(arguments=["-g", str(file)])
    assert (file.exists(), other.pid_file.exists()) == (False, True)
    server = start_server(arguments=["-g", str(file)], options={"pid": ""})
    assert file.read_text().strip() == str(server.pid)
    assert not server.pid_file.exists()
    server.stop()
    assert not file.exists()


def stop_daemon(pid: int, before: set[int]) -> None:
    everything = processes.descendants(pid) | {pid}
    os.kill(pid, signal.SIGTERM)
    processes.check_gone(everything, before=before - {pid})


@pytest.mark.parametrize("how", ["by -D", "by the configuration"])
def test_in_the_background_it_returns_when_it_serves(server_kind: Kind, directory: Path, how: str) -> None:
    """`call` reads both outputs to their end: a daemon that kept them open would hang here."""
    before = processes.orphans()
    file = good(directory)
    done = call(server_kind, *(["-D"] if how == "by -D" else []), "-y", file)
    assert done.returncode == OK, done.stderr
    pid = int((directory / "fpm.pid").read_text())
    try:
        assert processes.alive(pid)
        assert os.getsid(pid) != os.getsid(0)
        (directory / "page.php").write_text("<?php echo 'served';")
        with Connection(f"{directory}/fpm.sock") as connection:
            connection.send(packet(cgi_params(str(directory), "/page.php")))
            assert connection.response().text == "served"
    finally:
        stop_daemon(pid, before)
    assert not (directory / "fpm.pid").exists()
    assert not (directory / "fpm.sock").exists()
    log = (directory / "error.log").read_text()
    assert READY in log
    assert "bye-bye!" in log


def test_in_the_background_it_reports_a_wrong_configuration(server_kind: Kind, directory: Path) -> None:
    done = call(server_kind, "-D", "-y", write(directory, WRONG["unknown entry"][0]))
    assert done.returncode == CONFIG
    assert "unknown entry 'nonsense'" in done.stderr


def test_without_O_the_log_goes_to_its_file(server_kind: Kind, directory: Path) -> None:
    before = processes.orphans()
    with (directory / "out").open("wb") as output:
        process = processes.spawn([*executable(server_kind), "-F", "-y", good(directory)], output=output)
    try:
        wait_until(
            lambda: process.poll() is not None or holds(directory / "error.log", READY),
            what="it is ready",
        )
    finally:
        below = processes.descendants(process.pid)
        code = processes.end(process, signal.SIGTERM)
        processes.check_gone(below, before=before)
    assert (code, (directory / "out").read_text()) == (OK, "")


# ---------------------------------------------------------------- the configuration of the package

DEBIAN = Path("/etc/php/8.2/fpm/php-fpm.conf")
DEBIAN_RUN = Path("/run/php")


@contextmanager
def debian_is_ours() -> Iterator[None]:
    """One test at a time may use the fixed paths of the package."""
    with DEBIAN.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if reachable(f"{DEBIAN_RUN}/php8.2-fpm.sock"):
            pytest.fail("the system's own php8.2-fpm is running: stop it")
        DEBIAN_RUN.mkdir(exist_ok=True)
        yield


@needs_root
def test_the_unchanged_configuration_of_the_package_works(server_kind: Kind, directory: Path) -> None:
    address, pid_file = f"{DEBIAN_RUN}/php8.2-fpm.sock", DEBIAN_RUN / "php8.2-fpm.pid"
    (directory / "page.php").write_text("<?php echo posix_getpwuid(posix_geteuid())['name'];")
    before = processes.orphans()
    with debian_is_ours(), (directory / "log").open("wb") as log:
        process = processes.spawn([*executable(server_kind), "-F", "-O", "-y", DEBIAN], output=log)
        try:
            wait_until(
                lambda: process.poll() is not None or READY in (directory / "log").read_text(),
                what="it is ready",
            )
            assert process.poll() is None, (directory / "log").read_text()
            assert pid_file.read_text().strip() == str(process.pid)
            with Connection(address) as connection:
                connection.send(packet(cgi_params(str(directory), "/page.php")))
                assert connection.response().text == "www-data"
        finally:
            below = processes.descendants(process.pid)
            code = processes.end(process, signal.SIGTERM)
            processes.check_gone(below, before=before)
        assert code == OK
        assert not Path(address).exists()
        assert not pid_file.exists()


@pytest.mark.parametrize("arguments", [["-h"], ["directives"]], ids=" ".join)
def test_reader_that_leaves_early_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*executable("kraal"), *arguments], stdout=writing, stderr=subprocess.PIPE, timeout=20
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (OK, b"")
