"""What kraal is compared with beside php-fpm: mod_php, uWSGI's PHP plugin, and an answer without any PHP."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import compiled
import load
import servers
from nginx import free_port

WORKERS = int(servers.STATIC["pm.max_children"])
PACKAGES = (
    *("php8.2-fpm", "libphp8.2-embed", "php8.2-dev", "php8.2-opcache", "nginx"),
    *("apache2", "libapache2-mod-php8.2", "uwsgi-core", "uwsgi-plugin-php"),
)
_START_TIMEOUT = 15.0

_APACHE = """\
ServerRoot /etc/apache2
ServerName kraal.test
Listen 127.0.0.1:{port}
PidFile {directory}/apache.pid
ErrorLog {directory}/apache.log
{modules}
{account}
StartServers {workers}
MinSpareServers {workers}
MaxSpareServers {workers}
MaxRequestWorkers {workers}
MaxKeepAliveRequests 0
PHPIniDir {directory}
DocumentRoot {root}
<Directory {root}>
  Require all granted
  FallbackResource /index.php
  <FilesMatch "\\.php$">
    SetHandler application/x-httpd-php
  </FilesMatch>
</Directory>
"""
_MODULES = ("mpm_prefork", "authz_core", "dir", "php8.2")
_MODULE_FOLDER = Path("/usr/lib/apache2/modules")


def install() -> None:
    """Install all of them, and what they need, from Debian."""
    subprocess.run(["apt-get", "install", "-y", *PACKAGES], check=True)


def _user() -> str | None:
    return "www-data" if os.geteuid() == 0 else None


def _module(name: str) -> str:
    identity = "php" if name.startswith("php") else name
    file = "libphp8.2.so" if name.startswith("php") else f"mod_{name}.so"
    return f"LoadModule {identity}_module {_MODULE_FOLDER / file}"


@contextmanager
def mod_php(directory: Path, root: Path, scan_dir: str) -> Iterator[servers.Server]:
    """Apache with prefork, as many processes as the others have workers."""
    port, log = free_port(), directory / "apache.log"
    account = f"User {_user()}\nGroup {_user()}" if _user() else ""
    text = _APACHE.format(
        directory=directory,
        root=root,
        port=port,
        workers=WORKERS,
        account=account,
        modules="\n".join(_module(name) for name in _MODULES),
    )
    file = directory / "apache.conf"
    file.write_text(text)
    command = [_find("apache2"), "-DFOREGROUND", "-f", str(file)]
    with _running("mod_php", command, directory, scan_dir, str(port), log) as server:
        yield server


@contextmanager
def uwsgi(directory: Path, root: Path, scan_dir: str) -> Iterator[servers.Server]:
    """uWSGI, speaking HTTP itself."""
    port, log = free_port(), directory / "uwsgi.log"
    settings = {
        "plugins-dir": "/usr/lib/uwsgi/plugins",
        "plugin": "php",
        "http-socket": f"127.0.0.1:{port}",
        "http-socket-modifier1": "14",
        "workers": str(WORKERS),
        "php-docroot": str(root),
        "php-index": "index.php",
        "php-ini": f"{directory}/php.ini",
        "listen": "511" if _allows_backlog() else "100",
        "logto": str(log),
    } | ({"uid": user, "gid": user} if (user := _user()) else {})
    switches = ("--master", "--disable-logging", "--die-on-term")
    command = [_find("uwsgi"), *switches, *(f"--{key}={value}" for key, value in settings.items())]
    with _running("uwsgi", command, directory, scan_dir, str(port), log) as server:
        yield server


@contextmanager
def canned(directory: Path) -> Iterator[servers.Server]:
    """As many workers as the others have, which answer every FastCGI request with `hello` (canned.c)."""
    path, log = f"{directory}/canned.sock", directory / "canned.log"
    command = [compiled.program("canned"), path, str(WORKERS)]
    with _running("canned", command, directory, "", path, log) as server:
        yield server


def _allows_backlog() -> bool:
    return int(Path("/proc/sys/net/core/somaxconn").read_text()) >= 511


def _find(name: str) -> str:
    found = shutil.which(name, path=f"/usr/sbin:{os.environ.get('PATH', '')}")
    if not found:
        raise SystemExit(f"{name} is not installed; --install does it")
    return found


@contextmanager
def _running(
    name: str, command: list[str], directory: Path, scan_dir: str, address: str, log: Path
) -> Iterator[servers.Server]:
    log.touch()
    if user := _user():
        os.chown(log, pwd.getpwnam(user).pw_uid, -1)
    with open(directory / f"{name}.out", "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PHP_INI_SCAN_DIR": scan_dir},
            start_new_session=True,
        )
    try:
        _wait_for(process, address)
        yield servers.Server(name, address, servers.leaves(process.pid), process.pid, log)
    finally:
        servers.stop(process)


def _wait_for(process: subprocess.Popen[bytes], address: str) -> None:
    """Until it listens at a port of this machine or at a path, and has its workers."""
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), _connect(address):
            if len(servers.leaves(process.pid)) >= WORKERS:
                return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} did not start")


def _connect(address: str) -> socket.socket:
    if address.isdigit():
        return socket.create_connection(("127.0.0.1", int(address)))
    return load._connect(address)
