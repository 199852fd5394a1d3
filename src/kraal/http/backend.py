"""Ask the pool for a page from inside asyncio, with body and answer streaming at the same time.

A connection serves one request.  On a Unix socket a new one costs little, and it can be closed
at any moment, which is how the pool learns that the browser has gone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from kraal.errors import RemoteProtocolError
from kraal.fastcgi.client import READ_SIZE
from kraal.fastcgi.connection import ClientConnection
from kraal.fastcgi.events import ClientEvent, RequestEnded
from kraal.fastcgi.records import Pair
from kraal.fastcgi.states import ClientState


class Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ClientConnection()

    async def send(self, params: Iterable[Pair], body: AsyncIterator[bytes]) -> None:
        """Send the request; returns early when the answer ended first or the pool hung up."""
        try:
            await self._write(self._protocol.request(params))
            async for content in body:
                if self._protocol.state is not ClientState.SENDING:
                    return
                await self._write(self._protocol.body(content))
            if self._protocol.state is ClientState.SENDING:
                await self._write(self._protocol.end_body())
        except ConnectionError:
            # The answer may have been sent before: who reads it learns the rest.
            return

    async def events(self) -> AsyncIterator[ClientEvent]:
        """The events of the answer; the last is `RequestEnded`."""
        while True:
            event = self._protocol.next_event()
            if event is None:
                await self._read()
                continue
            yield event
            if isinstance(event, RequestEnded):
                return

    async def _write(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def _read(self) -> None:
        try:
            received = await self._reader.read(READ_SIZE)
        except ConnectionError as error:
            raise RemoteProtocolError(f"the pool broke the connection: {error.strerror}") from error
        if received:
            self._protocol.receive_data(received)
        else:
            self._protocol.receive_eof()


class Backend:
    """The pool behind a Unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange]:
        """A connection for one request; leaving the block closes it, whatever was under way."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            yield Exchange(reader, writer)
        finally:
            # abort(), not close(): that would first wait for a body which nobody takes any more.
            writer.transport.abort()
