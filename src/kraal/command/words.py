"""Arguments of a subcommand: its own are taken out, the rest is php-fpm's.  Pure."""

from collections.abc import Sequence

from kraal.errors import UsageError


class Words:
    """The arguments."""

    def __init__(
        self, arguments: Sequence[str], *, values: Sequence[str] = (), switches: Sequence[str] = ()
    ) -> None:
        """Take our options out: `values` (`--pool www`, `--pool=www`) and `switches`.  Raises UsageError."""
        self.rest: list[str] = []
        self._values: dict[str, str] = {}
        self._switches: set[str] = set()
        self.numbers: list[str] = []  # that stand by themselves
        waiting = list(arguments)
        before = ""
        while waiting:
            word = waiting.pop(0)
            name, equals, value = word.partition("=")
            if name in values:
                if not equals and not waiting:
                    raise UsageError(f"option {name} requires argument")
                self._values[name] = value if equals else waiting.pop(0)
            elif word in switches:
                self._switches.add(word)
            elif word.isdigit() and not _takes_value(before):
                self.numbers.append(word)
            else:
                self.rest.append(word)
            before = word

    def value(self, name: str) -> str | None:
        """What was given to an option."""
        return self._values.get(name)

    def has(self, switch: str) -> bool:
        """Whether a switch was given."""
        return switch in self._switches

    def number(self) -> int | None:
        """The one number that stands by itself.  Raises UsageError if there are more."""
        if len(self.numbers) > 1:
            raise UsageError(f"unexpected argument: {self.numbers[1]}")
        return int(self.numbers[0]) if self.numbers else None

    def amount(self, name: str, default: float, *, most: float) -> float:
        """A positive number that was given to an option.  Raises UsageError."""
        text = self._values.get(name)
        if text is None:
            return default
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 0 < found <= most:
            raise UsageError(f"{name} {text}: a number above 0 and up to {most:g} is wanted")
        return found


def _takes_value(word: str) -> bool:
    """Whether a flag of php-fpm's waits for the next word."""
    return word in ("-g", "--pid", "-y", "--fpm-config", "-p", "--prefix")
