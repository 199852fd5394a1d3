"""PHP settings of pools that cannot do what they say."""

from collections.abc import Iterable, Iterator

from kraal.config.conflicts import ADD_UP
from kraal.config.gather import nearest_name
from kraal.config.model import LogLevel, Notice, PhpValue, Pool

_EXTENSIONS = ("extension", "zend_extension")
# Extensions read these without having registered them.
_UNLISTED = frozenset({"sysvshm.init_mem"})
# Each guess looks at all names that PHP has, and after some the operator has got the point.
_MAX_GUESSES = 20


def extensions(pool: Pool) -> tuple[tuple[str, str, bool], ...]:
    """The extensions that the pool loads itself: they bring settings of their own."""
    return tuple((value.name, value.value, True) for value in pool.php_values if value.name in _EXTENSIONS)


def overridden(pools: Iterable[Pool], defines: Iterable[str]) -> Iterator[Notice]:
    """Tell where a pool's setting counts, and not the one of the command line."""
    defined = {name: define for define in defines if (name := define.partition("=")[0]) not in ADD_UP}
    for pool in pools:
        for value in pool.php_values:
            if value.name in defined:
                text = f"-d {defined[value.name]} has no effect here, {_shown(value)} counts ({value.at})"
                yield Notice(LogLevel.WARNING, text, pool.name)


def unknown(pools: Iterable[Pool], known: frozenset[str]) -> Iterator[Notice]:
    """Tell which settings PHP does not have; `known` are those that it has."""
    guesses: dict[str, str | None] = {}

    def complaint(name: str) -> str | None:
        if name in known or name in _UNLISTED:
            return None
        if name not in guesses and len(guesses) < _MAX_GUESSES:
            guesses[name] = nearest_name(name, known)
        guess = guesses.get(name)
        return "PHP has no such setting" + (f": did you mean {guess}?" if guess else "")

    for pool in pools:
        for value in pool.php_values:
            if value.name not in ADD_UP and (found := complaint(value.name)):
                text = f"{_shown(value)} cannot take effect, {found} ({value.at})"
                yield Notice(LogLevel.WARNING, text, pool.name)
        for name in pool.limit_php_value or ():
            if found := complaint(name):
                yield Notice(LogLevel.WARNING, f"security.limit_php_value names '{name}', {found}", pool.name)


def _shown(value: PhpValue) -> str:
    return f"{value.kind}[{value.name}]"
