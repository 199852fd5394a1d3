"""Access control lists of socket files: further users and groups that may connect."""

import os
from contextlib import suppress

from kraal.errors import StartError
from kraal.fields import Frozen


class Acl(Frozen):
    """User and group ids."""

    users: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.groups)


def revoke(path: str) -> None:
    """Take back what was granted; the mode is to be set anew then."""
    # Most files have no list, and some systems know of none.
    with suppress(OSError):
        os.removexattr(path, "system.posix_acl_access")


def grant(path: str, acl: Acl, mode: int | None = None, *, shown: str = "") -> None:
    """Let them read and write, beside those whom the mode lets.  Raises StartError, which says `shown`.

    With a mode, all that was granted before is replaced, at once.
    """
    try:
        # Only a master with such lists needs the library.
        import posix1e
    except ImportError as error:
        raise StartError(f"access control lists need the Python package pylibacl: {error}") from error
    try:
        entries = posix1e.ACL(file=path) if mode is None else posix1e.ACL(mode=mode)
    except OSError as error:
        raise _failure("read", shown or path, error) from error
    # Named twice, somebody would make the list invalid.
    users = dict.fromkeys((posix1e.ACL_USER, uid) for uid in acl.users)
    groups = dict.fromkeys((posix1e.ACL_GROUP, gid) for gid in acl.groups)
    for kind, number in (*users, *groups):
        entry = entries.append()
        entry.tag_type, entry.qualifier = kind, number
        entry.permset.add(posix1e.ACL_READ)
        entry.permset.add(posix1e.ACL_WRITE)
    try:
        entries.calc_mask()
        entries.applyto(path)
    except OSError as error:
        raise _failure("write", shown or path, error) from error


def _failure(verb: str, path: str, error: OSError) -> StartError:
    reason = f"{os.strerror(error.errno or 0)} ({error.errno})"
    return StartError(f"failed to {verb} the ACL of the socket '{path}': {reason}")
