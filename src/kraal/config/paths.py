"""Make relative paths of the configuration absolute, by php-fpm's rules."""

from collections.abc import Iterable

from kraal.config.model import PhpValue

# Where Debian's PHP was configured to live and to keep its state.
PREFIX = "/usr"
STATE = "/var"
_EXPANDED = frozenset(
    {
        "error_log",
        "extension_dir",
        "mime_magic.magicfile",
        "sendmail_path",
        "session.cookie_path",
        "session_pgsql.sem_file_name",
        "soap.wsdl_cache_dir",
        "uploadprogress.file.filename_template",
        "xdebug.output_dir",
        "xdebug.profiler_output_dir",
        "xdebug.trace_output_dir",
        "xmms.path",
        "axis2.client_home",
        "blenc.key_file",
        "coin_acceptor.device",
    }
)


def full_path(path: str, *prefixes: str | None, default: str = PREFIX) -> str:
    """Put the first prefix that is set before a relative path, the others before a relative prefix."""
    if path.startswith("/"):
        return path
    known = [prefix for prefix in prefixes if prefix is not None]
    base = known[0] if known else default
    joined = f"{base}/{path}"
    return full_path(joined, *known[1:], default=default) if len(prefixes) > 1 else joined


def full_root(path: str, *prefixes: str | None) -> str:
    """As `full_path`, but the path may begin with `$prefix`."""
    marker = "$prefix"
    if not path.startswith(marker):
        # Anywhere else php-fpm leaves the path alone, and then refuses it for being relative.
        return path if marker in path else full_path(path, *prefixes)
    rest = path.removeprefix(marker)
    base = next((prefix for prefix in prefixes if prefix is not None), PREFIX)
    joined = f"{base}/{rest}" if rest else base
    return full_path(joined, *[prefix for prefix in prefixes if prefix is not None][1:])


def full_php_values(values: Iterable[PhpValue], *prefixes: str | None) -> tuple[PhpValue, ...]:
    """Make those PHP settings absolute that are known to be paths."""
    return tuple(_full_php_value(value, prefixes) for value in values)


def _full_php_value(value: PhpValue, prefixes: tuple[str | None, ...]) -> PhpValue:
    name = value.name.lower()
    to_syslog = value.kind == "php_admin_value" and name == "error_log" and value.value.lower() == "syslog"
    if name not in _EXPANDED or to_syslog:
        return value
    return PhpValue(value.kind, value.name, full_path(value.value, *prefixes), value.at)
