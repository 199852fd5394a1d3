"""Pools with different versions of PHP under one master, where kraal is built for more than one."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraal.php import paths
from tests.support.fastcgi import Connection, packet
from tests.support.reloads import Clients, configure, reload
from tests.support.residents import application
from tests.support.servers import FpmServer, configuration, executable
from tests.support.wait import wait_until
from tests.support.workspace import workspace

OTHERS = [version for version in paths.BUILDS if version != paths.DEFAULT.version]
several = pytest.mark.skipif(
    not OTHERS, reason="kraal is built for one version of PHP only (see docs/php-versions.md)"
)
OTHER = OTHERS[0] if OTHERS else ""
LONG = 30

FACTS = """
preg_match_all('~/libphp[0-9.]*\\.so~', file_get_contents('/proc/self/maps'), $found);
echo json_encode([
    'version' => PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION,
    'sapi' => PHP_SAPI,
    'ini' => php_ini_loaded_file(),
    'scanned' => php_ini_scanned_files(),
    'libraries' => array_values(array_unique($found[0])),
    'hits' => opcache_get_status()['scripts'][__FILE__]['hits'] ?? -1,
]);
"""


SLOW = """function hold() { fgets(fopen($_GET['gate'], 'r')); }
function deep($n) { $n ? deep($n - 1) : hold(); }
deep(1);
"""


@pytest.fixture
def server() -> Iterator[FpmServer]:
    with workspace() as directory:
        more = {"other": pool(directory)}
        started = FpmServer.start(
            "kraal", directory, more=more, pool={"php_admin_value[opcache.enable]": "1"}
        )
        try:
            yield started
        finally:
            started.stop()


def pool(directory: Path, version: str = OTHER) -> dict[str, str]:
    return {
        "php.version": version,
        "request_slowlog_timeout": "1s",
        "slowlog": f"{directory}/slow.log",
        "php_admin_value[opcache.enable]": "1",
    }


def ask(server: FpmServer, uri: str, name: str | None = None) -> dict[str, object]:
    """What a script says of the PHP that a pool runs, www if none is named."""
    address = f"{server.directory}/{name}.sock" if name else server.address
    with Connection(address, timeout=LONG) as connection:
        connection.send(packet(server.params(uri)))
        response = connection.response()
    found: dict[str, object] = json.loads(response.body)
    return found


@several
def test_each_pool_runs_its_version_with_its_ini_files_and_opcache(server: FpmServer) -> None:
    uri = server.script("facts.php", FACTS)
    for name, version in ((None, paths.DEFAULT.version), ("other", OTHER)):
        for _ in range(2):
            facts = ask(server, uri, name)
        assert facts["version"] == version
        assert facts["sapi"] == "fpm-fcgi"
        assert facts["libraries"] == [f"/{paths.BUILDS[version].libphp}"]
        assert f"/etc/php/{version}/" in f"{facts['ini']} {facts['scanned']}"
        assert facts["hits"] != -1, "it is in OPcache"


@several
def test_master_maps_no_php_at_all(server: FpmServer) -> None:
    assert "libphp" not in Path(f"/proc/{server.pid}/maps").read_text()


@several
def test_slow_log_and_trace_read_the_frames_of_the_other_version(server: FpmServer) -> None:
    gate = server.root / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    uri = server.script("slow.php", SLOW)
    slow = server.directory / "slow.log"
    with Connection(f"{server.directory}/other.sock", timeout=LONG) as connection:
        connection.send(packet(server.params(f"{uri}?gate={gate}")))
        wait_until(lambda: "deep()" in slow.read_text(), at_most=LONG, what="it is in the slow log")
        argv = [*executable("kraal"), "trace", "--pool", "other", "-y", str(server.directory / "fpm.conf")]
        traced = subprocess.run(argv, capture_output=True, text=True, check=False)
        with gate.open("w") as writer:
            writer.write("\n")
        connection.response()
    script = f"{server.root}/slow.php"
    frames = [line.split("] ", 1)[1] for line in slow.read_text().splitlines() if line.startswith("[0x")]
    calls = ("fopen", 2), ("hold", 3), ("deep", 3), ("deep", 4)
    assert frames == [f"{function}() {script}:{line}" for function, line in calls]
    assert "deep" in traced.stdout, traced


@several
def test_reload_moves_a_pool_to_another_version_and_loses_no_request(server: FpmServer) -> None:
    uri = server.script("facts.php", FACTS)
    assert ask(server, uri, "other")["version"] == OTHER
    configure(server, more={"other": pool(server.directory, paths.DEFAULT.version)})
    with Clients(server, server.script("again.php", "echo 'again';"), keep=False).asking(1) as clients:
        clients.wait(1)
        reload(server)
        clients.wait(1)
    assert not clients.lost
    assert ask(server, uri, "other")["version"] == paths.DEFAULT.version


@several
@pytest.mark.parametrize("fork", ["no", "yes"])
def test_worker_script_stays_loaded_in_the_other_version(fork: str) -> None:
    with application(number=1, pool={"php.version": OTHER, "worker.fork": fork}) as app:
        facts = [app.run("echo PHP_VERSION, ' ', getmypid();").body.split() for _ in range(3)]
        residents = app.residents()
    assert {version.rpartition(b".")[0].decode() for version, _pid in facts} == {OTHER}
    assert {int(pid) for _version, pid in facts} == residents


def test_version_that_is_not_built_is_refused_with_its_line(directory: Path) -> None:
    file = directory / "fpm.conf"
    file.write_text(configuration(directory, f"{directory}/fpm.sock", pool={"php.version": "5.6"}))
    done = subprocess.run(
        [*executable("kraal"), "-t", "-y", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    sentence = f"kraal is not built for PHP '5.6', only for {', '.join(paths.BUILDS)} ({file}:"
    assert sentence in done.stderr
