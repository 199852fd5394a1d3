"""Translate a pool's configuration into the order that its manager gets.  Pure."""

from collections.abc import Mapping
from dataclasses import replace

from kraal import stopping
from kraal.boot import Order, Php, Privileges
from kraal.config.model import Global, Pool, worker_environment


def order_for(
    pool: Pool,
    global_: Global,
    *,
    php: Php,
    environ: Mapping[str, str],
    as_root: bool,
    groups: tuple[int, ...],
) -> Order:
    """What the manager of this pool is told; `groups` are the supplementary groups of its user."""
    timeout = float(global_.process_control_timeout)
    clients = pool.allowed_clients
    return Order(
        pool=pool.name,
        policy=pool.pm.value,
        max_children=pool.pm_max_children,
        php=php,
        privileges=_privileges(pool, as_root=as_root, groups=groups),
        environment=worker_environment(pool, environ),
        ini=_ini(pool),
        max_requests=pool.pm_max_requests,
        extensions=" ".join(pool.limit_extensions),
        allowed_clients=clients.networks if clients else None,
        client_complaints=pool.client_complaints,
        status_path=pool.pm_status_path,
        ping_path=pool.ping_path,
        ping_response=pool.ping_response or "pong",
        catch_output=pool.catch_workers_output,
        log_level=global_.log_level,
        log_limit=global_.log_limit,
        log_buffering=global_.log_buffering,
        quit_timeout=quit_timeout(global_),
        drain_timeout=drain_timeout(global_),
        control_timeout=timeout,
    )


def quit_timeout(global_: Global) -> float:
    """How long a gentle stop waits; php-fpm does not wait at all unless it is told to."""
    if "process_control_timeout" in global_.written:
        return float(global_.process_control_timeout)
    return stopping.DEFAULT_QUIT_TIMEOUT


def drain_timeout(global_: Global) -> float | None:
    """How long a reload gives to what the old workers run.  None: nobody waits for them, so no limit."""
    if "process_control_timeout" in global_.written:
        return float(global_.process_control_timeout)
    return None


def _privileges(pool: Pool, *, as_root: bool, groups: tuple[int, ...]) -> Privileges:
    limits = Privileges(
        files=pool.rlimit_files or None,
        core=pool.rlimit_core or None,
        dumpable=pool.process_dumpable,
        chdir=pool.chdir or None,
    )
    if not as_root:
        return limits
    account = pool.account
    return replace(
        limits,
        uid=account.uid if account else None,
        gid=account.gid if account else None,
        groups=groups,
        nice=pool.process_priority,
        chroot=pool.chroot or None,
    )


def _ini(pool: Pool) -> tuple[tuple[str, str, bool], ...]:
    """In the order of setting, where the last wins: php-fpm goes backwards, and sets admin values last."""
    backwards = [
        (value.name, value.value, value.kind == "php_admin_value") for value in reversed(pool.php_values)
    ]
    return tuple(sorted(backwards, key=lambda value: value[2]))
