"""The versions of PHP that the native library was built for, and where PHP keeps its files."""

import os

from kraal._native._bridge import LIBPHP, PHP_API, PHP_BUILDS, PHP_VERSION
from kraal.boot import Php
from kraal.fields import Frozen, replace


class Build(Frozen):
    """One version of PHP: its number, as in 8.2, that of its API, and the file of its embed library."""

    version: str
    api: str
    libphp: str


# The first is what a pool has that names no version.
DEFAULT = Build(PHP_VERSION, PHP_API, LIBPHP)
BUILDS = {build.version: build for build in (Build(*text.split(":")) for text in PHP_BUILDS.split())}
BUILDS[PHP_VERSION] = DEFAULT

# php-fpm's own place on Debian, so that a host's file is found where it is.
DEFAULT_CONFIG = f"/etc/php/{PHP_VERSION}/fpm/php-fpm.conf"


def ini_folders(version: str | None) -> tuple[str, ...]:
    """php.ini and conf.d: php-fpm's when it is (or was) installed, else those of the embed library."""
    etc = f"/etc/php/{version or PHP_VERSION}"
    return f"{etc}/fpm", f"{etc}/embed"


def for_version(settings: Php, version: str | None) -> Php:
    """How that PHP is to be started: as another, but with its own ini files where none were asked for."""
    folder = next((path for path in ini_folders(version) if os.path.isdir(path)), None)
    # PHP takes a folder that it is given for a wish to read php.ini, even with -n.
    own_ini = None if settings.ini_ignore else folder
    return replace(
        settings,
        version=version,
        ini_path=settings.ini_path if settings.ini_given else own_ini,
        ini_scan_dir=settings.ini_scan_dir if settings.scan_given else folder and f"{folder}/conf.d",
    )
