"""The same file, told by php-fpm and by kraal."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kraal.config.dump import lines
from tests.unit.test_config_load import BARE, load_file, refused_file, write

PHP_FPM = shutil.which("php-fpm8.2", path="/usr/sbin:/usr/bin")
DEBIAN = Path("/etc/php/8.2/fpm/php-fpm.conf")
# What kraal says beyond php-fpm has the file and line in brackets.
OURS = re.compile(r"\(\S+:\d+\)$|^\[\S+:\d+\] ")
needs_php_fpm = pytest.mark.skipif(PHP_FPM is None, reason="php-fpm8.2 is not installed")


def php_fpm_says(file: Path) -> list[str]:
    run = subprocess.run(
        [str(PHP_FPM), "-tt", "-R", "-y", str(file)], capture_output=True, text=True, check=False
    )
    return [line[23:] if line.startswith("[") else line for line in run.stderr.splitlines() if line]


def kraal_says(file: Path) -> list[str]:
    config = load_file(file, environ=os.environ, as_root=os.geteuid() == 0, allow_root=True, testing=True)
    said = [f"{notice.level.name}: {notice}" for notice in config.warnings if not OURS.search(notice.text)]
    said += [f"NOTICE: {line}" for line in lines(config)]
    return [*said, f"NOTICE: configuration file {file} test is successful"]


@needs_php_fpm
@pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's configuration is not installed")
def test_debians_own_configuration_loads_in_silence() -> None:
    config = load_file(DEBIAN, as_root=True)

    assert [pool.name for pool in config.pools] == ["www"]
    assert config.warnings == ()


@needs_php_fpm
@pytest.mark.skipif(os.geteuid() != 0, reason="php-fpm opens its log, which takes root")
@pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's configuration is not installed")
def test_debians_own_configuration_is_dumped_as_php_fpm_dumps_it() -> None:
    assert kraal_says(DEBIAN) == php_fpm_says(DEBIAN)


CONFIGURATIONS = {
    "everything global": "log_level = Notice\ndaemonize = off\nprocess_control_timeout = 10s\n"
    "process.max = 5\n"
    "emergency_restart_threshold = 3\nemergency_restart_interval = 1m\nrlimit_core = unlimited\n"
    "rlimit_files = 512\nevents.mechanism = poll\nsyslog.facility = LOCAL3\nsyslog.ident = x\n"
    "systemd_interval = 0\nprocess.priority = -3\npid = run/x.pid\nlog_limit = 2048\nlog_buffering = no\n"
    "[w]\n" + BARE,
    "dynamic": "[w]\nlisten = 127.0.0.1:9000\nuser = 1234\ngroup = 4321\nlisten.mode = 0600\n"
    "listen.allowed_clients = 127.0.0.1,::1\npm = Dynamic\npm.max_children = 10\npm.min_spare_servers = 2\n"
    "pm.max_spare_servers = 7\npm.max_requests = 07\nlisten.owner = 7\nlisten.group = 8\n",
    "ondemand": "[w]\nlisten = sock/$pool.sock\npm = ondemand\nlisten.backlog = -5\npm.max_children = 3\n"
    "pm.process_idle_timeout = 2m\npm.start_servers = 5\npm.status_path = /s\nping.path = /p\n",
    "arrays": "[Www]\n" + BARE + "[www]\naccess.log = DIR/$pool.log\naccess.suppress_path[] = /ping\n"
    'access.suppress_path[] = /x\nenv[A] = $PATH\nenv[B] = "x ${HOME}"\nphp_flag[x] = on\n'
    "php_admin_flag[y] = none\nphp_value[error_reporting] = E_ALL & ~E_NOTICE\n"
    "php_value[error_log] = syslog\n"
    "php_admin_value[error_log] = syslog\nphp_admin_value[sendmail_path] = sendmail -t\n"
    "php_value[x$pool] = v$pool$pool\n",
    "the rest": "[w]\nprefix = DIR\nchroot = $prefix\nchdir = /sub\n" + BARE + "php_value[error_log] = x\n"
    "request_terminate_timeout = 1h\nrequest_slowlog_timeout = 5\nslowlog = slow\nrlimit_core = 5\n"
    "request_slowlog_trace_depth = 7\ncatch_workers_output = yes\ndecorate_workers_output = no\n"
    "clear_env = no\nsecurity.limit_extensions =\nping.response = unused\npm.status_listen = 9009\n"
    "process.dumpable = yes\nrequest_terminate_timeout_track_finished = 1\nprocess.priority = 5\n",
    "line ends": "\ufeff[w]\r\nlisten = 9 ; x\r\n\r\npm = static\r\npm.max_children = 5",
    "unmatched include": "include = DIR/*.none\n[w]\n" + BARE,
}


@needs_php_fpm
@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_dumped_as_php_fpm_dumps_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    text = f"error_log = {tmp_path}/log\n".join(["", CONFIGURATIONS[name].replace("DIR", str(tmp_path))])
    if text.count("\ufeff"):
        text = "\ufeff" + text.replace("\ufeff", "")
    file = write(tmp_path / "f.conf", text)

    assert kraal_says(file) == php_fpm_says(file)


REFUSED = {
    "unknown user": "[unconfined]\nuser = aaaaaa\n" + BARE,
    "unknown group": "[unconfined]\ngroup = aaaaaa\n" + BARE,
    "log limit": "log_limit = 64\n[w]\n" + BARE,
    "key of php_value": "[w]\n" + BARE + "php_value[] = E_ALL\n",
    "suppressed path": "[w]\n" + BARE + "access.suppress_path[] = ping\n",
    "key of suppressed path": "[w]\n" + BARE + "access.suppress_path[a] = /ping\n",
    "no pool": "",
    "array in global": "env[x] = 1\n",
}


@needs_php_fpm
@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_told_in_the_words_of_php_fpm(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "f.conf", f"error_log = {tmp_path}/log\n" + REFUSED[name])

    errors = refused_file(file, as_root=True, allow_root=True, testing=True)

    assert f"ERROR: {errors[0]}" == php_fpm_says(file)[0]
