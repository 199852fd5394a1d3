"""The rules of the command line that nobody thinks of until a script depends on them, on both servers."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.test_command_line import CONFIG, OK, USAGE, call, good, write
from tests.support.servers import KINDS, Kind, configuration, executable
from tests.support.wait import wait_until
from tests.support.workspace import ROOT

# The arguments, the exit code, and how the output begins; FILE is a good configuration.
CALLS = [
    (["-C"], USAGE, "Usage:"),
    (["-:"], USAGE, "Usage:"),
    (["-"], USAGE, "Usage:"),
    (["--vers"], USAGE, "Usage:"),
    (["--fpm-config="], USAGE, "Usage:"),
    (["--fpm-config"], USAGE, "Usage:"),
    (["-Z", "-v"], USAGE, "Usage:"),
    (["-i", "-Z"], USAGE, "Usage:"),
    (["-t", "-y", "FILE", "surplus"], USAGE, "Usage:"),
    (["-t", "-y", "FILE", "--", "-v"], USAGE, "Usage:"),
    (["-v", "-Z"], OK, "PHP 8"),
    (["-vZ"], OK, "PHP 8"),
    (["-nv"], OK, "PHP 8"),
    (["-dmemory-limit=1G", "--version"], OK, "PHP 8"),
    (["-m", "-v"], OK, "[PHP Modules]"),
    (["-i", "-m"], OK, "[PHP Modules]"),
    (["-i"], OK, "phpinfo()"),
    (["-n", "-i", "surplus"], OK, "phpinfo()"),
    (["-?"], OK, "Usage:"),
    (["--usage"], OK, "Usage:"),
    (["-h", "-Z"], OK, "Usage:"),
    (["--test=1", "-y", "FILE"], OK, "[DATE] NOTICE: configuration file FILE test is successful"),
    (["-ty=FILE"], OK, "[DATE] NOTICE: configuration file FILE test is successful"),
    (["-ty", "FILE", "--"], OK, "[DATE] NOTICE: configuration file FILE test is successful"),
    (["-t", "-dfpm.config=FILE"], OK, "[DATE] NOTICE: configuration file FILE test is successful"),
    (["-t", "-y", "/nowhere"], CONFIG, "[DATE] ERROR: failed to open configuration file '/nowhere'"),
    (["-t", "-p", "/"], CONFIG, "[DATE] ERROR: failed to open configuration file '//etc/php-fpm.conf'"),
    (["-t", "-p", "/nowhere", "-y", "FILE"], CONFIG, "[DATE] ERROR: the global prefix '/nowhere'"),
]


@pytest.mark.parametrize(("arguments", "code", "beginning"), CALLS, ids=[" ".join(row[0]) for row in CALLS])
def test_flags_are_read_as_php_fpm_reads_them(
    server_kind: Kind, directory: Path, arguments: list[str], code: int, beginning: str
) -> None:
    file = good(directory)

    done = call(server_kind, *(argument.replace("FILE", file) for argument in arguments))

    text = re.sub(r"\A\[\d[^]]+\]", "[DATE]", done.stdout + done.stderr)
    assert done.returncode == code, text
    assert text.startswith(beginning.replace("FILE", file))


def dump(kind: Kind, *arguments: str) -> list[str]:
    done = call(kind, "-tt", *arguments)
    assert done.returncode == OK, done.stderr
    return [line[23:] for line in done.stderr.splitlines() if line.startswith("[")]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-F"],
        ["-D"],
        ["-g", "other.pid"],
        ["-p", "DIR"],
        ["-p", "DIR", "-g", "run/other.pid"],
        ["-n", "-d", "precision=11"],
        ["-d", "user_agent=from the command line"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("pid", ["", "run/fpm.pid"], ids=["no pid", "a pid"])
def test_tt_shows_what_the_command_line_makes_of_the_configuration(
    directory: Path, arguments: list[str], pid: str
) -> None:
    options = {"pid": pid, "error_log": f"{directory}/log"}
    pool = {"slowlog": "rel/slow", "env[A]": '"${precision} ${user_agent} ${memory_limit} ${HOME}"'}
    file = write(directory, configuration(directory, "rel/fpm.sock", options=options, pool=pool))
    flags = [argument.replace("DIR", str(directory)) for argument in arguments]

    kraal, php_fpm = (dump(kind, *flags, "-y", file) for kind in KINDS)

    assert [line for line in kraal if not line.startswith("WARNING")] == php_fpm


def test_e_compiles_scripts_with_what_debuggers_want(start_server: StartServer) -> None:
    shown = "opcache.opt_debug_level=0x10000"
    server = start_server(arguments=["-e", "-d", shown], pool={"catch_workers_output": "yes"})

    server.fetch(server.script("page.php", "echo 1; echo 2;"))

    wait_until(lambda: "EXT_STMT" in server.log(), what="the compiled script is shown")


# ---------------------------------------------------------------- beyond php-fpm


def kraal_says(*arguments: str) -> list[str]:
    done = call("kraal", *arguments)
    return [line[23:] for line in done.stderr.splitlines() if line.startswith("[")]


def test_a_setting_that_php_does_not_have_is_a_warning_of_t(directory: Path) -> None:
    pool = {"php_value[memory_limt]": "1M", "php_admin_value[precision]": "3", "php_flag[zzz]": "on"}
    file = good(directory, **pool)

    warnings = [line for line in kraal_says("-t", "-d", "precision=4", "-y", file) if "WARNING" in line]

    assert [line.rpartition(" (")[0] for line in warnings] == [
        "WARNING: [pool www] -d precision=4 has no effect here, php_admin_value[precision] counts",
        "WARNING: [pool www] php_value[memory_limt] cannot take effect, PHP has no such setting:"
        " did you mean memory_limit?",
        "WARNING: [pool www] php_value[zzz] cannot take effect, PHP has no such setting",
    ]


def test_settings_of_an_extension_that_the_pool_loads_itself_are_known(directory: Path) -> None:
    ini = ["-n", "-d", "extension_dir=" + extension_dir()]
    with_it = good(
        directory, **{"php_admin_value[extension]": "exif", "php_value[exif.encode_unicode]": "UTF-8"}
    )
    assert [line for line in kraal_says(*ini, "-t", "-y", with_it) if "WARNING" in line] == []

    without = good(directory, **{"php_value[exif.encode_unicode]": "UTF-8"})
    assert "php_value[exif.encode_unicode] cannot take effect" in kraal_says(*ini, "-t", "-y", without)[0]


def extension_dir() -> str:
    done = subprocess.run(
        ["php8.2", "-r", "echo PHP_EXTENSION_DIR;"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_all_mistakes_are_told_in_one_run_with_file_and_line(directory: Path) -> None:
    wrong = "pm.max_childs = 3\npm.max_requests = many\nuser = nobody-of-that-name\n"
    file = write(directory, Path(good(directory)).read_text() + wrong)
    lines = len(Path(file).read_text().splitlines())

    *errors, last = kraal_says("-t", "-y", file)

    assert errors == [
        f"ERROR: [{file}:{lines - 2}] unknown entry 'pm.max_childs': did you mean pm.max_children?",
        f"ERROR: [{file}:{lines - 1}] unable to parse value for entry 'pm.max_requests':"
        " is not a valid number (greater or equal than zero), found 'many'",
        "ERROR: [pool www] cannot get uid for user 'nobody-of-that-name'",
    ]
    assert last == "ERROR: FPM initialization failed"


@pytest.mark.skipif(not ROOT, reason="the log of the package's configuration is root's")
@pytest.mark.skipif(not Path("/etc/php/8.2/fpm/php-fpm.conf").exists(), reason="the package is not installed")
def test_the_unchanged_configuration_of_the_package_has_no_warning() -> None:
    [line] = kraal_says("-t")

    assert line == "NOTICE: configuration file /etc/php/8.2/fpm/php-fpm.conf test is successful"


def test_a_pipe_of_the_shell_is_a_configuration(directory: Path) -> None:
    file = good(directory)
    command = f'"$@" -t -y <(cat {file})'
    argv = ["bash", "-c", command, "bash", *executable("kraal")]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == OK, done.stderr
