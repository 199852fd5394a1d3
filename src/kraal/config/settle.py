"""Turn the drafts of all sections into the configuration: defaults, full paths, checks, accounts.

Whether a directory or a user exists is asked through `System`; the rest is arithmetic.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from kraal.config.address import AddressError, is_tcp, parse_address
from kraal.config.checks import Finding, check_global, check_pool
from kraal.config.claims import Claims
from kraal.config.conflicts import conflicts_of_pool, conflicts_of_process
from kraal.config.gather import Draft, Gatherer
from kraal.config.model import Account, Config, Global, LogLevel, Notice, Pm, Pool
from kraal.config.paths import STATE, full_path, full_php_values, full_root
from kraal.config.problems import ConfigErrors, Problem
from kraal.fields import Frozen, replace

_IGNORED_UNLESS_ROOT = ("user", "group", "chroot", "process.priority")
_LOWEST_BACKLOG = -1
# The highest number of all is kept for "leave as it is".
_MAX_ID = 2**32 - 2
_ID_DIGITS = 10


def numeric_id(text: str) -> int | None:
    """Read a user or group given as a number; None means that it is a name."""
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
        return None
    return int(text) if int(text) <= _MAX_ID else None


class System(Protocol):
    """What has to be asked of the machine."""

    def is_directory(self, path: str) -> bool:
        """Tell whether there is such a directory."""

    def user(self, name: str) -> Account | None:
        """Look up a user by name."""

    def user_of(self, uid: int) -> Account | None:
        """Look up a user by number."""

    def group(self, name: str) -> int | None:
        """Look up the number of a group."""

    def php_versions(self) -> tuple[str, ...]:
        """The versions of PHP that pools can run, as in 8.2."""


class Run(Frozen):
    """How the process was started; `testing` is `-t`, which looks at more and starts nothing."""

    file: str
    uid: int
    as_root: bool
    prefix: str | None = None
    allow_root: bool = False
    testing: bool = False
    environ: Mapping[str, str] | None = None


def settle(gathered: Gatherer, run: Run, system: System) -> Config:
    """Give the configuration, or raise `ConfigErrors` with everything that is wrong."""
    problems = list(gathered.problems)
    global_ = _global(gathered.global_, run)
    problems += _located(check_global(global_), gathered.global_)
    pools: list[Pool] = []
    if not gathered.pools and not problems:
        text = "No pool defined. at least one pool section must be specified in config file"
        problems.append(Problem(text))
    for draft in gathered.pools:
        pool = _pool(draft, run)
        findings = itertools.chain(_check_system(pool, run, system), check_pool(pool, global_))
        problems += _located(findings, draft)
        pools.append(replace(pool, **_identity(pool, run, system)))
    metrics = _metrics(gathered, global_, run, system)
    if metrics:
        problems += _located(_check_metrics(metrics, run, system), gathered.global_)
        problems += _shared_addresses([*pools, metrics], [*gathered.pools, gathered.global_])
    else:
        problems += _shared_addresses(pools, gathered.pools)
    if problems:
        raise ConfigErrors(problems)
    finished = [_finish(pool) for pool in pools]
    notices = [*gathered.notices]
    for before, after in zip(pools, finished, strict=True):
        notices += _pool_notices(before, after, run)
        if run.testing:
            notices += _acl_notices(after, system)
    if global_.process_priority is not None and not (run.as_root or run.testing):
        text = "'process.priority' directive is ignored when FPM is not running as root"
        notices.append(Notice(LogLevel.NOTICE, text))
    notices += _noticed(conflicts_of_process(global_, tuple(pools)), gathered.global_)
    notices += _repeated(gathered.global_, run)
    for pool, draft in zip(pools, gathered.pools, strict=True):
        notices += _noticed(conflicts_of_pool(pool, run.environ), draft)
        notices += _repeated(draft, run)
    return Config(global_, tuple(finished), run.file, tuple(notices), metrics)


def _fields(draft: Draft) -> dict[str, Any]:
    # Any: the kinds of the values are checked against the fields by the table's own test.
    return {name.replace(".", "_"): value for name, value in draft.values.items()}


def _global(draft: Draft, run: Run) -> Global:
    global_ = Global(**_fields(draft), written=frozenset(draft.values))
    log = global_.error_log
    if log.lower() != "syslog":
        log = full_path(log, run.prefix, default=STATE)
    pid = global_.pid if global_.pid is None else full_path(global_.pid, run.prefix, default=STATE)
    interval = global_.systemd_interval if global_.systemd_interval >= 0 else Global().systemd_interval
    return replace(global_, error_log=log, pid=pid, systemd_interval=interval)


def _pool(draft: Draft, run: Run) -> Pool:
    assert draft.name is not None, "only [global] has no name"
    pool = Pool(
        name=draft.name,
        at=draft.at,
        env=tuple(draft.env),
        access_suppress_path=tuple(draft.suppressed),
        written=frozenset(draft.values),
        **_fields(draft),
    )
    if pool.request_slowlog_trace_depth == 0:
        written = pool.written - {"request_slowlog_trace_depth"}
        pool = replace(pool, request_slowlog_trace_depth=20, written=written)
    if pool.pm_status_listen is not None and pool.pm_status_path is None:
        pool = replace(pool, pm_status_path="/")
    return _with_full_paths(pool, draft, run.prefix)


def _with_full_paths(pool: Pool, draft: Draft, prefix: str | None) -> Pool:
    own = full_path(pool.prefix, prefix) if pool.prefix else pool.prefix
    changes: dict[str, Any] = {"prefix": own}
    for name in ("access_log", "slowlog", "chdir"):
        value = getattr(pool, name)
        changes[name] = full_path(value, own, prefix) if value else value
    if pool.worker_script and pool.chroot is None:
        changes["worker_script"] = full_path(pool.worker_script, own, prefix)
    for name in ("listen", "pm_status_listen"):
        address = getattr(pool, name)
        if address is not None and not is_tcp(address):
            changes[name] = full_path(address, own, prefix)
    # Inside another root a path of ours would be a different one, so PHP's own paths are left alone.
    changes["chroot"] = full_root(pool.chroot, own, prefix) if pool.chroot else pool.chroot
    values = tuple(draft.php_values)
    changes["php_values"] = values if pool.chroot is not None else full_php_values(values, own, prefix)
    return replace(pool, **changes)


def _located(findings: Iterable[Finding], draft: Draft) -> Iterator[Problem]:
    """Give findings their line; keep still about directives whose own line is wrong already."""
    for finding in findings:
        if draft.broken.isdisjoint(finding.about):
            places = [draft.places[name] for name in finding.about if name in draft.places]
            at = places[0] if places else draft.at
            yield Problem(
                finding.text,
                at=at,
                pool=None if finding.bare else draft.name,
                level=finding.level,
                exact=finding.exact,
            )


def _noticed(findings: Iterable[Finding], draft: Draft) -> Iterator[Notice]:
    """Give findings that stop nothing their line."""
    for finding in findings:
        places = [draft.places[name] for name in finding.about if name in draft.places]
        yield Notice(finding.level, f"{finding.text} ({places[0] if places else draft.at})", draft.name)


def _repeated(draft: Draft, run: Run) -> Iterator[Notice]:
    """Tell what is written twice; another file that overrides the first is told to who tests only."""
    for repeat in draft.repeats:
        text = f"{repeat.name} is written again, which counts, and not {repeat.before} ({repeat.at})"
        if repeat.at.file == repeat.before.file:
            yield Notice(LogLevel.WARNING, text, draft.name)
        elif run.testing:
            yield Notice(LogLevel.NOTICE, text, draft.name)


def _check_system(pool: Pool, run: Run, system: System) -> Iterator[Finding]:
    if pool.prefix and not system.is_directory(pool.prefix):
        yield Finding(f"the prefix '{pool.prefix}' does not exist or is not a directory", ("prefix",))
    if pool.user is None and run.as_root and not run.allow_root:
        yield Finding("user has not been defined", ("user",), LogLevel.ALERT)
    if run.as_root or run.testing:
        yield from _check_names(pool.user, pool.group, ("user", "group"), system, exact=True)
    # php-fpm looks them up when it needs them, and in a test always.
    if run.testing or not (is_tcp(pool.listen) or pool.listen_acl_users or pool.listen_acl_groups):
        names = ("listen.owner", "listen.group")
        yield from _check_names(pool.listen_owner, pool.listen_group, names, system, exact=False)
    account = _account(pool, run, system)
    if (
        pool.user
        and account is not None
        and run.as_root
        and not run.allow_root
        and 0 in (account.uid, account.gid)
    ):
        yield Finding("please specify user and group other than root", ("user", "group"))
    yield from _check_directories(pool, system)
    yield from _check_php(pool, system)


def _check_php(pool: Pool, system: System) -> Iterator[Finding]:
    versions = system.php_versions()
    if pool.php_version is not None and pool.php_version not in versions:
        text = f"kraal is not built for PHP '{pool.php_version}', only for {', '.join(versions)}"
        yield Finding(text, ("php.version",))


def _check_names(
    user: str | None, group: str | None, names: tuple[str, str], system: System, *, exact: bool
) -> Iterator[Finding]:
    if user and numeric_id(user) is None and system.user(user) is None:
        text = f"cannot get uid for user '{user}'" + ("" if exact else ": no such user")
        yield Finding(text, names[:1], exact=exact)
    if group and numeric_id(group) is None and system.group(group) is None:
        text = f"cannot get gid for group '{group}'" + ("" if exact else ": no such group")
        yield Finding(text, names[1:], exact=exact)


def _check_directories(pool: Pool, system: System) -> Iterator[Finding]:
    missing = "does not exist or is not a directory"
    root, start = pool.chroot, pool.chdir
    for name, path in (("chroot", root), ("chdir", start)):
        if path and not path.startswith("/"):
            yield Finding(f"the {name} path '{path}' must start with a '/'", (name,))
            return
    if root and not system.is_directory(root):
        yield Finding(f"the chroot path '{root}' {missing}", ("chroot",))
    elif start and root is not None and not system.is_directory(inside := f"{root}/{start}"):
        text = f"the chdir path '{start}' within the chroot path '{root}' ('{inside}') {missing}"
        if start.startswith(root):
            text += ": chdir is counted from the new root"
        yield Finding(text, ("chdir",))
    elif start and root is None and not system.is_directory(start):
        yield Finding(f"the chdir path '{start}' {missing}", ("chdir",))


def _shared_addresses(pools: Iterable[Pool], drafts: Iterable[Draft]) -> Iterator[Problem]:
    claims = Claims()
    for pool, draft in zip(pools, drafts, strict=True):
        for name, text in (("listen", pool.listen), ("pm.status_listen", pool.pm_status_listen)):
            try:
                owner = claims.claim(parse_address(text), pool.name) if text else pool.name
            except AddressError:
                continue
            if owner != pool.name:
                complaint = "unable to set listen address as it's already used in another pool"
                at = draft.places.get(name) or draft.places.get(f"metrics.{name}")
                yield Problem(f"{complaint} '{owner}'", at=at, pool=pool.name)


def _metrics(gathered: Gatherer, global_: Global, run: Run, system: System) -> Pool | None:
    """What is made a pool of for `metrics.listen`, so that it listens as pools do."""
    listen = global_.metrics_listen
    if not listen:
        return None
    name = "metrics"
    while any(draft.name == name for draft in gathered.pools):
        name += "_"
    pool = Pool(
        name=name,
        at=gathered.global_.places.get("metrics.listen", gathered.global_.at),
        listen=listen if is_tcp(listen) else full_path(listen, run.prefix, default=STATE),
        listen_owner=global_.metrics_listen_owner,
        listen_group=global_.metrics_listen_group,
        listen_mode=global_.metrics_listen_mode,
        listen_allowed_clients=global_.metrics_listen_allowed_clients,
        user=global_.metrics_user,
        pages_of=name,
    )
    return replace(pool, **_identity(pool, run, system))


def _check_metrics(metrics: Pool, run: Run, system: System) -> Iterator[Finding]:
    try:
        parse_address(metrics.listen)
    except AddressError as error:
        yield Finding(str(error), ("metrics.listen",))
    names = ("metrics.listen.owner", "metrics.listen.group")
    yield from _check_names(metrics.listen_owner, metrics.listen_group, names, system, exact=False)
    for text in metrics.client_complaints:
        yield Finding(text, ("metrics.listen.allowed_clients",))
    if not run.as_root:
        return
    yield from _check_names(metrics.user, None, ("metrics.user", "metrics.user"), system, exact=False)
    if metrics.account and 0 in (metrics.account.uid, metrics.account.gid):
        yield Finding("please specify a metrics.user other than root", ("metrics.user", "metrics.listen"))


def _identity(pool: Pool, run: Run, system: System) -> dict[str, Any]:
    """Find out whom the workers become and whose the socket is; an owner's name brings his group."""
    owner = pool.listen_owner
    uid, gid = -1, -1
    if owner and (number := numeric_id(owner)) is not None:
        uid = number
    elif owner and (found := system.user(owner)) is not None:
        uid, gid = found.uid, found.gid
    known = _gid(pool.listen_group, system)
    return {
        "account": _account(pool, run, system),
        "socket_uid": uid,
        "socket_gid": gid if known is None else known,
    }


