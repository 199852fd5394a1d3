"""The master's listening sockets: one per pool, inherited where possible, opened otherwise.

How a socket is opened is in `unix.listener`, what was passed to us in `unix.inherited`.
"""

import grp
import os
import pwd
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kraal.config.address import TcpAddress, UnixAddress
from kraal.config.model import Pool
from kraal.errors import StartError
from kraal.fields import replace
from kraal.logs.error import ErrorLog
from kraal.reload.estate import Socket
from kraal.unix import handoff, queue
from kraal.unix.acl import Acl
from kraal.unix.inherited import Giver, Inherited, Passed, adopt
from kraal.unix.listener import (
    Listener,
    Ownership,
    OwnershipError,
    Place,
    TakenError,
    adjust,
    open_tcp,
    open_unix,
    resolve,
)

# Among the shared descriptors of a listener; see boot.Descriptor.
_TAKE = 2
_PAIR = 2
_AGAIN = 0.01
_FALLBACK = "Failed implicitly binding to ::, retrying with 0.0.0.0"

_WITHOUT_RESIDENTS = 3


class Listeners:
    """The one owner of the sockets."""

    def __init__(self, log: ErrorLog) -> None:
        self._log = log
        self._open: dict[str, Listener] = {}
        self._inherited: list[Inherited] = []
        self._deadline = 0.0

    def descriptors(self, pool: str) -> tuple[int, ...]:
        """Of a pool's socket, and of what its workers share."""
        return self._open[pool].socket.fileno(), *self._open[pool].shared

    def doors(self, pool: str) -> tuple[int, ...]:
        """Of what can be read when somebody comes: a new connection, or one that workers give away."""
        shared = self._open[pool].shared
        return self._open[pool].socket.fileno(), *shared[_TAKE::_PAIR]

    def open(self, pools: Sequence[Pool], passed: Iterable[Passed] = (), *, patience: float = 0.0) -> None:
        """Have a socket for each of these, and close what was passed for none.

        `patience` are the seconds after which an address that somebody has is taken for his to keep.
        Raises StartError.
        """
        self._deadline = time.monotonic() + patience
        self._adopt(passed)
        # Names before addresses: a socket that is meant for one pool is not another one's.
        for pool in pools:
            self._take_named(pool)
        for pool in pools:
            if pool.name not in self._open:
                self._open[pool.name] = self._listen(pool)
        self._close_unwanted()
        for pool in pools:
            if not pool.pages_of:
                self._open[pool.name] = _with_shared(self._open[pool.name], pool)

    def close(self) -> None:
        """Close all, and remove the files of those that are ours."""
        for listener in (*self._open.values(), *(each.listener for each in self._inherited)):
            listener.close()
        self._open.clear()
        self._inherited.clear()

    # ------------------------------------------------------------ from master to master

    def inherit(self, sockets: Iterable[Socket]) -> None:
        """Have what the running master has; what `open` finds no use for stays its own."""
        for each in sockets:
            listener = _listener(each)
            if each.ours and listener.is_lost:
                # Nobody can connect to it any more; the pool gets another.
                replace(listener, ours=False).close()
                continue
            # Whatever becomes of us, the file is not ours to remove.
            # systemd's are for the pool of their name, wherever they listen.
            name = None if each.ours else each.pool
            found = Inherited(replace(listener, ours=False), Giver.MASTER, name)
            self._inherited.append(found)
            self._log.notice(f"using inherited socket {found}")

    def restore(self, sockets: Iterable[Socket]) -> None:
        """Own what the master before us, in this process, owned."""
        self._open |= {each.pool: _listener(each) for each in sockets}

    def sockets(self) -> tuple[Socket, ...]:
        """All that is open, to be passed on."""
        return tuple(
            Socket(
                pool=pool,
                fd=each.socket.fileno(),
                shared=each.shared,
                key=each.key,
                ours=each.ours,
                identity=each.identity,
            )
            for pool, each in self._open.items()
        )

    def adjust(self, pools: Iterable[Pool]) -> None:
        """Give sockets that are in use the owner, mode and backlog that the configuration says now."""
        for pool in pools:
            ownership = self._ownership(pool) if isinstance(pool.address, UnixAddress) else None
            try:
                adjust(self._open[pool.name], pool.listen_backlog, ownership)
            except StartError as error:
                self._log.error(f"[pool {pool.name}] {error}")

    # ------------------------------------------------------------ inherited

    def _adopt(self, passed: Iterable[Passed]) -> None:
        for each in passed:
            found = adopt(each)
            if found is None:
                text = f"inherited descriptor fd={each.fd} is no listening socket, it is ignored"
                self._log.warning(text)
                continue
            self._inherited.append(found)
            self._log.notice(f"using inherited socket {found}")

    def _take_named(self, pool: Pool) -> None:
        named = [each for each in self._inherited if each.name == pool.name]
        if not named:
            return
        keys = set(self._keys(pool))
        fitting = [each for each in named if not keys.isdisjoint(each.keys)]
        if not fitting:
            text = f'listens on "{named[0].listener.key}", the inherited socket of that name, not on'
            self._log.notice(f"[pool {pool.name}] {text} {pool.listen}")
        self._open[pool.name] = self._take(*fitting[:1] or named[:1])

    def _take(self, found: Inherited) -> Listener:
        self._inherited.remove(found)
        return found.listener

    def _take_first(self, keys: Iterable[str]) -> Listener | None:
        for key in keys:
            for each in self._inherited:
                if key in each.keys:
                    return self._take(each)
        return None

    def _close_unwanted(self) -> None:
        for each in self._inherited:
            if each.giver is not Giver.MASTER:
                self._log.notice(f"inherited socket {each} is wanted by no pool, it is closed")
            each.listener.close()
        self._inherited.clear()

    def _keys(self, pool: Pool) -> tuple[str, ...]:
        """What would do for a pool, best first."""
        address = pool.address
        if isinstance(address, UnixAddress):
            return (address.path, os.path.realpath(address.path))
        if address.host is None:
            return (f":::{address.port}", f"0.0.0.0:{address.port}")
        try:
            return tuple(place.key for place in resolve(address.host, address.port))
        except StartError:
            return ()

    # ------------------------------------------------------------ opened

    def _listen(self, pool: Pool) -> Listener:
        address = pool.address
        if self._inherited and (found := self._take_first(self._keys(pool))):
            if isinstance(address, UnixAddress):
                self._ownership(pool)  # complains while there is a way back
            return found
        if isinstance(address, UnixAddress):
            return self._open_unix(pool, address)
        if address.host is not None:
            return self._open_host(pool, address, address.host)
        return self._open_any(pool, address.port)

    def _open_any(self, pool: Pool, port: int) -> Listener:
        first, second = Place(socket.AF_INET6, ("::", port, 0, 0)), Place(socket.AF_INET, ("0.0.0.0", port))
        self._refuse_second(pool, first.key)
        try:
            return self._open_tcp(first, pool)
        except StartError:
            self._log.notice(_FALLBACK)
        self._refuse_second(pool, second.key)
        return self._open_tcp(second, pool)

    def _open_tcp(self, place: Place, pool: Pool) -> Listener:
        return self._patiently(partial(open_tcp, place, pool.listen_backlog, pool.listen))

    def _open_unix(self, pool: Pool, address: UnixAddress) -> Listener:
        self._refuse_second(pool, address.path)
        ownership = self._ownership(pool)
        try:
            return self._patiently(partial(open_unix, address.path, pool.listen_backlog, ownership))
        except OwnershipError as error:
            raise StartError(f"[pool {pool.name}] {error}") from error

    def _open_host(self, pool: Pool, address: TcpAddress, host: str) -> Listener:
        """Listen on the first address of a host that can be had; php-fpm ignores the others as well."""
        listener: Listener | None = None
        failure: StartError | None = None
        for place in resolve(host, address.port):
            if listener:
                self._log.warning(f"Found multiple addresses for {host}, {place.host} ignored")
                continue
            if failure:
                self._log.error(str(failure))
            self._refuse_second(pool, place.key)
            try:
                listener = self._open_tcp(place, pool)
            except StartError as error:
                failure = error
        if listener is None:
            raise failure or StartError(f"getaddrinfo: no address for '{address}'")
        return listener

    def _patiently(self, attempt: Callable[[], Listener]) -> Listener:
        """Those whose master was killed need a moment to see it and to let go of their sockets."""
        while True:
            try:
                return attempt()
            except TakenError:
                if time.monotonic() >= self._deadline:
                    raise
            time.sleep(_AGAIN)

    def _refuse_second(self, pool: Pool, key: str) -> None:
        """Two pools may have written one address in two ways; php-fpm would let them share it."""
        for owner, listener in self._open.items():
            if listener.key == key:
                complaint = "unable to set listen address as it's already used in another pool"
                raise StartError(f"[pool {pool.name}] {complaint} '{owner}'")

    # ------------------------------------------------------------ access control lists

    def _ownership(self, pool: Pool) -> Ownership:
        return Ownership(pool.socket_uid, pool.socket_gid, pool.socket_mode, self._acl(pool))

    def _acl(self, pool: Pool) -> Acl:
        users = tuple(_uid(name, pool) for name in pool.acl_users)
        groups = tuple(_gid(name, pool) for name in pool.acl_groups)
        acl = Acl(users, groups)
        if acl:
            for name, value in (("listen.owner", pool.listen_owner), ("listen.group", pool.listen_group)):
                if value:
                    self._log.warning(f"[pool {pool.name}] ACL set, {name} = '{value}' is ignored")
        return acl


