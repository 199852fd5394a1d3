"""Read the configuration from its files: the only part of it that touches the machine.

`load` follows includes, gathers and settles, and either gives a configuration that can be started
or raises `ConfigErrors` with all that is wrong.
"""

import glob
import grp
import os
import pwd
import stat
from collections.abc import Mapping

from kraal.config.gather import Gatherer
from kraal.config.ini import Entry, parse
from kraal.config.model import Account, Config, LogLevel, Notice
from kraal.config.paths import full_path
from kraal.config.problems import ConfigErrors, Problem
from kraal.config.settle import Run, settle
from kraal.errors import Place
from kraal.php.paths import BUILDS

# php-fpm's own limit; deeper is taken for a file that includes itself.
MAX_DEPTH = 5
# No configuration is larger, but a device or a wrong file may be, or files that include files that
# include files, each many times.
_MAX_SIZE = 64 * 1024 * 1024
_MAX_FILES = 100_000
_MAX_PATTERN = 4096
_MAX_PROBLEMS = 100


def load(
    file: str,
    *,
    prefix: str | None,
    environ: Mapping[str, str],
    as_root: bool,
    allow_root: bool,
    testing: bool = False,
    variables: Mapping[str, str] | None = None,
    pid: str | None = None,
    daemonize: bool | None = None,
) -> Config:
    """Load the configuration; `testing` also looks up accounts that a start would ignore.

    `variables` answers `${NAME}` where that is more than the environment.  The pid file counts if the
    configuration names none, `daemonize` whatever it says.
    """
    if prefix and not os.path.isdir(prefix):
        text = f"the global prefix '{prefix}' does not exist or is not a directory"
        raise ConfigErrors([Problem(text)])
    gatherer = Gatherer(file)
    reader = _Reader(gatherer, environ if variables is None else variables, prefix or None)
    try:
        reader.read(file, ())
    except _Unreadable as error:
        gatherer.problems.append(error.problem)
    if reader.given_up:
        raise ConfigErrors(gatherer.problems)
    if pid:
        gatherer.global_.values.setdefault("pid", pid)
    if daemonize is not None:
        gatherer.global_.values["daemonize"] = daemonize
    run = Run(
        file=file,
        uid=os.getuid(),
        as_root=as_root,
        prefix=prefix or None,
        allow_root=allow_root,
        testing=testing,
        environ=environ,
    )
    return settle(gatherer, run, Machine())


class Machine:
    """The machine that kraal runs on, as `settle` asks for it."""

    def is_directory(self, path: str) -> bool:
        """Tell whether there is such a directory."""
        return "\0" not in path and os.path.isdir(path)

    def user(self, name: str) -> Account | None:
        """Look up a user by name."""
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)

    def user_of(self, uid: int) -> Account | None:
        """Look up a user by number."""
        try:
            entry = pwd.getpwuid(uid)
        except (KeyError, OverflowError):
            return None
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)

    def group(self, name: str) -> int | None:
        """Look up the number of a group."""
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return None

    def php_versions(self) -> tuple[str, ...]:
        """The versions of PHP that pools can run, as in 8.2."""
        return tuple(BUILDS)


