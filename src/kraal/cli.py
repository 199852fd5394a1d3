"""The command `kraal`: php-fpm's flags, and subcommands of our own."""

import os
import signal
import sys
from collections.abc import Sequence

from kraal import php
from kraal.boot import Php
from kraal.config.dump import lines
from kraal.config.load import load
from kraal.config.model import Config
from kraal.config.problems import ConfigErrors
from kraal.errors import Error, Exit, UsageError
from kraal.logs.error import ErrorLog
from kraal.options import Options, parse
from kraal.unix import daemon, inherited, privileges, process
from kraal.variables import Variables, config_file

USAGE = """\
Usage: {prog} [-n] [-e] [-h] [-i] [-m] [-v] [-t] [-p <prefix>] [-g <pid>] [-c <file>]
       {pad} [-d foo[=bar]] [-y <file>] [-D] [-F [-O]]
       {prog} serve [<dir>] [--port <number>]     (serve a folder over HTTP; see {prog} serve --help)
       {prog} directives [<name>] [--json]        (explain the directives of the configuration)

  -y, --fpm-config <file>
                   Read the configuration from this file (default: {config}).
  -t, --test       Test the configuration and exit; -tt prints what is in force
  -F, --nodaemonize
                   Stay in the foreground, whatever the configuration says
  -D, --daemonize  Go to the background, whatever the configuration says;
                   returns when the pools are serving
  -O, --force-stderr
                   In the foreground, log to standard error even if it is no terminal
  -g, --pid <file> Write the process id to this file
  -p, --prefix <dir>
                   Folder that relative paths of the configuration start from
  -R, --allow-to-run-as-root
                   Allow pools to run as root
  -c, --php-ini <path>|<file>
                   Look for php.ini in this folder, or use this file
  -n, --no-php-ini Use no php.ini
  -d, --define foo[=bar]
                   Set the ini entry foo to bar
  -e, --profile-info
                   Compile scripts with what debuggers and profilers want to know
  -i, --info       Show what PHP says about itself (phpinfo)
  -m, --modules    Show the modules that PHP has
  -v, --version    Show the versions
  -h, --help       Show this help
"""


def php_settings(options: Options) -> Php:
    """How PHP is to be started: the command line first, then the environment, then php-fpm's places."""
    folder = next((path for path in php.INI_FOLDERS if os.path.isdir(path)), None)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.  Returns its exit code; errors are told in one line, without a traceback."""
    process.open_standard_streams()
    try:
        return _dispatch(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:
        # Whoever read our output has seen enough.  Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.OK
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _dispatch(arguments: Sequence[str]) -> int:
    match arguments[:1]:
        case ["serve"]:
            from kraal.http.serve import main as serve

            return serve(list(arguments[1:]))
        case ["directives"]:
            from kraal.reference import main as directives

            return directives(arguments[1:])
        case _:
            return _like_php_fpm(arguments)


def _like_php_fpm(arguments: Sequence[str]) -> int:
    log = ErrorLog()
    try:
        return _run(parse(arguments), log)
    except UsageError as error:
        print(f"{_usage()}\n{error}", file=sys.stderr)
        return error.exit
    except ConfigErrors as error:
        log.echo = True
        for problem in error.errors:
            log.write(problem.level, str(problem))
        log.error("FPM initialization failed")
        return error.exit
    except Error as error:
        log.echo = True
        log.error(str(error))
        log.error("FPM initialization failed")
        return error.exit


def _usage() -> str:
    prog = os.path.basename(sys.argv[0])
    return USAGE.format(prog=prog, pad=" " * len(prog), config=php.DEFAULT_CONFIG).rstrip("\n")


def _run(options: Options, log: ErrorLog) -> int:
    if options.show == "help":
        print(_usage(), flush=True)
        return Exit.OK
    settings = php_settings(options)
    if options.show:
        return _show(options.show, settings)
    variables = Variables(os.environ, settings)
    config = load(
        config_file(options.config, options.prefix, variables),
        prefix=options.prefix,
        environ=os.environ,
        as_root=os.geteuid() == 0,
        allow_root=options.allow_root,
        testing=options.tests > 0,
        variables=variables,
        pid=options.pid,
        daemonize=options.daemonize,
    )
    run = _test if options.tests else _serve
    return run(config, options, settings, log)


def _show(what: str, settings: Php) -> int:
    """PHP is loaded by another program, as this one could go on to be a master."""
    from kraal import about

    return about.show(what, settings)


def _test(config: Config, options: Options, settings: Php, log: ErrorLog) -> int:
    from kraal.inventory import doubts

    _open_log(config, options, log)
    _warn(config, log)
    for notice in doubts(config.pools, settings, os.environ):
        log.write(notice.level, str(notice))
    if options.tests > 1:
        for line in lines(config):
            log.notice(line)
    log.notice(f"configuration file {config.file} test is successful")
    return Exit.OK


def _open_log(config: Config, options: Options, log: ErrorLog) -> None:
    global_ = config.global_
    if global_.error_log.lower() == "syslog":
        log.open_syslog(global_.syslog_ident, global_.syslog_facility)
    else:
        log.open(global_.error_log)
    log.record = not _on_stderr(config, options)


def _on_stderr(config: Config, options: Options) -> bool:
    """Whether lines go to standard error, and only there; the log is opened nevertheless, as in php-fpm."""
    return not config.global_.daemonize and (options.force_stderr or os.isatty(2))


def _warn(config: Config, log: ErrorLog) -> None:
    for notice in config.warnings:
        log.write(notice.level, str(notice))


def _serve(config: Config, options: Options, settings: Php, log: ErrorLog) -> int:
    from kraal.master import Master, Setting

    global_ = config.global_
    log.level = global_.log_level
    log.limit(global_.log_limit, buffering=global_.log_buffering)
    _open_log(config, options, log)
    _warn(config, log)
    process.keep_descriptors()
    # Before our process id changes: systemd names the process that its sockets are for.
    passed = inherited.passed(os.environ, os.getpid())
    waiter = daemon.start() if global_.daemonize else None
    setting = Setting(
        php=settings,
        environ=inherited.without(os.environ),
        as_root=os.geteuid() == 0,
        passed=passed,
    )
    _limit(config)
    _title(config)

    log.echo = _on_stderr(config, options)
    Master(config, setting, log, waiter.succeed if waiter else lambda: None).run()
    return Exit.OK


def _limit(config: Config) -> None:
    if config.global_.rlimit_files:
        privileges.limit_files(config.global_.rlimit_files)
    if config.global_.rlimit_core:
        privileges.limit_core(config.global_.rlimit_core)
    if config.global_.process_priority is not None and os.geteuid() == 0:
        privileges.set_priority(config.global_.process_priority)


def _title(config: Config) -> None:
    from setproctitle import setproctitle

    setproctitle(f"kraal: master process ({config.file})")