def _with_shared(listener: Listener, pool: Pool) -> Listener:
    """Add what the workers of the pool share, unless it is there: see boot.Descriptor."""
    shared = listener.shared
    if not shared:
        shared = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), *handoff.open_pair())
    if pool.residents and len(shared) == _WITHOUT_RESIDENTS:
        shared = (*shared, *handoff.open_pair())
    return replace(listener, shared=shared)


def _listener(each: Socket) -> Listener:
    opened = socket.socket(fileno=each.fd)
    opened.set_inheritable(False)
    return Listener(opened, each.key, each.ours, each.identity, each.shared)


class Retired:
    """A socket that the configuration does not name any more."""

    def __init__(self, each: Socket) -> None:
        self.pool = each.pool
        self._listener = _listener(each)
        # From here on nobody can connect to a socket file; whoever has is still answered.
        if each.ours:
            self._listener.remove_file()

    def has_waiting(self) -> bool:
        """Whether connections wait to be accepted."""
        return queue.is_readable(self._listener.socket.fileno())

    def close(self) -> None:
        """Let go; workers that have it hold it until they leave."""
        replace(self._listener, ours=False).close()


def _uid(name: str, pool: Pool) -> int:
    # As in php-fpm these are names, also if they look like numbers.
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError) as error:
        raise StartError(f"[pool {pool.name}] cannot get uid for user '{name}': no such user") from error


def _gid(name: str, pool: Pool) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError) as error:
        raise StartError(f"[pool {pool.name}] cannot get gid for group '{name}': no such group") from error
