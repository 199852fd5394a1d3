"""What the command line and the environment give: how PHP starts, and the configuration."""

import os
import sys

from kraal.boot import Php
from kraal.config.load import load
from kraal.config.model import Config
from kraal.options import Options
from kraal.php import paths
from kraal.php.variables import Variables, config_file


def php_settings(options: Options) -> Php:
    """How PHP is to be started: the command line first, then the environment, then php-fpm's places."""
    ini = options.ini or (None if options.ini_ignore else os.environ.get("PHPRC"))
    scan = os.environ.get("PHP_INI_SCAN_DIR")
    given = Php(
        ini_path=ini,
        ini_scan_dir=scan,
        ini_ignore=options.ini_ignore,
        defines=options.defines,
        executable=os.path.abspath(sys.argv[0]),
        extended_info=options.extended_info,
        ini_given=bool(ini),
        scan_given=scan is not None,
    )
    return paths.for_version(given, None)


def configuration(options: Options, settings: Php) -> Config:
    """Read the configuration that the command line names.  Raises ConfigErrors."""
    variables = Variables(os.environ, settings)
    # A container ends with its first process, so that one cannot go to the background.
    daemonize = False if os.getpid() == 1 else options.daemonize
    return load(
        config_file(options.config, options.prefix, variables),
        prefix=options.prefix,
        environ=os.environ,
        as_root=os.geteuid() == 0,
        allow_root=options.allow_root,
        testing=options.tests > 0,
        variables=variables,
        pid=options.pid,
        daemonize=daemonize,
    )
