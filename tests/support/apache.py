"""Apache with mod_proxy_fcgi in front of a FastCGI server on TCP."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.support import processes
from tests.support.fastcgi import Address
from tests.support.servers import free_port, listen, reachable
from tests.support.wait import wait_until
from tests.support.workspace import POOL_USER, ROOT

Form = Literal["SetHandler", "ProxyPassMatch"]
FORMS: tuple[Form, ...] = ("SetHandler", "ProxyPassMatch")

MODULES = ("mpm_event", "authz_core", "mime", "dir", "env", "setenvif", "proxy", "proxy_fcgi")

CONFIGURATION = """\
ServerRoot {directory}
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
DocumentRoot {root}
<Directory {root}>
  Require all granted
  Options FollowSymLinks
  DirectoryIndex index.php doku.php index.html
  FallbackResource /index.php
</Directory>
# as Debian's conf-available/php8.2-fpm.conf: mod_proxy_fcgi does not pass it by itself
SetEnvIfNoCase ^Authorization$ "(.+)" HTTP_AUTHORIZATION=$1
{scripts}
"""

SCRIPTS: dict[Form, str] = {
    "SetHandler": '<FilesMatch ".+\\.php$">\n  SetHandler "proxy:fcgi://{backend}"\n</FilesMatch>',
    "ProxyPassMatch": 'ProxyPassMatch "^/(.*\\.php(/.*)?)$" "fcgi://{backend}{root}/$1"',
}


@contextmanager
def apache(directory: Path, root: Path, backend: Address, form: Form) -> Iterator[int]:
    """Serve a document root with scripts sent to the backend; gives the port."""
    port = free_port()
    file = directory / "apache.conf"
    file.write_text(
        CONFIGURATION.format(
            directory=directory,
            port=port,
            modules="\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in MODULES),
            user=f"User {POOL_USER}\nGroup {POOL_USER}" if ROOT else "",
            root=root,
            scripts=SCRIPTS[form].format(backend=listen(backend), root=root),
        )
    )
    output = directory / "apache.out"
    with output.open("wb") as stream:
        process = processes.spawn(["/usr/sbin/apache2", "-f", file, "-DFOREGROUND"], output=stream)
    try:
        wait_until(lambda: process.poll() is not None or reachable(("127.0.0.1", port)), what="Apache is up")
        assert process.poll() is None, output.read_text()
        yield port
    finally:
        processes.end(process, signal.SIGTERM)
