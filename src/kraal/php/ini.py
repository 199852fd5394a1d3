"""PHP ini settings that do not come from php.ini: of the command line and of the pool.

PHP reads them as the text of an ini file, before any module starts, so that settings such as
opcache.memory_consumption act for each pool.
"""

import re
from collections.abc import Iterable


def entries(defines: Iterable[str], values: Iterable[tuple[str, str, bool]]) -> str:
    """The text: first what `-d` says, then the pool's values, which are stronger."""
    lines = [_define(define) for define in defines]
    lines += [f"{name}={_quoted(value)}" for name, value, _admin in values]
    return "".join(f"{line}\n" for line in lines)


def _define(define: str) -> str:
    """`name` means `name=1`; php-fpm quotes a value that begins with a special character, and so do we."""
    name, equals, value = define.partition("=")
    if not equals:
        return f"{name}=1"
    first = value[:1]
    plain = (first.isascii() and first.isalnum()) or first in ('"', "'", "")
    return f"{name}={value}" if plain else f'{name}="{value}"'


def _quoted(value: str) -> str:
    """Single quotes keep everything as it is, `${` too; quotes of that kind stand between double ones."""
    pieces = re.findall(r"'+|[^']+", value) or [""]
    return "".join(f'"{piece}"' if piece.startswith("'") else f"'{piece}'" for piece in pieces)
