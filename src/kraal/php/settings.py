"""Which settings PHP has, asked of PHP in a process of its own: who tests a configuration never loads it."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kraal.boot import Order, Php
from kraal.config import php_values
from kraal.config.model import LogLevel, Notice, Pool
from kraal.php import paths

_PATIENCE = 30
_PROGRAM = ("-I", "-m", "kraal.php.info", "settings")


def doubts(pools: Sequence[Pool], settings: Php, environ: Mapping[str, str]) -> Iterator[Notice]:
    """Tell which PHP settings of the pools cannot take effect.  Costs nothing where there are none."""
    yield from php_values.overridden(pools, settings.defines)
    groups: dict[tuple[str | None, tuple[tuple[str, str, bool], ...]], list[Pool]] = defaultdict(list)
    for pool in pools:
        if pool.php_values or pool.limit_php_value or pool.php_version:
            groups[pool.php_version, php_values.extensions(pool)].append(pool)
    for (version, extensions), alike in groups.items():
        known = _known(paths.for_version(settings, version), extensions, environ)
        if known is None:
            php = f"PHP {version}" if version else "PHP"
            text = f"{php} does not start: whether it has the settings of the pools could not be seen"
            yield Notice(LogLevel.WARNING, text)
            return
        yield from php_values.unknown(alike, known)


def _known(
    settings: Php, extensions: tuple[tuple[str, str, bool], ...], environ: Mapping[str, str]
) -> frozenset[str] | None:
    """The names of all settings of a PHP with these extensions; None if it does not start."""
    order = Order(
        pool="inventory",
        policy="static",
        max_children=0,
        php=settings,
        environment=dict(environ),
        ini=extensions,
    )
    try:
        run = subprocess.run(
            [sys.executable, *_PROGRAM],
            input=order.to_bytes(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(run.stdout.decode("utf-8", "replace").splitlines())