def _account(pool: Pool, run: Run, system: System) -> Account | None:
    """Find the account of the workers; None if a name is unknown or there is none to be found."""
    if not run.as_root:
        return system.user_of(run.uid)
    account: Account | None = Account(0, 0)
    if pool.user and (number := numeric_id(pool.user)) is not None:
        found = system.user_of(number)
        account = replace(found, home=None) if found else Account(number, 0)
    elif pool.user:
        account = system.user(pool.user)
    if pool.group and account is not None:
        gid = _gid(pool.group, system)
        return None if gid is None else replace(account, gid=gid)
    return account


def _gid(group: str | None, system: System) -> int | None:
    if not group:
        return None
    number = numeric_id(group)
    return system.group(group) if number is None else number


def _finish(pool: Pool) -> Pool:
    """Fill in what follows from other directives."""
    changes: dict[str, Any] = {"ping_response": None}
    if pool.ping_path:
        changes["ping_response"] = "pong" if pool.ping_response is None else pool.ping_response
    if pool.access_log and pool.access_format is None:
        changes["access_format"] = '%R - %u %t "%m %r" %s'
    if pool.pm is Pm.DYNAMIC and pool.pm_start_servers <= 0:
        low, high = pool.pm_min_spare_servers, pool.pm_max_spare_servers
        changes["pm_start_servers"] = low + (high - low) // 2
    if pool.pm is Pm.ONDEMAND:
        changes |= {"pm_start_servers": 0, "pm_min_spare_servers": 0, "pm_max_spare_servers": 0}
        changes["listen_backlog"] = max(pool.listen_backlog, _LOWEST_BACKLOG)
    return replace(pool, **changes)


