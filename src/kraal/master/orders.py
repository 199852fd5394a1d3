"""Translate a pool's configuration into the order that its manager gets.  Pure."""

from collections.abc import Mapping

from kraal.boot import Order, Php, Privileges
from kraal.config.model import Global, Pool, worker_environment
from kraal.fields import replace
from kraal.logs.access import Access, compile_access
from kraal.manager import stop_ladder


def order_for(
    pool: Pool,
    global_: Global,
    *,
    php: Php,
    environ: Mapping[str, str],
    as_root: bool,
    groups: tuple[int, ...],
    files: int | None = None,
    master: int = 0,
) -> Order:
    """What the manager of this pool is told.

    `groups` are the supplementary groups of its user, `files` the limit of open files of workers.
    """
    timeout = float(global_.process_control_timeout)
    clients = pool.allowed_clients
    return Order(
        pool=pool.name,
        policy=pool.pm.value,
        max_children=pool.pm_max_children,
        start_servers=pool.pm_start_servers,
        min_spare_servers=pool.pm_min_spare_servers,
        max_spare_servers=pool.pm_max_spare_servers,
        max_spawn_rate=pool.pm_max_spawn_rate,
        idle_timeout=float(pool.pm_process_idle_timeout),
        max_memory=pool.pm_max_memory,
        php=php,
        master=master,
        privileges=_privileges(pool, as_root=as_root, groups=groups, files=files),
        environment=worker_environment(pool, environ),
        ini=(*_preload_user(pool, as_root=as_root), *_fresh_code(pool), *_ini(pool)),
        apparmor_hat=pool.apparmor_hat or None,
        max_requests=pool.pm_max_requests,
        terminate_timeout=pool.request_terminate_timeout,
        terminate_grace=pool.request_terminate_grace,
        track_finished=pool.request_terminate_timeout_track_finished,
        slow_timeout=pool.request_slowlog_timeout,
        slow_depth=pool.request_slowlog_trace_depth,
        max_requests_jitter=pool.pm_max_requests_jitter,
        kept_timeout=pool.connection_idle_timeout,
        header_timeout=pool.connection_header_timeout,
        body_timeout=pool.connection_body_timeout,
        body_buffer=pool.connection_body_buffer,
        extensions=" ".join(pool.limit_extensions),
        php_values=pool.limit_php_value,
        body_files=pool.limit_body_files,
        allowed_clients=clients.networks if clients else None,
        client_complaints=pool.client_complaints,
        queue_length=pool.queue_max_length,
        queue_wait=pool.queue_max_wait,
        status_path=pool.pm_status_path,
        ping_path=pool.ping_path,
        ping_response=pool.ping_response or "pong",
        access=_access(pool),
        script=pool.worker_script or None,
        residents=pool.residents,
        rationed=global_.process_max > 0,
        fork=pool.worker_fork,
        resident_max_requests=pool.worker_max_requests,
        match=pool.match,
        watched=pool.watched,
        pages_apart=pool.pm_status_listen is not None,
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
    return stop_ladder.DEFAULT_QUIT_TIMEOUT


def drain_timeout(global_: Global) -> float | None:
    """How long a reload gives to what the old workers run.  None: nobody waits for them, so no limit."""
    if "process_control_timeout" in global_.written:
        return float(global_.process_control_timeout)
    return None


def _privileges(pool: Pool, *, as_root: bool, groups: tuple[int, ...], files: int | None) -> Privileges:
    limits = Privileges(
        files=pool.rlimit_files or None,
        soft_files=None if pool.rlimit_files else files,
        core=pool.rlimit_core or None,
        dumpable=pool.process_dumpable,
        no_new_privileges=pool.process_no_new_privs,
        chdir=pool.chdir or None,
    )
    if not as_root:
        return limits
    # Who names nobody (and allows root) stays who he is: a container may have no other user.
    account = pool.account if pool.user or pool.group else None
    return replace(
        limits,
        uid=account.uid if account else None,
        gid=account.gid if account else None,
        groups=groups if account else (),
        nice=pool.process_priority,
        chroot=pool.chroot or None,
    )


def _access(pool: Pool) -> Access | None:
    if not pool.access_log:
        return None
    return compile_access(pool.access_log, pool.access_format or "", pool.access_suppress_path)


def _preload_user(pool: Pool, *, as_root: bool) -> tuple[tuple[str, str, bool], ...]:
    """With chroot PHP starts as root (see manager.py), but the preloading script runs as the pool's user."""
    if as_root and pool.chroot and pool.account and pool.account.name:
        return (("opcache.preload_user", pool.account.name, False),)
    return ()


def _fresh_code(pool: Pool) -> tuple[tuple[str, str, bool], ...]:
    """Who watches files wants what they say now, and not what OPcache has kept for a while."""
    return (("opcache.revalidate_freq", "0", False),) if pool.watched else ()


def _ini(pool: Pool) -> tuple[tuple[str, str, bool], ...]:
    """In the order of setting, where the last wins: php-fpm goes backwards, and sets admin values last."""
    backwards = [
        (value.name, value.value, value.kind == "php_admin_value") for value in reversed(pool.php_values)
    ]
    return tuple(sorted(backwards, key=lambda value: value[2]))
