"""nginx in front of a FastCGI server, configured as Debian suggests."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.fastcgi import Address
from tests.support.servers import free_port, listen, reachable
from tests.support.wait import wait_until
from tests.support.workspace import POOL_USER, ROOT

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log notice;
{user}
events {{ }}
http {{
  upstream pool {{
    server {backend};
    {keepalive}
  }}
  include /etc/nginx/mime.types;
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {directory}/nginx-body;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  proxy_temp_path {directory}/nginx-proxy;
  scgi_temp_path {directory}/nginx-scgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  server {{
    listen 127.0.0.1:{port};
    server_name kraal.test;
    root {root};
    index index.php doku.php index.html;
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ [^/]\\.php(/|$) {{
      fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
      try_files $fastcgi_script_name =404;
      set $path_info $fastcgi_path_info;
      fastcgi_param PATH_INFO $path_info;
      include /etc/nginx/fastcgi.conf;
      fastcgi_keep_conn {kept};
      {more}
      fastcgi_pass pool;
    }}
  }}
}}
"""


@contextmanager
def nginx(directory: Path, root: Path, backend: Address, *, kept: int = 0, more: str = "") -> Iterator[int]:
    """Serve a document root with scripts sent to the backend; gives the port.

    So many idle connections to the backend are kept; `more` is said of how scripts are passed on.
    """
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            directory=directory,
            user=f"user {POOL_USER};" if ROOT else "",
            port=port,
            root=root,
            keepalive=f"keepalive {kept};" if kept else "",
            more=more,
            kept="on" if kept else "off",
            backend=f"unix:{backend}" if isinstance(backend, str) else listen(backend),
        )
    )
    log = directory / "nginx.log"
    with (directory / "nginx.out").open("wb") as output:
        process = processes.spawn(["/usr/sbin/nginx", "-e", log, "-c", file], output=output)
    try:
        wait_until(lambda: process.poll() is not None or reachable(("127.0.0.1", port)), what="nginx is up")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        processes.end(process, signal.SIGTERM)
