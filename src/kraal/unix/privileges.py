"""Becoming somebody with fewer rights.  The order of the steps matters and is the caller's."""

import os
import resource
from collections.abc import Sequence


def limit_files(count: int) -> None:
    """Set RLIMIT_NOFILE, soft and hard."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def raise_files() -> int:
    """Let this process open as many files as it may.  Returns the soft limit that it had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def lower_files(soft: int) -> None:
    """Set the soft limit of open files, and leave the hard one as it is."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limit_core(size: int) -> None:
    """Set RLIMIT_CORE in bytes, soft and hard; -1 means no limit."""
    value = resource.RLIM_INFINITY if size == -1 else size
    resource.setrlimit(resource.RLIMIT_CORE, (value, value))


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Give up root for good: supplementary groups, then group, then user."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def groups_of(user: str | None, gid: int) -> list[int]:
    """All groups of a user; of a bare number only its main group."""
    return os.getgrouplist(user, gid) if user else [gid]
