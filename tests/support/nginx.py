"""nginx in front of a FastCGI server, configured as Debian suggests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.fastcgi import Address
from tests.support.http import HOST
from tests.support.servers import free_port, listen
from tests.support.webservers import running
from tests.support.workspace import POOL_USER, ROOT

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log notice;
{user}
events {{ }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  server_names_hash_bucket_size 64;
  client_max_body_size 64m;
  client_body_temp_path {directory}/nginx-body;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  proxy_temp_path {directory}/nginx-proxy;
  scgi_temp_path {directory}/nginx-scgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
{sites}
}}
"""

SITE = """\
  upstream {host} {{
    server {backend};
    {keepalive}
  }}
  server {{
    listen 127.0.0.1:{port};
    server_name {host};
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
       fastcgi_pass {host};
    }}
  }}
"""


@contextmanager
def nginx(
    directory: Path,
    root: Path,
    backend: Address,
    *,
    kept: int = 0,
    more: str = "",
    hosts: Mapping[str, Address] | None = None,
) -> Iterator[int]:
    """Serve a document root with scripts sent to the backend; gives the port.

    So many idle connections to the backend are kept; `more` is said of how scripts are passed on.  Other
    hosts may have backends of their own.
    """
    port = free_port()
    file = directory / "nginx.conf"
    sites = [
        SITE.format(
            host=host,
            port=port,
            root=root,
            keepalive=f"keepalive {kept};" if kept else "",
            more=more,
            kept="on" if kept else "off",
            backend=f"unix:{address}" if isinstance(address, str) else listen(address),
        )
        for host, address in {HOST: backend, **(hosts or {})}.items()
    ]
    user = f"user {POOL_USER};" if ROOT else ""
    file.write_text(CONFIGURATION.format(directory=directory, user=user, sites="".join(sites)))
    log = directory / "nginx.log"
    argv: list[str | Path] = ["/usr/sbin/nginx", "-e", log, "-c", file]
    with running(argv, port, output=directory / "nginx.out", log=log):
        yield port
