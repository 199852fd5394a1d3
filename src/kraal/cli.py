"""The command `kraal`: php-fpm's flags, and subcommands of our own."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from kraal.boot import Php
from kraal.command.given import configuration, php_settings
from kraal.config.dump import lines
from kraal.config.model import Config
from kraal.config.problems import ConfigErrors
from kraal.errors import Error, Exit, StartError, UsageError
from kraal.fields import replace
from kraal.logs.error import ErrorLog
from kraal.master import slow_logs, title
from kraal.master.launcher import Setting
from kraal.options import Options, parse
from kraal.php import paths
from kraal.reload import succession
from kraal.reload.estate import Estate, Inheritance, Task
from kraal.unix import daemon, inherited, priority, privileges, process

USAGE = """\
Usage: {prog} [-n] [-e] [-h] [-i] [-m] [-v] [-t] [-p <prefix>] [-g <pid>] [-c <file>]
       {pad} [-d foo[=bar]] [-y <file>] [-D] [-F [-O]]
       {prog} serve [<dir>] [--port <number>]     (serve a folder over HTTP; see {prog} serve --help)
       {prog} directives [<name>] [--json]        (explain the directives of the configuration)
       {prog} status [--json], {prog} workers [--json]    (what they do; see {prog} status --help)
       {prog} top [--once]                        (the same, live; see {prog} top --help)
       {prog} ping [--pool <name>] [--json]       (do the pools answer?  see {prog} ping --help)
       {prog} metrics                             (figures for Prometheus; see {prog} metrics --help)
       {prog} reload [--changed] [-y <file>] [--pid <file>]    (reload; see {prog} reload --help)
       {prog} trace [<pid>] [--pool <name>]       (what workers run now; see {prog} trace --help)
       {prog} profile [--pool <name>] [--seconds <number>]     (a flame graph; see {prog} profile --help)

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
            from kraal.command.directives import main as directives

            return directives(arguments[1:])
        case ["status" | "workers" as command]:
            from kraal.command.status import main as glance

            return glance(command, arguments[1:])
        case ["ping"]:
            from kraal.command.ping import main as ping

            return ping(arguments[1:])
        case ["metrics"]:
            from kraal.metrics.command import main as metrics

            return metrics(arguments[1:])
        case ["reload"]:
            from kraal.command.reload import main as reload

            return reload(arguments[1:])
        case ["top"]:
            from kraal.top.command import main as top

            return top(arguments[1:])
        case ["trace"]:
            from kraal.command.trace import main as trace

            return trace(arguments[1:])
        case ["profile"]:
            from kraal.command.profile import main as profile

            return profile(arguments[1:])
        case _:
            return _like_php_fpm(arguments)


def _like_php_fpm(arguments: Sequence[str]) -> int:
    log = ErrorLog()
    if (task := succession.task()) is not None:
        return _succeed(task, arguments, log)
    try:
        if (left := succession.inheritance()) is not None:
            return _inherit(left, parse(arguments), log)
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
    return USAGE.format(prog=prog, pad=" " * len(prog), config=paths.DEFAULT_CONFIG).rstrip("\n")


def _run(options: Options, log: ErrorLog) -> int:
    if options.show == "help":
        print(_usage(), flush=True)
        return Exit.OK
    settings = php_settings(options)
    if options.show:
        return _show(options.show, settings)
    config = configuration(options, settings)
    run = _test if options.tests else _serve
    return run(config, options, settings, log)


def _show(what: str, settings: Php) -> int:
    """PHP is loaded by another program, as this one could go on to be a master."""
    from kraal.php import info

    return info.show(what, settings)


def _test(config: Config, options: Options, settings: Php, log: ErrorLog) -> int:
    from kraal.master import access_files
    from kraal.php.settings import doubts

    _open_log(config, options, log)
    access_files.check(config.pools)
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
    slow_logs.check(config.pools)


def _on_stderr(config: Config, options: Options) -> bool:
    """Whether lines go to standard error, and only there; the log is opened nevertheless, as in php-fpm."""
    return not config.global_.daemonize and (options.force_stderr or os.isatty(2))


def _warn(config: Config, log: ErrorLog) -> None:
    for notice in config.warnings:
        log.write(notice.level, str(notice))


