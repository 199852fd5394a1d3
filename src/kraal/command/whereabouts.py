"""Where the master is: what the command line says, or the pid file of the configuration."""

from kraal.command.given import configuration, php_settings
from kraal.errors import Exit, StartError
from kraal.options import Options


def master(options: Options) -> int:
    """Its process id.  Raises StartError, or ConfigErrors."""
    if options.pid and options.pid.isdigit():
        return int(options.pid)
    path = options.pid or _pid_file(options)
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no process id in it"
        raise StartError(f"is kraal running?  {path}: {reason}", exit=Exit.SOFTWARE) from error


def _pid_file(options: Options) -> str:
    config = configuration(options, php_settings(options))
    if not config.global_.pid:
        raise StartError(f"{config.file} names no pid file: use --pid with the number of the master")
    return config.global_.pid
