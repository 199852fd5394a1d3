"""Listening sockets: Unix and TCP, with owner, mode and backlog."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from kraal.errors import StartError
from kraal.fields import Frozen, field
from kraal.unix.acl import Acl, grant, revoke

# As large as the kernel's net.core.somaxconn allows: it cuts the number itself.
LARGEST_BACKLOG = 2**31 - 1


class TakenError(StartError):
    """Somebody else listens there now."""


class OwnershipError(StartError):
    """A socket file cannot be given to whom the pool says; php-fpm names the pool in such errors."""


class Ownership(Frozen):
    """Of a socket file; -1 leaves user or group as they are, and with an ACL they are not touched."""

    uid: int = -1
    gid: int = -1
    mode: int = 0o660
    acl: Acl = field(default_factory=Acl)


class Place(Frozen):
    """A resolved address to listen on."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]

    @property
    def host(self) -> str:
        """The address in figures, without the name of an interface."""
        return self.address[0].partition("%")[0]

    @property
    def key(self) -> str:
        """The one spelling of a place, which is php-fpm's: without brackets around IPv6."""
        return f"{self.host}:{self.address[1]}"


class Listener(Frozen):
    """An open socket; if it is `ours`, its file goes when we go."""

    socket: socket.socket
    key: str
    ours: bool = True
    # Of the socket file.  If somebody put another one in its place, that is not ours to remove.
    identity: tuple[int, int] | None = None
    # Descriptors that the pool's workers share, also with those of the next generation; see boot.Descriptor.
    shared: tuple[int, ...] = ()

    def close(self) -> None:
        """Stop listening, and remove the socket file."""
        if self.ours:
            self.remove_file()
        self.socket.close()
        for fd in self.shared:
            os.close(fd)

    @property
    def is_lost(self) -> bool:
        """Whether nobody can connect any more: the file is gone, or another one by now."""
        return self.identity is not None and _identity(self.key) != self.identity

    def remove_file(self) -> None:
        """Remove the socket file, unless it is another one by now."""
        if self.identity is None or self.is_lost:
            return
        try:
            os.unlink(self.key)
        except OSError:
            return  # the folder is not ours, or is gone: the next start finds a stale socket at most


def describe(listening: socket.socket) -> str:
    """The key of a socket, as the kernel knows it."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return "@" + text[1:] if text.startswith("\0") else text
    return f"{name[0].partition('%')[0]}:{name[1]}"


def opened(listening: socket.socket, key: str, *, ours: bool = True) -> Listener:
    """Make a listener of an open socket."""
    return Listener(listening, key, ours, _identity(key) if listening.family == socket.AF_UNIX else None)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def _reason(error: OSError) -> str:
    return f"{os.strerror(error.errno)} ({error.errno})" if error.errno else str(error)


def _bind_error(address: str, error: OSError, hint: str = "") -> StartError:
    return StartError(f"unable to bind listening socket for address '{address}': {_reason(error)}{hint}")


# ------------------------------------------------------------ Unix


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on, or a link that leads to none; refuse a live one."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not (stat.S_ISSOCK(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return  # bind() will say that the address is in use
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except FileNotFoundError:
            _unlink_if_there(path)  # a link to nothing
            return
        except ConnectionRefusedError:
            # Said of a link to a plain file as well, and that link may be there for a reason.
            if _leads_to_socket(path):
                _unlink_if_there(path)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                raise
    raise TakenError(f"Another FPM instance seems to already listen on {path}")


def _leads_to_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def _unlink_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _what_is_there(path: str) -> str:
    """Say what php-fpm would remove, or stumble over, in the place of a socket."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISDIR(mode):
        return ": there is a directory of that name"
    return "" if stat.S_ISSOCK(mode) else ": there is a file of that name that is no socket"