def _serve(config: Config, options: Options, settings: Php, log: ErrorLog) -> int:
    from kraal.master.master import Master

    _set_up_log(config, options, log)
    _warn(config, log)
    process.keep_descriptors()
    # Before our process id changes: systemd names the process that its sockets are for.
    passed = inherited.passed(os.environ, os.getpid())
    waiter = daemon.start() if config.global_.daemonize else None
    nice = priority.own()
    files = _limit(config)
    log.echo = _on_stderr(config, options)
    setting = _setting(settings, files, passed=passed, nice=nice)
    Master(config, setting, log, waiter.succeed if waiter else lambda: None).run()
    return Exit.OK


def _succeed(task: Task, arguments: Sequence[str], log: ErrorLog) -> int:
    """Be the successor of a running master: its log is the one to tell of a failure."""
    # Not needed here; but what cannot be imported must not be found out when there is no way back.
    from kraal.master import master  # noqa: F401
    from kraal.reload.successor import Successor

    os.dup2(task.stderr, 2)
    process.keep_descriptors()
    try:
        options = parse(arguments)
        settings = php_settings(options)
        config = _as_before(task.estate, configuration(options, settings))
        _set_up_log(config, options, log)
        log.echo = _on_stderr(config, options)
        _warn(config, log)
        _leave_priority(task.nice, task.estate)
        files = _limit(config, task.estate.files)
        title.show("new master process", config.file)
        setting = _setting(settings, files, master=task.master)
        Successor(config, setting, log, task).run()
    except ConfigErrors as error:
        return succession.fail(task, [str(problem) for problem in error.errors])
    except Error as error:
        return succession.fail(task, [str(error)])
    return Exit.OK


def _inherit(left: Inheritance, options: Options, log: ErrorLog) -> int:
    """Be the master that was here before."""
    from kraal.master.master import Master

    process.keep_descriptors()
    config = succession.configuration(left)
    log.echo = _on_stderr(config, options)
    try:
        _set_up_log(config, options, log)
    except StartError as error:
        # The successor could open it: that was a moment ago, and what serves is to go on.
        log.error(str(error))
    title.show("master process", config.file)
    files, nice = left.old.files, left.old.nice
    with suppress(Error, OSError):
        _leave_priority(left.nice, left.old)
        nice = priority.own()
        files = _limit(config, files)
    Master(config, _setting(php_settings(options), files, nice=nice), log, lambda: None).run(left)
    return Exit.OK


def _leave_priority(nice: int | None, estate: Estate) -> None:
    """Return from the process.priority of a master before us.  `nice` is its value; None: it has to stay."""
    if nice is not None:
        priority.take(nice if estate.nice is None else estate.nice)


def _as_before(estate: Estate, config: Config) -> Config:
    """In the background or not, a master stays where it is."""
    return replace(config, global_=replace(config.global_, daemonize=estate.daemonized))


def _setting(
    settings: Php,
    files: int | None,
    *,
    passed: tuple[inherited.Passed, ...] = (),
    master: int | None = None,
    nice: int | None = None,
) -> Setting:
    return Setting(
        php=settings,
        environ=inherited.without(os.environ),
        as_root=os.geteuid() == 0,
        master=master or os.getpid(),
        passed=passed,
        nice=nice,
        files=files,
    )


def _set_up_log(config: Config, options: Options, log: ErrorLog) -> None:
    global_ = config.global_
    log.level = global_.log_level
    log.limit(global_.log_limit, buffering=global_.log_buffering, form=global_.log_format)
    _open_log(config, options, log)


def _limit(config: Config, before: int | None = None) -> int | None:
    """Take on the limits of the configuration, and as many files as we may have.

    Returns the soft limit that workers are to have; `before` is what a master before us has found out.
    """
    if config.global_.rlimit_files:
        privileges.limit_files(config.global_.rlimit_files)
    if config.global_.rlimit_core:
        privileges.limit_core(config.global_.rlimit_core)
    if config.global_.process_priority is not None and os.geteuid() == 0:
        priority.take(config.global_.process_priority)
    soft = privileges.raise_files()
    return None if config.global_.rlimit_files else before or soft
