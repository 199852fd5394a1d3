"""A pool's own PHP: started once, as the pool's user and with the pool's ini."""

import locale
import os
import signal

from kraal.boot import Descriptor, Order
from kraal.errors import StartError
from kraal.manager.identity import become
from kraal.memory import ledger, scoreboard
from kraal.php import ini
from kraal.php.bridge import Php
from kraal.unix import process


def start(order: Order) -> Php:
    """Become the pool's user and start PHP.  Raises StartError or OSError."""
    if not _fits(order):
        raise StartError("the master runs another version of kraal than is installed now: reload it")
    # The library and PHP's ini files are outside the new root, so with chroot PHP comes first.
    php_first = order.privileges.chroot is not None
    if not php_first:
        become(order.privileges)
    # Preloading can take long, and nobody reads the channel meanwhile; a change of user would undo it.
    process.die_with_parent(signal.SIGTERM)
    php = start_php(order)
    process.die_with_parent(0)
    if php_first:
        become(order.privileges)
    return php


def _fits(order: Order) -> bool:
    """Whether what a master has opened is what we take it for."""
    sizes = {
        Descriptor.SCOREBOARD: scoreboard.size_for(order.slots),
        Descriptor.LEDGER: ledger.SIZE,
    }
    return order.fits and all(os.fstat(fd).st_size >= size for fd, size in sizes.items())


def start_php(order: Order) -> Php:
    """Load PHP and start it with the pool's ini."""
    # PHP starts from the C locale, whatever Python made of the environment's.
    locale.setlocale(locale.LC_ALL, "C")
    os.environ.clear()
    os.environ.update(order.environment)
    if order.php.ini_scan_dir is not None:
        os.environ["PHP_INI_SCAN_DIR"] = order.php.ini_scan_dir
    php = Php(order.php.version)
    php.start(
        ini_path=order.php.ini_path,
        ini_ignore=order.php.ini_ignore,
        ini_entries=ini.entries(order.php.defines, order.ini),
        executable=order.php.executable,
        extended_info=order.php.extended_info,
    )
    if order.php.ini_scan_dir is not None and "PHP_INI_SCAN_DIR" not in order.environment:
        del os.environ["PHP_INI_SCAN_DIR"]
    for name, _value, admin in order.ini:
        if admin:
            php.lock_ini(name)
    return php
