"""The PHP constants that a value may name without quotes, as the strings PHP makes of them.

The master never loads PHP, so the table holds what is the same for every PHP 8 on Linux.  A name
that is missing here stays the text it is, which is also what PHP does with an unknown constant.
"""

from collections.abc import Mapping

# E_ALL still contains E_STRICT (2048), as up to PHP 8.3; from 8.4 on that bit means nothing.
_ERROR_LEVELS = {
    "E_ERROR": 1,
    "E_WARNING": 2,
    "E_PARSE": 4,
    "E_NOTICE": 8,
    "E_CORE_ERROR": 16,
    "E_CORE_WARNING": 32,
    "E_COMPILE_ERROR": 64,
    "E_COMPILE_WARNING": 128,
    "E_USER_ERROR": 256,
    "E_USER_WARNING": 512,
    "E_USER_NOTICE": 1024,
    "E_STRICT": 2048,
    "E_RECOVERABLE_ERROR": 4096,
    "E_DEPRECATED": 8192,
    "E_USER_DEPRECATED": 16384,
    "E_ALL": 32767,
}

_SYSLOG = {
    "LOG_EMERG": 0,
    "LOG_ALERT": 1,
    "LOG_CRIT": 2,
    "LOG_ERR": 3,
    "LOG_WARNING": 4,
    "LOG_NOTICE": 5,
    "LOG_INFO": 6,
    "LOG_DEBUG": 7,
    "LOG_KERN": 0,
    "LOG_USER": 8,
    "LOG_MAIL": 16,
    "LOG_DAEMON": 24,
    "LOG_AUTH": 32,
    "LOG_SYSLOG": 40,
    "LOG_LPR": 48,
    "LOG_NEWS": 56,
    "LOG_UUCP": 64,
    "LOG_CRON": 72,
    "LOG_AUTHPRIV": 80,
    **{f"LOG_LOCAL{n}": 128 + 8 * n for n in range(8)},
}

_PLATFORM = {
    "PHP_OS": "Linux",
    "PHP_OS_FAMILY": "Linux",
    "PHP_EOL": "\n",
    "DIRECTORY_SEPARATOR": "/",
    "PATH_SEPARATOR": ":",
    "PHP_SAPI": "fpm-fcgi",
    "PHP_INT_MAX": str(2**63 - 1),
    "PHP_INT_MIN": str(-(2**63)),
    "PHP_INT_SIZE": "8",
}

CONSTANTS: Mapping[str, str] = {
    **{name: str(value) for name, value in (_ERROR_LEVELS | _SYSLOG).items()},
    **_PLATFORM,
}
_SPECIAL = {"true": "1", "false": "", "null": ""}


def resolve(name: str, constants: Mapping[str, str] = CONSTANTS) -> str:
    """Give the constant's value, or the name itself if there is no such constant."""
    found = constants.get(name)
    if found is None:
        found = _SPECIAL.get(name.lower(), name)
    return found
