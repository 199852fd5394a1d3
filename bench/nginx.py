"""nginx in front of a FastCGI server, with one worker."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_START_TIMEOUT = 10.0
_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
{user}
events {{ worker_connections 9000; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_max_body_size 200m;
  client_body_temp_path {directory}/nginx-body;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  proxy_temp_path {directory}/nginx-proxy;
  scgi_temp_path {directory}/nginx-scgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  upstream php {{ server {backend}; {keepalive} }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {directory};
    location / {{
      include /etc/nginx/fastcgi.conf;
      fastcgi_keep_conn {kept};
      fastcgi_pass php;
    }}
  }}
}}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(directory: Path, backend: str, *, kept: bool) -> Iterator[str]:
    """Passes everything on to the backend, on kept connections or new ones; gives host:port."""
    command = shutil.which("nginx", path=f"/usr/sbin:{os.environ.get('PATH', '')}")
    if not command:
        raise SystemExit("nginx is not installed")
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            directory=directory,
            port=port,
            user="user www-data;" if os.geteuid() == 0 else "",
            backend=f"unix:{backend}" if backend.startswith("/") else backend,
            keepalive="keepalive 64; keepalive_requests 1000000;" if kept else "",
            kept="on" if kept else "off",
        )
    )
    process = subprocess.Popen([command, "-e", f"{directory}/nginx.log", "-c", str(file)])
    try:
        _wait_for(process, port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise SystemExit("nginx did not start")
