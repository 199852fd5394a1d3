"""Decide whether a user can reach a directory, from what stat() says about it and its parents.

Pure.  Access lists and capabilities are not looked at: they are rare, and `--user` is the way out.
"""

import stat
from collections.abc import Iterable

from kraal.fields import Frozen

READ = 4
ENTER = 1


class Account(Frozen):
    """A user of the system with all groups."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


class DirectoryStat(Frozen):
    """What decides about access to one directory."""

    path: str
    mode: int
    uid: int
    gid: int


def allowed(account: Account, directory: DirectoryStat, needed: int) -> bool:
    """Whether the mode bits give the account all of `needed`."""
    if account.uid == 0:
        return True
    if account.uid == directory.uid:
        granted = directory.mode >> 6
    elif directory.gid == account.gid or directory.gid in account.groups:
        granted = directory.mode >> 3
    else:
        granted = directory.mode
    return granted & needed == needed


def obstacle(account: Account, chain: Iterable[DirectoryStat]) -> str | None:
    """Why the account cannot use the last directory of `chain`, and what to do; None when it can.

    `chain` goes from the root directory to the one that is to be served.
    """
    directories = list(chain)
    for directory in directories:
        last = directory is directories[-1]
        if not allowed(account, directory, READ | ENTER if last else ENTER):
            verb, bits = ("read", "rx") if last else ("enter", "x")
            mode = stat.S_IMODE(directory.mode)
            return (
                f"the user {account.name} cannot {verb} {directory.path} (mode {mode:04o}): "
                f"run `chmod o+{bits} {directory.path}`, or name another user with --user"
            )
    return None
