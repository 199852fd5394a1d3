"""Who a pool runs as, and with which limits."""

import os

from kraal.boot import Privileges
from kraal.unix import priority, privileges, process


def become(order: Privileges) -> None:
    """Take on the pool's limits, root folder, groups, user and working folder, in this order."""
    if order.files is not None:
        privileges.limit_files(order.files)
    if order.core is not None:
        privileges.limit_core(order.core)
    if order.nice is not None:
        priority.take(order.nice)
    if order.chroot is not None:
        os.chroot(order.chroot)
        os.chdir("/")
    if order.uid is not None and order.gid is not None:
        privileges.become(order.uid, order.gid, order.groups)
    if order.chdir is not None:
        os.chdir(order.chdir)
    if order.dumpable:
        process.allow_dumps()
    if order.no_new_privileges:
        process.forbid_new_privileges()
