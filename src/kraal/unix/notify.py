"""What systemd wants to hear of a service, in the protocol of sd_notify(3)."""

import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


def ready(environ: Mapping[str, str], status: str) -> None:
    """It serves, after a start or a reload."""
    _send(environ, "READY=1", f"STATUS={status}")


def reloading(environ: Mapping[str, str]) -> None:
    """It reloads."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    _send(environ, "RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reloading")


def stopping(environ: Mapping[str, str]) -> None:
    """It is about to end."""
    _send(environ, "STOPPING=1", "STATUS=Stopping")


def status(environ: Mapping[str, str], text: str) -> None:
    """How things are."""
    _send(environ, f"STATUS={text}")


def alive(environ: Mapping[str, str]) -> None:
    """It is not stuck."""
    _send(environ, "WATCHDOG=1")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether anybody wants to hear."""
    return bool(environ.get("NOTIFY_SOCKET"))


def watchdog(environ: Mapping[str, str], pid: int) -> float:
    """The seconds within which this process has to say that it is alive; 0: it need not."""
    text, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    return int(text) / 1e6 if re.fullmatch(r"[0-9]{1,18}", text) and whose == str(pid) else 0.0


def _send(environ: Mapping[str, str], *lines: str) -> None:
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # Who does not listen hears nothing, and nobody waits for who is slow.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        name = "\0" + address[1:] if address.startswith("@") else address
        line.sendto("\n".join(lines).encode("utf-8", "replace"), socket.MSG_DONTWAIT, name)
