"""A stand-in for systemctl where no systemd runs: it does what our units and php-fpm's say.

Run inside of a sandbox (`sandbox`).  It starts and stops services of Type=notify and knows their commands,
conflicts and folders; sockets are opened by systemd's own systemd-socket-activate.  Nothing else that a unit
asks for is done.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
STATE = Path("/run/units")
PATIENCE = 60.0


class Unit:
    """A unit file, and the process that was started for it."""

    def __init__(self, name: str) -> None:
        self.name = name if name.endswith((".service", ".socket")) else f"{name}.service"
        files = [folder / self.name for folder in UNITS]
        self.text = next((file for file in files if file.exists()), files[0]).read_text()
        self.pid_file = STATE / f"{self.name}.pid"

    def values(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)

    def value(self, key: str, default: str = "") -> str:
        return next(iter(self.values(key)), default)

    @property
    def pid(self) -> int | None:
        """Its main process, if that lives."""
        try:
            pid = int(self.pid_file.read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return None if state == "Z" else pid


def wait(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            sys.exit(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.01)


def run(unit: Unit, key: str) -> None:
    """Its commands of one kind; those with a minus in front may fail."""
    for written in unit.values(key):
        prefix, words = re.match(r"([-+]*)(.*)", written).groups()  # type: ignore[union-attr]
        argv = shlex.split(words.replace("$MAINPID", str(unit.pid)))
        if subprocess.run(argv, check=False).returncode and "-" not in prefix:
            sys.exit(f"{unit.name}: {key} has failed")


def start(unit: Unit) -> None:
    if unit.pid is not None:
        return
    for other in conflicting(unit):
        stop(other)
    STATE.mkdir(exist_ok=True)
    if unit.name.endswith(".socket"):
        listen(unit)
        return
    for folder in unit.values("RuntimeDirectory"):
        Path("/run", folder).mkdir(exist_ok=True)
    run(unit, "ExecStartPre")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        place = STATE / f"{unit.name}.notify"
        place.unlink(missing_ok=True)
        notified.bind(str(place))
        notified.setblocking(False)
        begin(unit, shlex.split(unit.value("ExecStart")), NOTIFY_SOCKET=str(place))
        wait(lambda: is_ready(notified) or unit.pid is None, f"{unit.name} is ready")
    if unit.pid is None:
        sys.exit(f"{unit.name} has ended")
    run(unit, "ExecStartPost")


def conflicting(unit: Unit) -> Iterator[Unit]:
    """Units that it cannot run beside, in whichever of the two that is said."""
    names = {path.name for folder in UNITS[:1] for path in folder.glob("kraal*.s*")} | {"php8.2-fpm.service"}
    for other in map(Unit, sorted(names - {unit.name})):
        if other.name in unit.values("Conflicts") or unit.name in other.values("Conflicts"):
            yield other


def is_ready(notified: socket.socket) -> bool:
    try:
        return b"READY=1" in notified.recv(4096)
    except BlockingIOError:
        return False


def begin(unit: Unit, argv: list[str], **environ: str) -> None:
    output = (STATE / f"{unit.name}.out").open("ab")
    process = subprocess.Popen(
        argv,
        env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    unit.pid_file.write_text(str(process.pid))


def listen(unit: Unit) -> None:
    """Open the socket; the service starts with the first who connects."""
    service, path = Unit(unit.value("Service")), unit.value("ListenStream")
    run(service, "ExecStartPre")
    name = f"--fdname={unit.value('FileDescriptorName')}"
    begin(unit, ["systemd-socket-activate", "-l", path, name, *shlex.split(service.value("ExecStart"))])
    wait(Path(path).is_socket, f"{path} is there")
    Path(path).chmod(int(unit.value("SocketMode"), 8))


def stop(unit: Unit) -> None:
    if (pid := unit.pid) is not None:
        os.kill(pid, signal.Signals[unit.value("KillSignal", "SIGTERM")])
        wait(lambda: unit.pid is None, f"{unit.name} has ended")
        run(unit, "ExecStopPost")
    if unit.value("RemoveOnStop"):
        Path(unit.value("ListenStream")).unlink(missing_ok=True)


def main(arguments: list[str]) -> None:
    command, *rest = (word for word in arguments if word != "--now")
    units = [Unit(name) for name in rest]
    match command:
        case "daemon-reload":
            assert not rest
        case "enable" | "start":
            for unit in units if command == "start" or "--now" in arguments else ():
                start(unit)
        case "disable" | "stop":
            for unit in units if command == "stop" or "--now" in arguments else ():
                stop(unit)
        case "reload":
            for unit in units:
                if unit.pid is None:
                    sys.exit(f"{unit.name} does not run")
                run(unit, "ExecReload")
        case _:
            sys.exit(f"what is {command}?")


if __name__ == "__main__":
    main(sys.argv[1:])
