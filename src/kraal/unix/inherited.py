"""Listening sockets that our parent opened: systemd's LISTEN_FDS, and FPM_SOCKETS of a php-fpm before us.

`passed` reads the variables and nothing else; `adopt` looks at the descriptors.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from enum import Enum, auto

from kraal.fields import Frozen
from kraal.unix.listener import Listener, describe, opened

_FIRST = 3  # SD_LISTEN_FDS_START
# As many as php-fpm reads, each with up to 128 sockets; systemd's sockets are numbered, not listed.
_MAX_SETS = 256
_MAX_SYSTEMD = 65536
# Lazy, so that a path may have commas and equals signs in it.
_ITEM = re.compile(r"(.+?)=(\d{1,7})(?:,|$)", re.DOTALL)
_VARIABLES = re.compile(
    r"LISTEN_(?:PID|FDS|FDNAMES)|FPM_SOCKETS(?:_\d+)?|NOTIFY_SOCKET|WATCHDOG_(?:USEC|PID)"
    r"|KRAAL_(?:TASK|INHERITANCE)"
)


class Giver(Enum):
    """Who opened a socket."""

    SYSTEMD = auto()  # goes on listening when we leave; the file is not ours to remove
    FPM = auto()  # executed us in its place
    MASTER = auto()  # goes on listening until we have taken over, or for good if we cannot


class Passed(Frozen):
    """What the environment says about one descriptor."""

    fd: int
    giver: Giver
    address: str | None = None  # php-fpm's
    name: str | None = None  # systemd's FileDescriptorName


def passed(environ: Mapping[str, str], pid: int) -> tuple[Passed, ...]:
    """All that was passed to the process with this id, each descriptor once."""
    found = {each.fd: each for each in (*_from_fpm(environ), *_from_systemd(environ, pid))}
    return tuple(found.values())


def without(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for those whom neither the sockets nor systemd concern."""
    return {name: value for name, value in environ.items() if not _VARIABLES.fullmatch(name)}


def _from_fpm(environ: Mapping[str, str]) -> Iterator[Passed]:
    for number in range(_MAX_SETS):
        text = environ.get(f"FPM_SOCKETS_{number}" if number else "FPM_SOCKETS")
        if text is None:
            return
        for address, fd in _ITEM.findall(text):
            yield Passed(int(fd), Giver.FPM, address=address)


def _from_systemd(environ: Mapping[str, str], pid: int) -> Iterator[Passed]:
    if environ.get("LISTEN_PID") != str(pid):
        return  # meant for another process
    count = environ.get("LISTEN_FDS", "")
    if not re.fullmatch(r"[0-9]{1,6}", count):
        return
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for index in range(min(int(count), _MAX_SYSTEMD)):
        name = names[index] if index < len(names) else ""
        yield Passed(_FIRST + index, Giver.SYSTEMD, name=name or None)


class Inherited(Frozen):
    """A socket that was passed and does listen."""

    listener: Listener
    giver: Giver
    name: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What it may be asked for by: /var/run and /run are one folder."""
        key = self.listener.key
        return (key, os.path.realpath(key)) if key.startswith("/") else (key,)

    def __str__(self) -> str:
        return f'fd={self.listener.socket.fileno()}, "{self.listener.key}"'


def adopt(each: Passed) -> Inherited | None:
    """Take a descriptor over; None if it is no listening socket, and not touched then."""
    try:
        copy = socket.socket(fileno=each.fd)
    except OSError:
        return None
    try:
        family, kind = copy.family, copy.type
        listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        listens = 0
    if not listens or kind != socket.SOCK_STREAM or not _is_known(family):
        copy.detach()
        return None
    copy.set_inheritable(False)
    copy.setblocking(False)
    if family != socket.AF_UNIX:
        copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = each.address or describe(copy)
    return Inherited(opened(copy, key, ours=each.giver is Giver.FPM), each.giver, each.name)


def _is_known(family: int) -> bool:
    return family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
