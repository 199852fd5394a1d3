"""Apache with mod_proxy_fcgi in front of a FastCGI server, in the forms that its manual shows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.support.fastcgi import Address
from tests.support.http import HOST
from tests.support.servers import free_port, listen
from tests.support.webservers import running
from tests.support.workspace import POOL_USER, ROOT

Form = Literal["SetHandler", "ProxyPassMatch", "balancer"]
FORMS: tuple[Form, ...] = ("SetHandler", "ProxyPassMatch", "balancer")

MODULES = (
    "mpm_event",
    "authz_core",
    "mime",
    "dir",
    "env",
    "setenvif",
    "proxy",
    "proxy_fcgi",
    "proxy_balancer",
    "lbmethod_byrequests",
    "slotmem_shm",
)

CONFIGURATION = """\
ServerRoot {directory}
DefaultRuntimeDir {directory}
ServerName kraal.test
PidFile {directory}/apache.pid
Mutex file:{directory} default
Listen 127.0.0.1:{port}
{modules}
{user}
ErrorLog {directory}/apache.log
LogLevel warn
TypesConfig /etc/mime.types
StartServers 1
ServerLimit 1
ThreadsPerChild 25
MaxRequestWorkers 25
<Directory {root}>
  Require all granted
  Options FollowSymLinks
  DirectoryIndex index.php doku.php index.html
  FallbackResource /index.php
</Directory>
{sites}
"""

SITE = """\
<VirtualHost 127.0.0.1:{port}>
  ServerName {host}
  DocumentRoot {root}
  # as Debian's conf-available/php8.2-fpm.conf: mod_proxy_fcgi does not pass it by itself
  SetEnvIfNoCase ^Authorization$ "(.+)" HTTP_AUTHORIZATION=$1
{scripts}</VirtualHost>
"""

SCRIPTS: dict[Form, str] = {
    "SetHandler": """\
  <FilesMatch ".+\\.php$">
    SetHandler "proxy:{backend}"
  </FilesMatch>
""",
    "ProxyPassMatch": """\
  ProxyPassMatch "^/(.*\\.php(/.*)?)$" "{backend}{root}/$1"
""",
    "balancer": """\
  <Proxy "balancer://{host}">
    BalancerMember "{backend}"
  </Proxy>
  ProxyPassMatch "^/(.*\\.php(/.*)?)$" "balancer://{host}{root}/$1"
""",
}


def _site(form: Form, host: str, port: int, root: Path, address: Address) -> str:
    # A socket's file comes first, as in Debian's configuration.
    backend = f"unix:{address}|fcgi://{host}" if isinstance(address, str) else f"fcgi://{listen(address)}"
    scripts = SCRIPTS[form].format(backend=backend, host=host, root=root)
    return SITE.format(host=host, port=port, root=root, scripts=scripts)


@contextmanager
def apache(
    directory: Path, root: Path, backend: Address, form: Form, *, hosts: Mapping[str, Address] | None = None
) -> Iterator[int]:
    """Serve a document root with scripts sent to the backend; gives the port.

    Other hosts may have backends of their own.
    """
    port = free_port()
    file = directory / "apache.conf"
    sites = {HOST: backend, **(hosts or {})}
    file.write_text(
        CONFIGURATION.format(
            directory=directory,
            port=port,
            modules="\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in MODULES),
            user=f"User {POOL_USER}\nGroup {POOL_USER}" if ROOT else "",
            root=root,
            sites="".join(_site(form, host, port, root, address) for host, address in sites.items()),
        )
    )
    argv: list[str | Path] = ["/usr/sbin/apache2", "-f", file, "-DFOREGROUND"]
    with running(argv, port, output=directory / "apache.out"):
        yield port
