"""kraal and php-fpm, started from one configuration, with the processor time of their workers."""

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATIC = {"pm": "static", "pm.max_children": "4"}
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 15.0
_READY = "ready to handle connections"
# Scripts are dated back: OPcache does not keep a file that changed within the last two seconds.
_LONG_AGO = 1_700_000_000

_INI = """\
zend_extension=opcache.so
opcache.enable=1
opcache.validate_timestamps=1
opcache.jit=disable
"""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    socket: str  # its address
    workers: tuple[int, ...]
    master: int
    log: Path

    def processor_ns(self) -> int:
        """Processor time that the workers have used so far, user and kernel together."""
        return processor_ns(self.workers)

    def overseers(self) -> tuple[int, ...]:
        """The master, and all below it but the workers."""
        return (self.master, *(self.descendants().keys() - {*self.workers}))

    def times_ready(self) -> int:
        """How often it has said that it is ready: after its start, and after each reload."""
        return self.log.read_text().count(_READY)

    def descendants(self) -> dict[int, int]:
        """The parents of all processes below the master."""
        return descendants(self.master)


@dataclass(frozen=True)
class Launched:
    """A server that was started, and perhaps does not serve yet."""

    process: subprocess.Popen[bytes]
    socket: str
    log: Path
    begun: float  # monotonic seconds

    def processor_ns(self) -> int:
        """Processor time that all its processes have used so far."""
        pid = self.process.pid
        return sum(_processor_ns(each) for each in (pid, *descendants(pid)))


def commands(kraal: str | None) -> dict[str, str]:
    """Where the two programs are.  kraal is looked for beside this Python."""
    beside = str(Path(sys.executable).parent / "kraal")
    found = {
        "kraal": kraal or (beside if os.path.exists(beside) else shutil.which("kraal")),
        "php-fpm": shutil.which("php-fpm8.2", path=f"/usr/sbin:{os.environ.get('PATH', '')}"),
    }
    for name, path in found.items():
        if path is None:
            raise SystemExit(f"{name} is not installed")
    return {name: path for name, path in found.items() if path}


def php_version(command: str) -> str:
    """What the program says its PHP is."""
    shown = subprocess.run([command, "-v"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in shown.splitlines() if line.startswith("PHP "))


def write_site(directory: Path, scripts: dict[str, str]) -> None:
    """Make a folder with the scripts and the php.ini, readable by everybody."""
    directory.chmod(0o755)
    (directory / "php.ini").write_text(_INI)
    for name, code in scripts.items():
        script = directory / name
        script.write_text(code)
        script.chmod(0o644)
        os.utime(script, (_LONG_AGO, _LONG_AGO))


@contextmanager
def running(
    name: str,
    command: str,
    directory: Path,
    scan_dir: str,
    *,
    pm: Mapping[str, str] = STATIC,
    options: Mapping[str, str] | None = None,
    port: int | None = None,
    more: str = "",
) -> Iterator[Server]:
    """The server, for the time of a block.

    `pm` are the directives that say how many workers it has, `options` those of [global], `more` are
    sections beside it.  It listens on a Unix socket, or on a port.
    """
    begun = launch(name, command, directory, scan_dir, pm=pm, options=options, port=port, more=more)
    try:
        number = int(pm.get("pm.start_servers", pm["pm.max_children"]))
        # kraal's access log is written by one more process, whose time counts as well.
        number += name == "kraal" and "access.log" in pm
        number += pm.get("worker.fork") == "yes"  # and residents are forked off one more
        workers = _wait_for_workers(name, begun.process, begun.log, number)
        yield Server(name, begun.socket, workers, begun.process.pid, begun.log)
    finally:
        stop(begun.process)


def launch(
    name: str,
    command: str,
    directory: Path,
    scan_dir: str,
    *,
    pm: Mapping[str, str] = STATIC,
    options: Mapping[str, str] | None = None,
    port: int | None = None,
    more: str = "",
) -> Launched:
    """Start a server, and wait for nothing.  The arguments are those of `running`."""
    socket, log = f"127.0.0.1:{port}" if port else f"{directory}/{name}.sock", directory / f"{name}.log"
    configuration = directory / f"{name}.conf"
    configuration.write_text(_configuration(socket, log, pm, options or {}) + more)
    with open(directory / f"{name}.out", "wb") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            [*shlex.split(command), "-F", "-c", f"{directory}/php.ini", "-y", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PHP_INI_SCAN_DIR": scan_dir},
            start_new_session=True,
        )
    return Launched(process, socket, log, begun)


def _configuration(socket: str, log: Path, pm: Mapping[str, str], options: Mapping[str, str]) -> str:
    lines = [f"{directive} = {value}" for directive, value in {"error_log": str(log), **options}.items()]
    return "\n".join(["[global]", *lines]) + "\n" + section("www", socket, pm)


def section(pool: str, socket: str, directives: Mapping[str, str]) -> str:
    """A pool of the configuration; its user is www-data if there is a choice."""
    account = {}
    if os.geteuid() == 0:
        account = {"user": "www-data", "group": str(pwd.getpwnam("www-data").pw_gid)}
    settings = account | {"listen": socket, "listen.mode": "0666"} | dict(directives)
    return "".join([f"[{pool}]\n", *(f"{directive} = {value}\n" for directive, value in settings.items())])


def _wait_for_workers(name: str, process: subprocess.Popen[bytes], log: Path, number: int) -> tuple[int, ...]:
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        workers = leaves(process.pid)
        if len(workers) == number and _READY in log.read_text():
            return workers
        time.sleep(0.05)
    raise SystemExit(f"{name} did not start; its log says:\n{log.read_text() if log.exists() else ''}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def leaves(root: int) -> tuple[int, ...]:
    """The descendants that have no children themselves: the workers, under php-fpm and kraal alike."""
    found = descendants(root)
    return tuple(sorted(pid for pid in found.keys() - set(found.values()) if not _is_beside(pid)))


def _is_beside(pid: int) -> bool:
    """Whether it is a process of kraal without children that serves no requests."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").endswith((b"(nursery)", b"(front)"))
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(root: int) -> dict[int, int]:
    """The processes below this one, each with its parent."""
    parents = {int(name): _parent(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found, wave = dict[int, int](), {root}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found |= {pid: parents[pid] for pid in wave}
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def processor_ns(pids: Iterable[int]) -> int:
    """Processor time that they have used so far, user and kernel together."""
    return sum(map(_processor_ns, pids))


def _processor_ns(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except FileNotFoundError:
        # Not every kernel keeps it.  Clock ticks are coarse, but a round is long enough for them.
        utime, stime = _stat(pid)[11:13]
        return (int(utime) + int(stime)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