def _acl_notices(pool: Pool, system: System) -> Iterator[Notice]:
    """Tell a test, which php-fpm passes, of names that will keep the pool from starting."""
    unknown = [("uid for user", name) for name in pool.acl_users if system.user(name) is None]
    unknown += [("gid for group", name) for name in pool.acl_groups if system.group(name) is None]
    for what, name in unknown:
        yield Notice(LogLevel.WARNING, f"the ACL of the socket: cannot get {what} '{name}'", pool.name)


def _pool_notices(before: Pool, after: Pool, run: Run) -> Iterator[Notice]:
    if after.pm is Pm.DYNAMIC and before.pm_start_servers <= 0:
        text = f"pm.start_servers is not set. It's been set to {after.pm_start_servers}."
        yield Notice(LogLevel.NOTICE, text, after.name)
    if before.listen_backlog < after.listen_backlog:
        text = (
            f"listen.backlog({before.listen_backlog}) was too low for the ondemand process manager. "
            f"I updated it for you to {after.listen_backlog}."
        )
        yield Notice(LogLevel.WARNING, text, after.name)
    for text in after.client_complaints:
        yield Notice(LogLevel.WARNING, text, after.name)
    if run.as_root or run.testing:
        return
    for name in _IGNORED_UNLESS_ROOT:
        if name in after.written and getattr(after, name.replace(".", "_")) != "":
            text = f"'{name}' directive is ignored when FPM is not running as root"
            yield Notice(LogLevel.NOTICE, text, after.name)