class _Unreadable(Exception):
    """A file could not be read; the problem says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Reader:
    """Reads files into the gatherer, an included one in the middle of the line that includes it."""

    def __init__(self, gatherer: Gatherer, environ: Mapping[str, str], prefix: str | None) -> None:
        self.given_up = False
        self._size = 0
        self._files = 0
        self._matches: dict[str, list[str]] = {}
        self._gatherer = gatherer
        self._environ = environ
        self._prefix = prefix

    def read(self, file: str, above: tuple[str, ...]) -> None:
        """Read one file; `above` are the files that include it, outermost first."""
        content = _read_file(file, included=bool(above))
        self._size += len(content)
        self._files += 1
        if self._size > _MAX_SIZE or self._files > _MAX_FILES:
            self.given_up = True
            limits = f"{_MAX_SIZE} bytes or {_MAX_FILES} files"
            text = f"reading stops at '{file}': the configuration has more than {limits}"
            raise _Unreadable(Problem(text))
        text = _text_of(file, content)
        here = (*above, os.path.realpath(file))
        for item in parse(text, file, self._environ):
            if isinstance(item, Entry) and item.key is None and item.name == "include":
                self._include(item, here)
            else:
                self._gatherer.add(item)
            if len(self._gatherer.problems) >= _MAX_PROBLEMS and not self.given_up:
                self._gatherer.problems.append(Problem("too many errors, reading stops here", at=item.at))
                self.given_up = True
            if self.given_up:
                return

    def _include(self, entry: Entry, here: tuple[str, ...]) -> None:
        pattern = full_path(entry.value, self._prefix)
        place = f"from {entry.at.file} at line {entry.at.line}"
        if len(pattern) > _MAX_PATTERN:
            text = f"Unable to globalize a pattern of {len(pattern)} characters {place}"
            self._gatherer.problems.append(Problem(text, at=entry.at))
            return
        if pattern not in self._matches:
            # In the order of bytes, as the names may be of any encoding.
            self._matches[pattern] = sorted(glob.glob(pattern), key=os.fsencode)
        found = self._matches[pattern]
        if not found and not _is_searchable(pattern):
            text = f"Unable to globalize '{pattern}' {place}: its directory cannot be read"
            self._gatherer.problems.append(Problem(text, at=entry.at))
        elif not found:
            text = f"Nothing matches the include pattern '{pattern}' {place}."
            self._gatherer.notices.append(Notice(LogLevel.WARNING, text))
        for file in found:
            if os.path.isdir(file):
                continue
            if not self._may_include(file, here, entry.at):
                return
            try:
                self.read(file, here)
            except _Unreadable as error:
                place = f"Unable to include {file} from {entry.at.file} at line {entry.at.line}"
                self._gatherer.problems.append(Problem(f"{place}: {error.problem.message}", at=entry.at))
            if self.given_up:
                return

    def _may_include(self, file: str, here: tuple[str, ...], at: Place) -> bool:
        """Refuse a loop at once: with a glob in every file it would grow by powers otherwise."""
        if os.path.realpath(file) in here:
            reason = f"'{file}' includes itself"
        elif len(here) >= MAX_DEPTH:
            reason = f"'{file}' would be number {len(here) + 1}"
        else:
            return True
        text = f"failed to include more than {MAX_DEPTH} files recursively: {reason}"
        self._gatherer.problems.append(Problem(text, at=at))
        self.given_up = True
        return False


def _is_searchable(pattern: str) -> bool:
    """Tell whether a wildcard could have matched; for php-fpm a missing directory is an error."""
    directory, name = os.path.split(pattern)
    if not glob.has_magic(name) or glob.has_magic(directory):
        return True
    return os.access(directory or ".", os.R_OK | os.X_OK) and os.path.isdir(directory or ".")


def _read_file(file: str, *, included: bool) -> bytes:
    """Read a file without ever waiting for somebody to write it."""
    try:
        if not included and _is_open_pipe(file):
            with open(file, "rb") as stream:
                return stream.read(_MAX_SIZE + 1)
        if not _is_readable(os.stat(file).st_mode) and os.path.realpath(file) != os.devnull:
            raise _Unreadable(Problem(f"failed to open configuration file '{file}': it is no regular file"))
        # Some regular files of the kernel's would wait, too.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as stream:
            return stream.read(_MAX_SIZE + 1)
    except OSError as error:
        text = f"failed to open configuration file '{file}': {error.strerror} ({error.errno})"
        raise _Unreadable(Problem(text)) from error
    except ValueError as error:
        raise _Unreadable(Problem(f"failed to open configuration file {file!r}: {error}")) from error


def _is_readable(mode: int) -> bool:
    """Regular files, and directories, of which open() says best what is wrong with them."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_open_pipe(file: str) -> bool:
    """Tell a pipe that whoever started us holds open, such as `-y <(program)` in a shell."""
    return stat.S_ISFIFO(os.stat(file).st_mode) and os.path.realpath(file).startswith("/proc/")


def _text_of(file: str, content: bytes) -> str:
    if (position := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, position) + 1
        text = f"configuration file '{file}' is no text: there is a NUL byte in line {line}"
        raise _Unreadable(Problem(text))
    return content.decode("utf-8", "surrogateescape")
