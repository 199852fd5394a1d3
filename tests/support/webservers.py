"""Running a web server that stands in front of kraal or php-fpm."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.servers import reachable
from tests.support.wait import wait_until


@contextmanager
def running(
    argv: Sequence[str | Path],
    port: int,
    *,
    output: Path,
    log: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Start it, wait until it listens, and stop it in the end; gives the port.

    What it prints goes to the output file; the log is where it says why it did not start, if elsewhere.
    """
    with output.open("wb") as stream:
        process = processes.spawn(argv, output=stream, environ=environ)
    try:
        what = f"{Path(argv[0]).name} is up"
        wait_until(lambda: process.poll() is not None or reachable(("127.0.0.1", port)), what=what)
        assert process.poll() is None, (log or output).read_text()
        yield port
    finally:
        processes.end(process, signal.SIGTERM)
