"""A MariaDB of our own on a unix socket."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes
from tests.support.servers import reachable
from tests.support.wait import wait_until
from tests.support.workspace import ROOT, give


@dataclass(frozen=True, slots=True)
class MariaDB:
    socket: Path

    def run(self, statements: str) -> None:
        argv = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot"]
        subprocess.run(argv, input=statements, text=True, check=True, capture_output=True)

    def create(self, name: str) -> None:
        """Make an empty database whose user and password are its name."""
        self.run(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4;"
            f"CREATE USER '{name}'@'localhost' IDENTIFIED BY '{name}';"
            f"GRANT ALL ON {name}.* TO '{name}'@'localhost';"
        )


_PLAIN_ROOT = "--auth-root-authentication-method=normal"


@contextmanager
def mariadb(directory: Path) -> Iterator[MariaDB]:
    """Start quickly and forget everything: what it stores need not outlive a crash."""
    tables = directory / "mysql"
    tables.mkdir()
    user = []
    if ROOT:
        give(tables, "mysql")
        user = ["--user=mysql"]
    common = ["--no-defaults", *user, f"--datadir={tables}"]
    subprocess.run(
        # --force: without looking up the name of the host, which need not have an address.
        ["mariadb-install-db", *common, "--force", "--skip-test-db", _PLAIN_ROOT],
        check=True,
        capture_output=True,
    )
    database = MariaDB(tables / "mysql.sock")
    log = directory / "mysql.log"
    with log.open("wb") as output:
        process = processes.spawn(
            [
                "/usr/sbin/mariadbd",
                *common,
                f"--socket={database.socket}",
                f"--pid-file={tables}/mysql.pid",
                "--skip-networking",
                "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=64M",
                "--performance-schema=OFF",
            ],
            output=output,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or reachable(str(database.socket)),
            at_most=60,
            what="MariaDB is up",
        )
        assert process.poll() is None, log.read_text()
        tables.chmod(0o755)
        yield database
    finally:
        processes.end(process, signal.SIGTERM, at_most=30)
