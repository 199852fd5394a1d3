"""The commands of docs/installing.md do what the page says, in an overlay of the machine."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fastcgi import Connection, cgi_params, packet
from tests.support.sandbox import CHECKOUT, Sandbox, sandbox
from tests.support.wait import wait_until
from tests.support.workspace import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT, reason="only root may install services"),
    pytest.mark.skipif(
        not Path("/usr/sbin/php-fpm8.2").exists(), reason="Debian's php8.2-fpm is not installed"
    ),
]

PAGE = (CHECKOUT / "docs/installing.md").read_text()
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# They take a network, or minutes; `test_install` has pip build what stands here.
_NOT_RUN = re.compile(r"^(apt-get|podman|\./start|\S*/pip install|\S+ -m venv) .*\n", re.MULTILINE)
_VERIFY = re.compile(r"^systemd-analyze .*\n", re.MULTILINE)
_SOCKET = "/run/php/php8.2-fpm.sock"
# Says which server runs it, by the title of the process.
_WHO = "<?php echo strtok(file_get_contents('/proc/self/cmdline'), ':');"
_CLEAR = """
for file in /etc/systemd/system/kraal*; do [ ! -e "$file" ] || systemctl disable --now "${file##*/}"; done
systemctl disable --now php8.2-fpm
rm -rf /etc/systemd/system/kraal* /etc/kraal /opt/kraal /etc/php/8.2/fpm
rm -rf /run/php/* /var/log/php8.2-fpm.* /var/log/kraal.log
cp -a /srv/fpm /etc/php/8.2
"""


def sections() -> dict[str, str]:
    """The titles of the page with what stands below each."""
    _, *parts = re.split(r"^##+ (.*)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def commands(title: str) -> list[str]:
    """The commands of a section, a script for each block."""
    found = [textwrap.dedent(text) for _, text in _BLOCK.findall(sections()[title])]
    scripts = [_NOT_RUN.sub("", text) for text in found]
    return scripts if shutil.which("systemd-analyze") else [_VERIFY.sub("", text) for text in scripts]


class Host(Sandbox):
    """A machine with Debian's php-fpm, which runs, and kraal in /opt/kraal."""

    def follow(self, title: str) -> str:
        """Run the commands of a section.  Gives what they print; each of them has to succeed."""
        said = ""
        for script in commands(title):
            done = self.run(script)
            said += done.stdout
            assert done.returncode == 0, f"{script}\n{said}\n{self.outputs()}"
        return said

    def outputs(self) -> str:
        """What services have printed."""
        return "".join(file.read_text() for file in (self.root / "run/units").glob("*.out"))

    def who(self, address: str = _SOCKET) -> str:
        """Ask for a page; gives the server that has made it."""
        with Connection(f"{self.root}{address}") as connection:
            connection.send(packet(cgi_params("/srv/site", "/who.php"), keep=False))
            return connection.response().text


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    """A sandbox for all tests of the file."""
    with sandbox() as made:
        host = Host(made.process)
        (host.root / "srv/site").mkdir()
        (host.root / "srv/site/who.php").write_text(_WHO)
        command = host.root / "usr/local/sbin/systemctl"
        command.write_text(f'#!/bin/sh\nexec /usr/bin/python3 {CHECKOUT}/tests/support/systemctl.py "$@"\n')
        command.chmod(0o755)
        # What tmpfiles.d makes when the machine starts.
        done = host.run("install -d -o www-data -g www-data /run/php && cp -a /etc/php/8.2/fpm /srv")
        assert done.returncode == 0, done.stdout
        yield host


@pytest.fixture
def host(machine: Host) -> Iterator[Host]:
    """The machine as it is before kraal comes, but for its programs."""
    programs = machine.root / "opt/kraal/bin"
    programs.mkdir(parents=True)
    (programs / "kraal").symlink_to(Path(sys.prefix) / "bin/kraal")
    done = machine.run("systemctl enable --now php8.2-fpm")
    assert done.returncode == 0, done.stdout + machine.outputs()
    assert machine.who() == "php-fpm"
    yield machine
    done = machine.run(_CLEAR)
    assert done.returncode == 0, done.stdout + machine.outputs()


def test_every_section_has_commands_that_are_run_or_known() -> None:
    for title in sections():
        assert _BLOCK.search(sections()[title]), title
    assert "".join(commands("From the source")) == "/opt/kraal/bin/kraal -v\n"


def test_kraal_takes_the_place_of_php_fpm_and_gives_it_back(host: Host) -> None:
    assert "PHP 8." in host.follow("From the source")
    said = host.follow("Instead of php-fpm")
    assert "test is successful" in said
    assert re.search(r"^www +answers", said, re.MULTILINE)
    assert host.who() == "kraal"
    assert host.run("readlink -f /run/php/php-fpm.sock").stdout == f"{_SOCKET}\n"
    log = host.root / "var/log/php8.2-fpm.log"
    log.rename(log.with_suffix(".old"))
    assert host.run("/usr/lib/php/php8.2-fpm-reopenlogs").returncode == 0
    wait_until(log.exists, what="the log is opened again, as logrotate has it")
    host.follow("Upgrading")
    assert host.who() == "kraal"
    host.follow("Going back")
    assert host.who() == "php-fpm"


def test_starting_php_fpm_stops_kraal(host: Host) -> None:
    host.follow("Instead of php-fpm")
    assert host.run("systemctl start php8.2-fpm").returncode == 0
    assert host.who() == "php-fpm"


def test_reload_fails_and_changes_nothing_with_a_wrong_configuration(host: Host) -> None:
    host.follow("Instead of php-fpm")
    pool = host.root / "etc/php/8.2/fpm/pool.d/www.conf"
    pool.write_text(pool.read_text() + "pm.max_children = none\n")
    done = host.run("systemctl reload kraal")
    assert done.returncode != 0
    assert "www.conf" in done.stdout
    assert host.who() == "kraal"


def test_php_fpm_names_the_directive_of_kraal_s_own(host: Host) -> None:
    pool = host.root / "etc/php/8.2/fpm/pool.d/www.conf"
    pool.write_text(pool.read_text() + "queue.max_length = 10\n")
    done = host.run("php-fpm8.2 -t")
    assert done.returncode != 0
    assert f"www.conf:{len(pool.read_text().splitlines())}] unknown entry 'queue.max_length'" in done.stdout


def test_first_connection_to_the_socket_of_systemd_starts_kraal(host: Host) -> None:
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("systemd is not installed")
    host.follow("Sockets from systemd")
    assert host.who() == "kraal"
    assert host.run("systemctl disable --now kraal.socket kraal").returncode == 0
    assert not (host.root / _SOCKET[1:]).exists()


def test_both_serve_beside_each_other(host: Host) -> None:
    *first, last = commands("Beside php-fpm")
    for script in first:
        done = host.run(script)
        assert done.returncode == 0, done.stdout + host.outputs()
    assert (host.who(), host.who("/run/kraal/www.sock")) == ("php-fpm", "kraal")
    assert last == "systemctl disable --now kraal-beside\n"
    assert host.run(last).returncode == 0
    assert host.who() == "php-fpm"
    assert not (host.root / "run/kraal/www.sock").exists()


def test_uninstalling_leaves_nothing_but_logs(host: Host) -> None:
    before = files(host)
    host.follow("Instead of php-fpm")
    host.follow("Uninstalling")
    assert host.who() == "php-fpm"
    assert {path for path in before if path.startswith("/opt/kraal")} == before - files(host)
    assert {path for path in files(host) - before if not path.startswith("/var/log/")} == set()


def files(host: Host) -> set[str]:
    """Where kraal may have left something."""
    done = host.run("find /etc /opt /run/php /srv /usr/local /var -path /var/lib/dpkg -prune -o -print")
    assert done.returncode == 0, done.stdout
    return set(done.stdout.splitlines())
