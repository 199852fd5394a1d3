"""Show the effective configuration in php-fpm's form, line by line, as `-tt` prints it."""

from collections.abc import Iterator

from kraal.config.directives import GLOBAL, POOL, Directive, Kind
from kraal.config.model import Config, Global, LogFormat, LogLevel, Pm, Pool

# php-fpm prints these two the other way round than it documents them.
_SWAPPED = ("emergency_restart_threshold", "emergency_restart_interval")
_ARRAYS_AFTER = "access.format"
_WITHOUT_UNIT = "pm.process_idle_timeout"
_NOT_SHOWN = "apparmor_hat"


def lines(config: Config) -> Iterator[str]:
    """Yield the lines, without time stamp and level."""
    yield "[global]"
    for row in _global_rows():
        if row.own and row.name not in config.global_.written:
            continue
        yield f"\t{row.name} = {_shown(row, config.global_)}"
    yield " "
    for pool in config.pools:
        yield f"[{pool.name}]"
        yield from _pool_lines(pool)
        yield " "


def _global_rows() -> Iterator[Directive]:
    for row in GLOBAL:
        if row.name in _SWAPPED:
            other = _SWAPPED[1 - _SWAPPED.index(row.name)]
            yield next(found for found in GLOBAL if found.name == other)
        else:
            yield row


def _pool_lines(pool: Pool) -> Iterator[str]:
    for row in POOL:
        if row.name != _NOT_SHOWN and (not row.own or row.name in pool.written):
            yield f"\t{row.name} = {_shown(row, pool)}"
        if row.name == _ARRAYS_AFTER:
            yield from (f"\taccess.suppress_path[] = {path}" for path in reversed(pool.access_suppress_path))
    # php-fpm keeps these last to first.
    yield from (f"\tenv[{name}] = {value}" for name, value in reversed(pool.env))
    for kind in ("php_value", "php_admin_value"):
        for entry in reversed(pool.php_values):
            if entry.kind == kind:
                yield f"\t{kind}[{entry.name}] = {entry.value}"


def _shown(row: Directive, section: Global | Pool) -> str:
    """Show one value as php-fpm does; what is not set is `undefined`, or what php-fpm makes of it."""
    value: object = getattr(section, row.field)
    match value:
        case None:
            return "epoll" if row.name == "events.mechanism" else "undefined"
        case LogLevel():
            return value.name if row.name in section.written else "unknown value"
        case Pm() | LogFormat():
            return str(value.value)
        case str() if row.name == "events.mechanism":
            return value.lower()
        case bool():
            return "yes" if value else "no"
        case int() if row.kind is Kind.TIME and row.name != _WITHOUT_UNIT:
            return f"{value}s"
        case _:
            return str(value)
