"""Find the user that runs PHP and reads the site, and become that user for a while.

Only root has a choice.  The front reads the site's files as the same user as PHP: as root it
would hand out files that nobody made readable.
"""

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from kraal.errors import StartError, UsageError
from kraal.http.access import Account, DirectoryStat, obstacle

_UNPRIVILEGED = ("www-data", "nobody")


def choose(directory: str, wanted: str | None) -> Account | None:
    """The account for PHP: the wanted one, else the directory's owner, else www-data; None unless root."""
    if os.geteuid() != 0:
        if wanted is not None:
            raise UsageError("--user needs root: PHP runs as the user that starts kraal")
        return None
    account = _named(wanted) if wanted is not None else _default(directory)
    problem = obstacle(account, _chain(directory))
    if problem is not None:
        raise StartError(problem)
    return account


def group_name(account: Account) -> str:
    """The name of the account's own group, or its number when it has none."""
    try:
        return grp.getgrgid(account.gid).gr_name
    except KeyError:
        return str(account.gid)


@contextmanager
def acting_as(account: Account | None) -> Iterator[None]:
    """Open files and sockets as the account; root remains at hand to stop the master and tidy up."""
    if account is None:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(sorted(account.groups | {account.gid}))
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _named(name: str) -> Account:
    try:
        return _account(pwd.getpwnam(name))
    except KeyError:
        raise UsageError(f"there is no user {name} on this machine") from None


def _default(directory: str) -> Account:
    owner = os.stat(directory).st_uid
    if owner == 0:
        return _unprivileged()
    try:
        return _account(pwd.getpwuid(owner))
    except KeyError:
        return Account(str(owner), owner, os.stat(directory).st_gid)


def _unprivileged() -> Account:
    for name in _UNPRIVILEGED:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise StartError("there is neither a user www-data nor nobody on this machine: name one with --user")


def _account(entry: pwd.struct_passwd) -> Account:
    groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups)


def _chain(directory: str) -> list[DirectoryStat]:
    """What stat() says about each directory from the root to this one."""
    paths = [directory]
    while paths[0] != "/":
        paths.insert(0, os.path.dirname(paths[0]))
    found = [(path, os.stat(path)) for path in paths]
    return [DirectoryStat(path, seen.st_mode, seen.st_uid, seen.st_gid) for path, seen in found]
