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
    folder = next((path for path in paths.INI_FOLDERS if os.path.isdir(path)), None)
    scan = os.environ.get("PHP_INI_SCAN_DIR", f"{folder}/conf.d" if folder else None)
    # PHP takes a folder that it is given for a wish to read php.ini, even with -n.
    default = None if options.ini_ignore else os.environ.get("PHPRC") or folder
    return Php(
        ini_path=options.ini or default,
        ini_scan_dir=scan,
        ini_ignore=options.ini_ignore,
        defines=options.defines,
        executable=os.path.abspath(sys.argv[0]),
        extended_info=options.extended_info,
    )


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
