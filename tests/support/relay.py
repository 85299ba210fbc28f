"""A piece of network that can be cut: passes bytes on between a client and a server, in the event loop of the tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class Relay:
    """Listens on a port of its own for as long as it is up."""

    def __init__(self, host: str, port: int) -> None:
        """Where it passes connections on to."""
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open = set[asyncio.StreamWriter]()
        self.port = 0
        """Known once it is up; it stays the same."""

    async def up(self) -> None:
        """Takes connections, on the same port as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Ends all connections at once and takes no more."""
        if self._server:
            self._server.close()
        for writer in [*self._open]:
            writer.transport.abort()
        await asyncio.sleep(0)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Cut until the block ends."""
        await self.cut()
        try:
            yield
        finally:
            await self.up()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            self._open |= {writer, there_writer}
            try:
                await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
            finally:
                self._open -= {writer, there_writer}
                there_writer.close()
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
