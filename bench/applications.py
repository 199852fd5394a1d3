"""Applications from Debian's packages, as workloads: WordPress with a MariaDB of its own, and Symfony.

Needs the packages wordpress, mariadb-server, php8.2-cli and php8.2-mysql, php-symfony-framework-bundle and
php-symfony-twig-bundle, and, for WordPress, the environment of the tests.
"""

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import params
from workloads import Workload

WORDPRESS = {"wordpress": "/", "wp-rest": "/?rest_route=/wp/v2/posts"}
NAMES = (*WORDPRESS, "symfony")
_POST = b"Hello world!"  # its first one
_EXTENSIONS = Path("/etc/php/8.2/fpm/conf.d")
_SOURCE = Path(__file__).parent / "symfony"

# What the form of the web installer does.
_INSTALL = f"""
define('WP_INSTALLING', true);
define('WP_SITEURL', 'http://{params.HOST}');
$_SERVER += ['HTTP_HOST' => '{params.HOST}', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
require 'wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Kraal', 'keeper', 'keeper@{params.HOST}', true, '', 'four elephants and a gate');
"""


def extensions(directory: Path) -> str:
    """A folder with Debian's ini files but that of OPcache, which php.ini loads."""
    folder = directory / "ini"
    folder.mkdir()
    for file in _EXTENSIONS.iterdir():
        if "opcache" not in file.name:
            (folder / file.name).symlink_to(file.resolve())
    return str(folder)


def symfony(directory: Path) -> tuple[Path, dict[str, str]]:
    """The application's folder, and what a pool needs for it."""
    root, cache = directory / "symfony", directory / "cache"
    shutil.copytree(_SOURCE, root)
    cache.mkdir()
    cache.chmod(0o777)
    return root, {"env[BENCH_CACHE]": str(cache)}


def wordpress(stack: ExitStack, directory: Path) -> Path:
    """WordPress, installed, with a database that runs as long as the stack."""
    sys.path.append(str(Path(__file__).parent.parent))
    # Only here: it takes what the tests take.
    from tests.support import apps, mariadb

    database = stack.enter_context(mariadb.mariadb(directory))
    root = apps.wordpress(directory / "wordpress", database)
    command = ["php8.2", "-d", "sendmail_path=/bin/true", "-r", _INSTALL]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return root


def prepare(stack: ExitStack, directory: Path, names: list[str]) -> tuple[list[Workload], dict[str, str]]:
    """The workloads of these names, and what a pool needs for them."""
    found, pool = list[Workload](), dict[str, str]()
    if posts := [name for name in names if name in WORDPRESS]:
        root = wordpress(stack, directory)
        found += [Workload(name, uri=WORDPRESS[name], root=root, part=_POST) for name in posts]
    if "symfony" in names:
        root, pool = symfony(directory)
        found.append(Workload("symfony", uri="/list/50", root=root, part=b"Item"))
    return found, pool
