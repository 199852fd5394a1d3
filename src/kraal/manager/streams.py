"""The standard streams of a manager, which workers inherit."""

import os

from kraal.boot import Descriptor


def speak_into_file(*, wanted: bool) -> None:
    """Extensions write to standard output and standard error; who catches that of workers wants this, too."""
    if wanted:
        os.dup2(Descriptor.SAID, 1)
        os.dup2(Descriptor.SAID, 2)
    os.close(Descriptor.SAID)


def let_go_of_terminal(null: int) -> None:
    """What workers write goes nowhere unless it is caught, and nobody waits for us to close a terminal."""
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
