"""Write the configuration of the pool behind the HTTP front.  Pure."""

from kraal.fields import Frozen


class Pool(Frozen):
    """What differs from one run to the next.  `user` is None when we are not root."""

    socket: str
    workers: int
    user: str | None = None
    group: str | None = None


def configuration(pool: Pool) -> str:
    """The text of a configuration in php-fpm's format, for a master that is run with -F -O.

    With -O messages go to standard error.  The log is opened all the same, and /proc/self/fd/2
    cannot always be: not after `sudo -u`, when the terminal belongs to somebody else.
    """
    lines = [
        "[global]",
        "error_log = /dev/null",
        "daemonize = no",
        "",
        "[www]",
        *_accounts(pool),
        f"listen = {pool.socket}",
        "listen.mode = 0600",
        "pm = static",
        f"pm.max_children = {pool.workers}",
        "pm.status_path = /status",
        "ping.path = /ping",
        "catch_workers_output = yes",
    ]
    return "\n".join(lines) + "\n"


def _accounts(pool: Pool) -> list[str]:
    if pool.user is None:
        return []
    return [
        f"user = {pool.user}",
        f"group = {pool.group}",
        f"listen.owner = {pool.user}",
        f"listen.group = {pool.group}",
    ]
