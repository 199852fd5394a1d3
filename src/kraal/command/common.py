"""What the subcommands that look for a running master share: the flags that say which, help, and errors."""

import sys
from collections.abc import Callable, Iterable, Sequence

from kraal.command.words import Words
from kraal.config.problems import ConfigErrors
from kraal.errors import Error, Exit, UsageError
from kraal.fields import Frozen
from kraal.options import Options, parse

WHICH = "[-y <file>] [-p <prefix>] [-g <file>|<number>]"
FLAGS = """\
  -y, --fpm-config <file>
                   The configuration whose `pid` says where the process id of the master is
  -p, --prefix <dir>
                   Folder that relative paths of the configuration start from
  -g, --pid <file>|<number>
                   Where the process id of the master is, or the process id
  -h, --help       Show this help
"""


class Subcommand(Frozen, kw_only=True):
    """One of them.  `values` and `switches` are its own options, with and without a value."""

    name: str
    usage: str
    values: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    takes_number: bool = False  # a number may stand by itself

    def run(self, arguments: Sequence[str], work: Callable[[Words, Options], int]) -> int:
        """Have the work done, or the help shown.  Returns the exit code of either, or of an error."""
        try:
            words = Words(arguments, values=self.values, switches=self.switches)
            options = parse(words.rest if self.takes_number else [*words.rest, *words.numbers])
            if options.show:
                print(self.usage, end="", flush=True)
                return Exit.OK
            return work(words, options)
        except UsageError as error:
            print(f"{self.usage}\nkraal {self.name}: {error}", file=sys.stderr)
            return error.exit
        except ConfigErrors as error:
            return self.fail(map(str, error.errors), error.exit)
        except Error as error:
            return self.fail([str(error)], error.exit)

    def fail(self, reasons: Iterable[str], code: int = Exit.SOFTWARE) -> int:
        """Say why on standard error.  Returns the code."""
        for reason in reasons:
            print(f"kraal {self.name}: {reason}", file=sys.stderr)
        return code
