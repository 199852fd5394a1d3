"""Random configurations of several files: what php-fpm makes of them is what kraal makes of them."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kraal.boot import Php
from kraal.config.dump import lines
from kraal.config.load import load
from kraal.config.problems import ConfigErrors
from kraal.php.variables import Variables
from tests.unit.test_config_oracle import OURS, PHP_FPM, needs_php_fpm

ENVIRON = {
    "PATH": "/usr/bin:/bin",
    "YES": "yes",
    "FIVE": "5",
    "EMPTY": "",
    "SOME": "some text",
    "LIST": "a;b",
}
DEFINES = ("precision=9", "user_agent=from the ini")

BOOLEANS = (
    *("yes", "Yes", "YES", "true", "True", "on", "On", "1", '"yes"', '"on"', '"1"', "'true'", "${YES}"),
    *(
        "no",
        "No",
        "NO",
        "none",
        "false",
        "False",
        "off",
        "OFF",
        "0",
        "null",
        "NULL",
        "",
        '""',
        '"no"',
        '"off"',
    ),
    *("'0'", "'none'", "${EMPTY}", "${NOT_SET}", "!1", "!0", '"Yes"', "maybe", "2", "yes no", "E_ERROR"),
)
NUMBERS = (
    *("1", "2", "5", "07", '"3"', "'4'", "${FIVE}", "${precision}", "1|4", "(2|8)&10", "7^2", "E_WARNING"),
    *("0", "-1", "", "+1", "1.5", "x", "--", "1 2", "~0", "!0", "1k", "0x10"),
)
TIMES = ("0", "1", "10", "10s", "2m", "1h", "1d", '"3m"', "${FIVE}", "5 s", "x", "m", "10x", "-5", "", "1.5m")
TEXTS = (
    *("plain", "two words", '"in quotes"', "'single'", "$pool", "x-$pool-$pool", "/abs/$pool", "rel/ative"),
    *(
        "${SOME}",
        '"a ${SOME} b"',
        "${user_agent}",
        "${LIST}",
        "E_ALL & ~E_NOTICE",
        "E_ALL",
        "PHP_OS",
        "LOG_ERR",
    ),
    *(
        "a ; comment",
        '"a ; no comment"',
        '"esc \\" \\$ \\\\ x"',
        "$HOME",
        "it's",
        "a=b",
        "(a)",
        "yes",
        "none",
    ),
    *("${", "${SOME", '"open', "é", "a\tb", "\\", "'$pool ${SOME}'", '"${SOME}${FIVE}"$pool'),
)
GLOBALS = (
    ("pid", TEXTS),
    ("syslog.ident", TEXTS),
    ("syslog.facility", ("daemon", "LOCAL3", "mail", "nothing", '"user"')),
    ("log_level", ("notice", "Debug", "NOTICE", "debug", "loud", "${YES}")),
    ("log_limit", ("1024", "513", "100", "x")),
    ("log_buffering", BOOLEANS),
    ("emergency_restart_threshold", NUMBERS),
    ("emergency_restart_interval", TIMES),
    ("process_control_timeout", TIMES),
    ("process.max", NUMBERS),
    ("process.priority", NUMBERS),
    ("daemonize", BOOLEANS),
    ("rlimit_files", NUMBERS),
    ("rlimit_core", (*NUMBERS, "unlimited", "Unlimited")),
    ("events.mechanism", ("epoll", "poll", "select", "Epoll", "kqueue", "port", "/dev/poll", "nothing")),
    ("systemd_interval", TIMES),
)
POOLS = (
    ("user", ("nobody", "root", "0", "1234", "nobody-here")),
    ("group", ("nogroup", "0", "4321", "nobody-here")),
    ("listen.backlog", NUMBERS),
    ("listen.mode", TEXTS),
    ("listen.allowed_clients", ("127.0.0.1", "::1, 127.0.0.1")),
    ("process.priority", NUMBERS),
    ("process.dumpable", BOOLEANS),
    ("pm", ("static", "dynamic", "ondemand", "Dynamic", '"ondemand"', "fast")),
    ("pm.max_children", NUMBERS),
    ("PM.Start_Servers", NUMBERS),
    ("pm.min_spare_servers", NUMBERS),
    ("pm.max_spare_servers", NUMBERS),
    ("pm.max_spawn_rate", NUMBERS),
    ("pm.process_idle_timeout", TIMES),
    ("pm.max_requests", NUMBERS),
    ("pm.status_path", ("/status", "/", "status", "/a?b", "/s/$pool", "")),
    ("ping.path", ("/ping", "/", "ping", "/a b", "/p/$pool")),
    ("ping.response", TEXTS),
    ("access.log", ("DIR/access-$pool",)),
    ("access.format", ('"%m %r"', '"%{mega}M %{x}e"', '"%%"', *TEXTS, '"%z"', '"%{x}C"', '"%e"', '"%{a}m"')),
    ("slowlog", ("DIR/slow-$pool", '"DIR/a slow one"')),
    ("request_slowlog_timeout", TIMES),
    ("request_slowlog_trace_depth", NUMBERS),
    ("chroot", ("/", "$prefix", "$prefix/tmp", "/tmp", "tmp", "a$prefix", "/$prefix")),
    ("request_terminate_timeout", TIMES),
    ("request_terminate_timeout_track_finished", BOOLEANS),
    ("rlimit_files", NUMBERS),
    ("rlimit_core", (*NUMBERS, "unlimited")),
    ("chdir", ("/", "/tmp", "tmp", "")),
    ("prefix", ("/tmp", "", "/nowhere")),
    ("catch_workers_output", BOOLEANS),
    ("decorate_workers_output", BOOLEANS),
    ("clear_env", BOOLEANS),
    ("security.limit_extensions", TEXTS),
    ("env[PATH]", ("$PATH", '"$PATH"', *TEXTS)),
    ("env[$pool]", TEXTS),
    ("php_value[error_reporting]", TEXTS),
    ("php_value[error_log]", TEXTS),
    ("php_admin_value[error_log]", (*TEXTS, "syslog", "Syslog")),
    ("php_admin_value[session.cookie_path]", TEXTS),
    ("php_flag[x]", BOOLEANS),
    ("php_admin_flag[y]", BOOLEANS),
    ("access.suppress_path[]", ("/ping", "ping", '"/a b"', "")),
)
# Nowhere, or not everywhere.
MISPLACED = (
    ("unknown", TEXTS),
    ("unknown[x]", TEXTS),
    ("env[]", TEXTS),
    ("access.suppress_path[k]", ("/ping",)),
    ("listen.setfib", NUMBERS),
    ("listen", TEXTS),
    ("daemonize", BOOLEANS),
)
# Mistakes would make most configurations end early, so most values are taken from those that are right.
SAFE = 9


def line_of(table: tuple[tuple[str, tuple[str, ...]], ...]) -> st.SearchStrategy[str]:
    def render(row: tuple[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
        name, values = row
        good = st.sampled_from(values[: max(1, len(values) * 2 // 3)])
        value = st.integers(0, SAFE).flatmap(lambda n: good if n else st.sampled_from(values))
        form = st.sampled_from(["{} = {}", "{}={}", " {}\t=  {} ; comment", "{} = {}\r"])
        return st.tuples(form, value).map(lambda pair: pair[0].format(name, pair[1]))

    return (
        st.integers(0, 3 * SAFE).flatmap(lambda n: st.sampled_from(table if n else MISPLACED)).flatmap(render)
    )


def pool(name: str) -> st.SearchStrategy[list[str]]:
    head = [f"[{name}]", "pm = static", "pm.max_children = 9"]
    listen = st.sampled_from([f"listen = /tmp/{name}.sock", f"listen = {name.lower()}.sock", "listen = 9000"])
    body = st.lists(line_of(POOLS), max_size=5)
    return st.tuples(listen, body).map(lambda pair: [*head, pair[0], *pair[1]])


SECTIONS = st.one_of(
    pool("www"),
    pool("Www"),
    pool("b"),
    st.lists(line_of(POOLS), max_size=3).map(lambda body: ["[WWW]", *body]),
    st.lists(line_of(GLOBALS), max_size=3).map(lambda body: ["[Global]", *body]),
    st.sampled_from(
        [["include=DIR/*.conf"], ["include = DIR/d/b.inc"], ["include = DIR/*.none"], ["include = d/*.inc"]]
    ),
)
FILES = st.fixed_dictionaries(
    {
        "main": st.tuples(st.lists(line_of(GLOBALS), max_size=3), st.lists(SECTIONS, min_size=1, max_size=4)),
        "10.conf": st.tuples(st.just([]), st.lists(SECTIONS, max_size=2)),
        "9.conf": st.tuples(st.lists(line_of(POOLS), max_size=1), st.just([])),
        "d/b.inc": st.tuples(
            st.just([]), st.lists(st.just(["[in]", "listen = 1", "pm = static"]), max_size=1)
        ),
    }
)
Tree = Mapping[str, tuple[list[str], list[list[str]]]]


def put(directory: Path, files: Tree) -> Path:
    (directory / "d").mkdir()
    for name, (first, sections) in files.items():
        text = "\n".join([*first, *(line for section in sections for line in section)])
        (directory / name).write_text(text.replace("DIR", str(directory)) + "\n")
    main = directory / "main"
    main.write_text(f"error_log = {directory}/log\n{main.read_text()}")
    return main


def place_free(text: str) -> str:
    """php-fpm forgets its own line number after an include."""
    return re.sub(r"at line \d+", "at line N", text)


def php_fpm_says(file: Path, prefix: str | None) -> tuple[int, list[str]]:
    argv = [str(PHP_FPM), "-n", *(f"-d{define}" for define in DEFINES), "-tt", "-R", "-y", str(file)]
    argv += ["-p", prefix] if prefix else []
    run = subprocess.run(argv, capture_output=True, check=False, env=ENVIRON)
    text = run.stderr.decode("utf-8", "surrogateescape")
    # At the level debug the lines tell where in php-fpm they come from, and there are more of them.
    said = re.findall(r"^\[\d\d-.*?\] (?!DEBUG)(\w+: )(?:pid \d+, \w+\(\), line \d+: )?(.*)$", text, re.M)
    return run.returncode, [place_free(level + line) for level, line in said]


def kraal_says(file: Path, prefix: str | None) -> Iterator[str]:
    settings_of_php = Php(ini_path=None, ini_scan_dir=None, ini_ignore=True, defines=DEFINES)
    config = load(
        str(file),
        prefix=prefix,
        environ=ENVIRON,
        as_root=os.geteuid() == 0,
        allow_root=True,
        testing=True,
        variables=Variables(ENVIRON, settings_of_php),
    )
    for notice in config.warnings:
        if not OURS.search(notice.text):
            yield place_free(f"{notice.level.name}: {notice}")
    yield from (f"NOTICE: {line}" for line in lines(config))
    yield f"NOTICE: configuration file {file} test is successful"


@needs_php_fpm
@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES, st.sampled_from([None, "DIR", "DIR/d"]))
def test_a_random_configuration_is_understood_as_php_fpm_understands_it(
    files: Tree, prefix: str | None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = put(Path(name), files)
        start = prefix and prefix.replace("DIR", name)
        code, expected = php_fpm_says(file, start)
        said, errors = outcome(file, start)
    assert (code == 78) == bool(errors), (expected, errors)
    if errors:
        assert_told(next(line for line in expected if line.startswith(("ERROR", "ALERT"))), errors)
    else:
        assert said == expected


def outcome(file: Path, prefix: str | None) -> tuple[list[str], list[str]]:
    try:
        return list(kraal_says(file, prefix)), []
    except ConfigErrors as error:
        return [], [str(problem) for problem in error.errors]


def assert_told(first: str, errors: list[str]) -> None:
    """The mistake that php-fpm stops at is among ours; it gives a broken line only half a sentence."""
    text = re.sub(r"^\w+: (\[\S+:\d+\] )?", "", first)
    if text.startswith(("failed to load", "Unable to include")):
        assert any("syntax error" in error or "Unable" in error for error in errors), (first, errors)
    else:
        text = text.replace(" (ret=2)", "").removesuffix(".")
        assert any(text in place_free(error) for error in errors), (first, errors)
