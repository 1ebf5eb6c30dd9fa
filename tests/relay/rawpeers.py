"""Peers whose answers are any bytes, also without end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from deploy_relay_kit import relay

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]
"""Gets the head of a request, too; the connection is closed when it returns."""

LAST_CHUNK = b"\r\n0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@contextlib.asynccontextmanager
async def listening(
    connection: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    *,
    read_ahead: int = 1 << 26,
) -> AsyncIterator[str]:
    """Host and port of a server. At the end its connections must have ended, and are closed.

    It may read twice as many bytes as `read_ahead` before they are asked for.
    """
    served = set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            try:
                await connection(reader, writer)
            finally:
                writer.close()
            await writer.wait_closed()

    started = asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=read_ahead)
    async with await started as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(30):
            await asyncio.gather(*filter(None, served))


@contextlib.asynccontextmanager
async def raw_node(serve: Serve, name: str = "n") -> AsyncIterator[relay.Node]:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer, await reader.readuntil(b"\r\n\r\n"))

    async with listening(connection) as address:
        yield relay.Node(name, f"http://{address}/", mint=relay.GivenToken("a-token"))


def flooding(head: bytes, block: bytes) -> Serve:
    """After the upload, the head, and then the block again and again until the relay hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes) -> None:
        await reader.readuntil(LAST_CHUNK)
        writer.write(head)
        while True:
            writer.write(block)
            await writer.drain()

    return serve


def taking(*answers: bytes, pause: float = 0.0) -> Serve:
    """After the upload, these bytes, with a pause before each; then wait for the relay."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes) -> None:
        await reader.readuntil(LAST_CHUNK)
        for answer in answers:
            await asyncio.sleep(pause)  # the pace of this peer
            writer.write(answer)
            await writer.drain()
        await reader.read()

    return serve


def chunked(data: bytes, size: int) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(data, size))


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
