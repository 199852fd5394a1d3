"""The command `kraal serve`: a site on a port of this machine, with PHP, until Ctrl-C."""

import argparse
import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import EADDRINUSE
from functools import partial
from types import ModuleType
from typing import NoReturn

from kraal.errors import Error, Exit, StartError, UsageError
from kraal.http import account as accounts
from kraal.http.access import Account
from kraal.http.master import COMMAND, STOP_SIGNALS, running
from kraal.http.pool_config import Pool, configuration

_BACKLOG = 2048

_DESCRIPTION = """\
Serve the directory DIR on http://127.0.0.1:8080: PHP scripts through a pool of workers, everything
else as files.  An address without a file goes to index.php, if there is one.  Made for trying
things out and for small sites; behind a real web server, run kraal without `serve`.

The pool's state is at /status (also ?json, ?html, &full), for browsers on this machine only.
"""

_EPILOG = """\
As root, PHP and the files are served as the owner of DIR, or as www-data if that is root;
--user names another.  Ctrl-C stops everything.
"""


def main(argv: Sequence[str], *, master: Sequence[str] = COMMAND) -> int:
    """Run the command.  Returns its exit code; errors are told in one line, without a traceback.

    `master` is the command that runs a pool from a configuration.
    """
    try:
        _run(argv, master)
    except Error as error:
        print(f"kraal: {error}", file=sys.stderr)
        return error.exit
    return Exit.OK


def _run(argv: Sequence[str], master: Sequence[str]) -> None:
    """Serve until a stop signal comes."""
    options = _parse(argv)
    directory = _directory(options.directory)
    account = accounts.choose(directory, options.user)
    with _listen(options.host, options.port) as listener:
        _let_signals_interrupt()
        with suppress(KeyboardInterrupt):  # a stop signal while it was still starting
            _serve(directory, listener, account, options.workers, master)


# -- the command line --


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `kraal serve --help`)")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="kraal serve",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", default=".", help="the site (default: the current directory)"
    )
    parser.add_argument(
        "--port", type=_port, default=8080, metavar="N", help="the port (default: 8080); 0 takes a free one"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--workers", type=_workers, default=4, metavar="N", help="how many PHP workers to run (default: 4)"
    )
    parser.add_argument(
        "--user", metavar="NAME", help="the user that runs PHP and reads the files (root only)"
    )
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text}")


def _workers(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"the number of workers must be at least 1, not {text}")


def _directory(given: str) -> str:
    if not os.path.exists(given):
        raise UsageError(f"the directory {given} does not exist")
    if not os.path.isdir(given):
        raise UsageError(f"{given} is not a directory")
    return os.path.realpath(given)


# -- serving --


def _serve(
    directory: str, listener: socket.socket, account: Account | None, workers: int, command: Sequence[str]
) -> None:
    server = _server()
    with _workplace() as place:
        path, pool_socket = os.path.join(place, "pool.conf"), os.path.join(place, "php.sock")
        with open(path, "x", encoding="utf-8") as file:
            file.write(configuration(_pool(pool_socket, workers, account)))
        with running(command, path) as master, accounts.acting_as(account):
            master.wait_until_ready(pool_socket)
            ready = partial(_announce, directory, listener)
            asyncio.run(server.run(directory, listener, pool_socket, master, ready))


def _server() -> ModuleType:
    """The part that needs other people's packages, which a bare installation does not have."""
    try:
        from kraal.http import server
    except ImportError as error:
        raise StartError(
            f"`kraal serve` needs the package {error.name}: run pip install 'kraal[http]'"
        ) from error
    return server


def _pool(pool_socket: str, workers: int, account: Account | None) -> Pool:
    if account is None:
        return Pool(pool_socket, workers)
    return Pool(pool_socket, workers, user=account.name, group=accounts.group_name(account))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = "is in use" if getattr(error, "errno", None) == EADDRINUSE else f"cannot be used: {error}"
        raise StartError(f"the address {host}:{port} {reason}") from error


@contextmanager
def _workplace() -> Iterator[str]:
    """A directory for the configuration and the socket, gone afterwards.

    Everybody may enter it, the pool's user has to; the socket itself is closed to others.
    """
    place = tempfile.mkdtemp(prefix="kraal-serve-", dir="/tmp")
    try:
        os.chmod(place, 0o755)
        yield place
    finally:
        shutil.rmtree(place)


def _let_signals_interrupt() -> None:
    """Let every stop signal do what Ctrl-C does until the server takes them over."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)


def _announce(directory: str, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"kraal serves {directory} on http://{shown}:{port} (Ctrl-C stops)", flush=True)
