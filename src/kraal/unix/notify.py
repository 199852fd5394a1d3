"""What systemd wants to hear of a service, in the protocol of sd_notify(3)."""

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


def _send(environ: Mapping[str, str], *lines: str) -> None:
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # Who does not listen hears nothing, and nobody waits for who is slow.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        name = "\0" + address[1:] if address.startswith("@") else address
        line.sendto("\n".join(lines).encode("utf-8", "replace"), socket.MSG_DONTWAIT, name)
