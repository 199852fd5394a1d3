"""Caddy in front of a FastCGI server, with its own php_fastcgi."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.fastcgi import Address
from tests.support.http import HOST
from tests.support.servers import free_port, listen, reachable
from tests.support.wait import wait_until

CONFIGURATION = """\
{{
  admin off
  auto_https off
  grace_period 1s
  storage file_system {directory}/caddy
  default_bind 127.0.0.1
}}
{sites}
"""

SITE = """\
http://{host}:{port} {{
  root * {root}
  php_fastcgi {backend}
  file_server
}}
"""


@contextmanager
def caddy(
    directory: Path, root: Path, backend: Address, *, hosts: Mapping[str, Address] | None = None
) -> Iterator[int]:
    """Serve a document root with scripts sent to the backend; gives the port.

    Other hosts may have backends of their own.  Whatever Caddy keeps is below the directory.
    """
    port = free_port()
    file = directory / "Caddyfile"
    sites = [
        SITE.format(
            host=host,
            port=port,
            root=root,
            backend=f"unix/{address}" if isinstance(address, str) else listen(address),
        )
        for host, address in {HOST: backend, **(hosts or {})}.items()
    ]
    file.write_text(CONFIGURATION.format(directory=directory, sites="".join(sites)))
    home = {name: str(directory) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    argv: list[str | Path] = ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", file]
    output = directory / "caddy.out"
    with output.open("wb") as stream:
        process = processes.spawn(argv, output=stream, environ=home)
    try:
        wait_until(lambda: process.poll() is not None or reachable(("127.0.0.1", port)), what="Caddy is up")
        assert process.poll() is None, output.read_text()
        yield port
    finally:
        processes.end(process, signal.SIGTERM)
