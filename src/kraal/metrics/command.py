"""The command `kraal metrics`: the figures of a running master, as Prometheus reads them."""

import sys
from collections.abc import Sequence

from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.whereabouts import master
from kraal.command.words import Words
from kraal.errors import Exit
from kraal.metrics.exposition import render
from kraal.metrics.families import families
from kraal.metrics.sight import Sight
from kraal.options import Options

USAGE = f"""\
Usage: kraal metrics {WHICH}

Print figures of a running master and of its pools in the text format of Prometheus.  It takes the rights to
look into the master: root, or its user.

{FLAGS}"""


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return Subcommand(name="metrics", usage=USAGE).run(arguments, _print)


def _print(_words: Words, options: Options) -> int:
    text = render(families(Sight(master(options)).look()))
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
    return Exit.OK
