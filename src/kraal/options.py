"""The flags of the command line, by the rules of php-fpm, which are not those of getopt(3).

Long names are written in full; `-y=FILE` is `-y FILE`; a switch may carry a value that nobody reads.
Flags are looked at one after the other: the first that shows something, or is wrong, ends the reading.
"""

from collections.abc import Iterator, Sequence

from kraal.errors import UsageError
from kraal.fields import Frozen, replace


class Flag(Frozen):
    """One row of the table of flags."""

    letter: str
    name: str
    takes_value: bool = False


FLAGS = (
    Flag("c", "php-ini", takes_value=True),
    Flag("d", "define", takes_value=True),
    Flag("e", "profile-info"),
    Flag("h", "help"),
    Flag("i", "info"),
    Flag("m", "modules"),
    Flag("n", "no-php-ini"),
    Flag("?", "usage"),
    Flag("v", "version"),
    Flag("y", "fpm-config", takes_value=True),
    Flag("t", "test"),
    Flag("p", "prefix", takes_value=True),
    Flag("g", "pid", takes_value=True),
    Flag("R", "allow-to-run-as-root"),
    Flag("D", "daemonize"),
    Flag("F", "nodaemonize"),
    Flag("O", "force-stderr"),
)
_BY_LETTER = {flag.letter: flag for flag in FLAGS}
_BY_NAME = {flag.name: flag for flag in FLAGS}
_SHOWN_AT_ONCE = {"h": "help", "?": "help", "v": "version", "m": "modules"}


class Options(Frozen, kw_only=True):
    """The command line, understood."""

    config: str | None = None
    ini: str | None = None
    ini_ignore: bool = False
    defines: tuple[str, ...] = ()
    extended_info: bool = False
    prefix: str | None = None
    pid: str | None = None
    allow_root: bool = False
    daemonize: bool | None = None
    force_stderr: bool = False
    tests: int = 0
    show: str | None = None  # help, version, info or modules


def parse(arguments: Sequence[str]) -> Options:
    """Understand php-fpm's flags.  Raises UsageError."""
    words = _Words(arguments)
    options = Options()
    for flag, value in words.flags():
        if flag.letter in _SHOWN_AT_ONCE:
            return replace(options, show=_SHOWN_AT_ONCE[flag.letter])
        options = _apply(options, flag.letter, value)
    if words.rest and options.show is None:
        raise UsageError(f"unexpected argument: {words.rest[0]}")
    return options


class _Words:
    """The arguments, and how far they are read."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.rest = list(arguments)

    def flags(self) -> Iterator[tuple[Flag, str]]:
        """Yield flag after flag with its value, up to the first word that is none."""
        while self.rest and self.rest[0].startswith("-") and self.rest[0] != "-":
            word = self.rest.pop(0)
            if word == "--":
                return
            if word.startswith("--"):
                yield self._long(word)
            else:
                yield from self._short(word)

    def _long(self, word: str) -> tuple[Flag, str]:
        # As in php-fpm an equals sign that ends the word belongs to the name, which then is unknown.
        equals = word.find("=", 2, -1)
        name, attached = (word[2:], "") if equals < 0 else (word[2:equals], word[equals + 1 :])
        flag = _BY_NAME.get(name)
        if flag is None:
            raise UsageError(f"option --{name} not recognized")
        return flag, self._value(flag, attached, f"--{name}") if flag.takes_value else ""

    def _short(self, word: str) -> Iterator[tuple[Flag, str]]:
        for position, letter in enumerate(word[1:], start=2):
            flag = _BY_LETTER.get(letter)
            if flag is None:
                raise UsageError(f"option -{letter} not recognized")
            if flag.takes_value:
                yield flag, self._value(flag, word[position:], f"-{letter}")
                return
            yield flag, ""

    def _value(self, flag: Flag, attached: str, shown: str) -> str:
        if attached:
            return attached.removeprefix("=")
        if not self.rest:
            raise UsageError(f"option {shown} requires argument")
        return self.rest.pop(0)


def _apply(options: Options, letter: str, value: str) -> Options:
    match letter:
        case "c":
            return replace(options, ini=value)
        case "n":
            return replace(options, ini_ignore=True)
        case "d":
            return replace(options, defines=(*options.defines, value))
        case "e":
            return replace(options, extended_info=True)
        case "i":
            return replace(options, show="info")
        case "y":
            return replace(options, config=value)
        case "p":
            return replace(options, prefix=value)
        case "g":
            return replace(options, pid=value)
        case "R":
            return replace(options, allow_root=True)
        case "D" | "F":
            return replace(options, daemonize=letter == "D")
        case "O":
            return replace(options, force_stderr=True)
        case _:
            return replace(options, tests=options.tests + 1)
