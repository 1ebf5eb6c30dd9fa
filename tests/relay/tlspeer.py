"""A peer whose TLS is in the hands of the test: it may break off anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy_relay_kit import relay
from deploy_relay_kit.harness.peer.certificates import Authority
from tests.relay.driving import DEPLOY
from tests.relay.rawpeers import listening

BAD_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)  # application data that nobody encrypted


class TlsPeer:
    """One connection. What is written is sent by `flush`, as one piece if it is small."""

    def __init__(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer
        self._out = bytearray()

    async def _do(self, step: Callable[[], bytes | None]) -> bytes | None:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self._reader.read(1 << 16)
                if not data:
                    raise ConnectionError from None
                self._incoming.write(data)
            else:
                await self.flush()
                return done

    def require_a_certificate(self) -> None:
        """Of the client; before the handshake."""
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._context.verify_mode = ssl.CERT_NONE

    async def handshake(self) -> None:
        await self._do(self._tls.do_handshake)

    async def read_upload(self) -> None:
        """The handshake, and a request up to its last chunk."""
        await self.handshake()
        last = b""
        while not last.endswith(b"\r\n0\r\n\r\n"):
            last = last[-16:] + (await self._do(lambda: self._tls.read(1 << 16)) or b"")

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._out += self._outgoing.read()

    def write_raw(self, data: bytes) -> None:
        self._out += data

    def close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._out += self._outgoing.read()

    async def drain(self) -> None:
        """Read until the client has ended the connection."""
        while await self._reader.read(1 << 16):
            pass

    async def flush(self) -> None:
        out = bytes(self._out) + self._outgoing.read()
        self._out.clear()
        self._writer.write(out)
        await self._writer.drain()


async def record_of(
    peer: Callable[[TlsPeer], Awaitable[None]],
    authority: Authority,
    package: Path,
    **how: object,
) -> relay.Record:
    """The record of a deploy to a peer, which ends each connection with FIN when it returns."""
    context = authority.server_context("127.0.0.1")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer(TlsPeer(context, reader, writer))

    async with listening(serve) as address:
        url = f"https://{address}/"
        node = relay.Node("n", url, mint=relay.GivenToken("a-token"))
        tls = relay.Tls(authority.write(package.with_name("ca.pem")))
        report = await relay.deploy([node], DEPLOY, package, tls=tls, **how)  # type: ignore[arg-type]
    return report.records[0]
