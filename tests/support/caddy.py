"""Caddy in front of a FastCGI server, with its own php_fastcgi."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.fastcgi import Address
from tests.support.http import HOST
from tests.support.servers import free_port, listen
from tests.support.webservers import running

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
    with running(argv, port, output=directory / "caddy.out", environ=home):
        yield port