def open_unix(path: str, backlog: int, ownership: Ownership) -> Listener:
    """Listen on a socket file.

    Raises StartError: TakenError if somebody listens there, OwnershipError if it is about owners.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode holds from the first moment: between bind and chmod anybody could connect.
    before = os.umask(0o777 & ~ownership.mode)
    try:
        _remove_stale(path)
        listening.bind(path)
    except OSError as error:
        listening.close()
        hint = _what_is_there(path) if error.errno == errno.EADDRINUSE else ""
        raise _bind_error(path, error, hint) from error
    except StartError:
        listening.close()
        raise
    finally:
        os.umask(before)
    made = opened(listening, path)
    try:
        with _held(made) as file:
            if file is None:
                raise OwnershipError(f"the socket '{path}' was taken away or exchanged while it was made")
            _hand_over(file, ownership, path)
        _listen(listening, backlog, path)
    except StartError:
        made.close()
        raise
    return made


def adjust(listener: Listener, backlog: int, ownership: Ownership | None) -> None:
    """Change a listener that is in use; the ownership is that of a socket file.  Raises StartError."""
    _listen(listener.socket, backlog, listener.key)
    if ownership is None or not listener.ours:
        return
    with _held(listener) as file:
        if file is None:
            return
        try:
            if ownership.acl:
                grant(file, ownership.acl, ownership.mode, shown=listener.key)
            else:
                revoke(file)
                os.chmod(file, ownership.mode)
                _hand_over(file, ownership, listener.key)
        except OSError as error:
            raise OwnershipError(
                f"failed to chmod() the socket '{listener.key}': {_reason(error)}"
            ) from error


@contextmanager
def _held(listener: Listener) -> Iterator[str | None]:
    """A name for the socket file as long as this lasts; None if that is lost.

    Its folder may be in the hands of the pool's user, who would like the owner or the mode of another file
    changed: whatever he puts in the place of the socket now, even a link, is not what the name means.
    """
    try:
        fd = os.open(listener.key, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(fd)
        yield f"/proc/self/fd/{fd}" if (found.st_dev, found.st_ino) == listener.identity else None
    finally:
        os.close(fd)


def _hand_over(file: str, ownership: Ownership, path: str) -> None:
    if ownership.acl:
        try:
            grant(file, ownership.acl, shown=path)
        except StartError as error:
            raise OwnershipError(str(error)) from error
        return
    if (ownership.uid, ownership.gid) == (-1, -1):
        return
    try:
        os.chown(file, ownership.uid, ownership.gid)
    except OSError as error:
        raise OwnershipError(f"failed to chown() the socket '{path}': {_reason(error)}") from error


# ------------------------------------------------------------ TCP


def resolve(host: str, port: int) -> list[Place]:
    """Everything that a host stands for, each place once, in the system's order.  Raises StartError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "Name or service not known"
        raise StartError(f"getaddrinfo: {reason}: '{host}:{port}'") from error
    # Python without IPv6 gives its addresses as (int, bytes), which nobody could bind to.
    places = [Place(family, address) for family, _t, _p, _n, address in found if isinstance(address[0], str)]
    return list(dict.fromkeys(places))


def open_tcp(place: Place, backlog: int, shown: str) -> Listener:
    """Listen on a port; errors speak of the address as `shown`.

    Raises StartError: TakenError if somebody listens there.
    """
    try:
        listening = socket.socket(place.family, socket.SOCK_STREAM)
    except OSError as error:  # a kernel without IPv6
        raise StartError(f"failed to create new listening socket: socket(): {_reason(error)}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it, so it costs nothing per request.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(place.address)
        _listen(listening, backlog, shown)
    except OSError as error:
        listening.close()
        failure = _bind_error(shown, error)
        raise TakenError(str(failure)) if error.errno == errno.EADDRINUSE else failure from error
    except StartError:
        listening.close()
        raise
    return Listener(listening, describe(listening))


def _listen(listening: socket.socket, backlog: int, shown: str) -> None:
    # Several workers are woken by one connection now and then: the late ones must not block in accept.
    listening.setblocking(False)
    try:
        listening.listen(min(backlog, LARGEST_BACKLOG) if backlog >= 0 else LARGEST_BACKLOG)
    except OSError as error:
        raise StartError(f"failed to listen to address '{shown}': {_reason(error)}") from error
