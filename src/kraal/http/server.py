"""Run the front on its ASGI server until a signal comes or the master ends."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from kraal.http.app import Front
from kraal.http.backend import Backend
from kraal.http.master import STOP_SIGNALS, Master

# A download that is under way may go on for so long after Ctrl-C.
_PATIENCE = 3


# Told about an answer that breaks off: because of Ctrl-C, or for a reason that we have printed.
_SAID_ELSEWHERE = ("ASGI callable returned without completing response", "Cancel %s running task")


class _Server(uvicorn.Server):
    """uvicorn that tells when it is ready, and leaves the signals to us.

    Its own way would raise the signal again at the end, before the master has been stopped.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(
    directory: str, listener: socket.socket, pool_socket: str, master: Master, ready: Callable[[], None]
) -> None:
    """Serve; returns after a stop signal, raises when the master has ended by itself."""
    config = uvicorn.Config(
        Front(directory, Backend(pool_socket)),
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = _Server(config, ready)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, server.handle_exit, number, None)
    with _told_of_end(master, lambda: server.handle_exit(signal.SIGTERM, None)):
        await server.serve(sockets=[listener])
    master.check()


def _is_news(message: logging.LogRecord) -> bool:
    return not str(message.msg).startswith(_SAID_ELSEWHERE)


@contextmanager
def _told_of_end(master: Master, tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when the master ends."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(master.pid)

    def told() -> None:
        loop.remove_reader(descriptor)
        tell()

    loop.add_reader(descriptor, told)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
