"""The connection of one exchange: what the peer sent on it, and whether it ended it properly."""

import asyncio
import contextvars
import ssl
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Self, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.framing import Framing
from deploy_relay_kit.relay.pace import Pace, Work
from deploy_relay_kit.relay.payload import Block
from deploy_relay_kit.relay.tlstransport import TlsTransport

HEAD_BYTES = 131_072
"""How much a peer may send before the head of its answer is complete, with all interim answers.

The head itself has at most 128 lines of 8,190 bytes in aiohttp. More than its buffers hold of an
answer never arrives before the head is noticed.
"""
MOST_BYTES = 1 << 28
"""How much a peer may send in one exchange, with the framing of its chunks, which may be long."""
_LOOK_AGAIN = 0.005  # seconds until a slow reader may have taken more of an answer
_BODILESS = {HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class PatientTls(ssl.SSLObject):
    """TLS that reports a broken record one read late, so that the answer is read first (EARLY-08).

    `is_closed` says whether the peer closed its side (close_notify), so that nothing is missing.
    """

    is_closed = False
    _broken: ssl.SSLError | None = None
    _has_read = False  # since it last had to wait

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  as in the base class
        if self._broken is not None:
            raise self._broken
        try:
            taken = super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._has_read = False
            raise
        except ssl.SSLError as error:
            if not self._has_read:
                raise
            self._broken = error
            # asyncio hands over what it has read, then reads again.
            return b"" if buffer is None else 0
        self._has_read = bool(taken)
        self.is_closed = not taken
        return taken


class Link(asyncio.Protocol):
    """Stands between a transport and the protocol of aiohttp.

    aiohttp would refuse an answer that arrives together with bytes that do not belong to it.
    """

    most = HEAD_BYTES
    """How many bytes the peer may send, with framing."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._tls = transport.get_extra_info("ssl_object")
        self._inner = cast("asyncio.Protocol", transport.get_protocol())
        self.failure: PeerError | None = None
        self.tls_error: ssl.SSLError | None = None
        """What ended the connection; aiohttp may report a write that failed afterwards instead."""
        self.broken: BaseException | None = None
        """Why the rest of the body cannot be understood."""
        self._received = 0
        self._framing = Framing()
        self._content: aiohttp.StreamReader | None = None
        transport.set_protocol(self)
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        while count := self._framing.take(data):
            self._take(data[:count])
            data = data[count:]

    def _take(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._received <= self.most:
            self._inner.data_received(piece)
            self._break_off()
        elif self.failure is None:
            what = "the head of an answer" if self.most == HEAD_BYTES else "the end of its answer"
            reason = f"it sent {self.most} bytes, but not {what}"
            self.failure = PeerError("answer", reason, uncertain=True)
            self._transport.abort()

    def watch(self, content: aiohttp.StreamReader) -> None:
        """End this body when its framing is broken, which aiohttp tells the head's reader only."""
        self._content = content
        self._break_off()

    def _break_off(self) -> None:
        error = cast("ResponseHandler", self._inner).exception()
        if error is not None and self._content is not None and not self._content.is_eof():
            self.broken = error
            self._content.feed_eof()  # what came before can still be read

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it when all that had arrived before is read, which aiohttp would drop."""
        if isinstance(exc, ssl.SSLError):
            self.tls_error = exc
        if self.failure is None and self._is_held_back:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self.connection_lost, exc)
        else:
            self._inner.connection_lost(self.failure or exc)

    @property
    def _is_held_back(self) -> bool:
        inner = cast("Any", self._inner)  # its transport is None once the answer is given up
        # Its parser keeps what a slow reader has no room for.
        is_paused = getattr(inner, "_reading_paused", False)
        is_unread = getattr(self._content, "_size", 0) > 0
        return inner.transport is not None and (is_paused or is_unread)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def cuts(self, response: aiohttp.ClientResponse) -> bool:
        """Whether an answer that has ended may lack its end (RFC 9112, 9.8).

        Without a length, only the end of TLS says that it is complete. Without TLS, nothing does.
        """
        # The parser of aiohttp also understands a name with a space at its end.
        names = {name.strip().lower() for name in response.headers}
        if (
            names & {"content-length", "transfer-encoding"}
            or response.status in _BODILESS
            or self._tls is None
        ):
            return False
        return not self._tls.is_closed


class Reply:
    """An answer whose head is complete. Iterating yields its body as it arrives.

    Iterating raises a `PeerError` if the end of the body may be missing.
    """

    def __init__(self, response: aiohttp.ClientResponse, link: Link, pace: Pace) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._link = link
        self._work = Work(pace)
        self._began: float | None = None
        link.most = MOST_BYTES
        link.watch(response.content)

    def close(self) -> None:
        """Read no more of it."""
        self._response.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._began is not None:  # what the last block has cost
            await self._work.rest(time.thread_time() - self._began)
        content = self._response.content
        self._began = time.thread_time()
        try:
            block = content.read_nowait()  # which also parses what aiohttp held back
            if not block and not content.at_eof():
                block = await content.readany()
                self._began = time.thread_time()
        except aiohttp.ClientError:
            if self._link.failure is not None:
                raise self._link.failure from None
            raise
        if not block:
            if self._link.broken is not None:
                raise aiohttp.ClientPayloadError from self._link.broken
            if self._link.cuts(self._response):
                reason = "the answer was cut short: the peer ended the connection, but not TLS"
                raise PeerError("answer", reason, uncertain=True)
            raise StopAsyncIteration
        return block


Part = bytes | Block
"""Of a body; a block is read before the next part is asked for."""


class Streamed(aiohttp.AsyncIterablePayload):
    """A body in parts, whose blocks are sent without a copy of them where that is possible.

    `progress` is called when the connection has taken something of a part for which it had no room.
    """

    def __init__(self, parts: AsyncIterator[Part], progress: Callable[[], None]) -> None:
        super().__init__(cast("AsyncIterator[bytes]", parts))
        self._parts = parts
        self._progress = progress

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        """`writer` is the StreamWriter of aiohttp; the length is always None."""
        del content_length
        async for part in self._parts:
            transport = writer.transport
            is_direct = isinstance(transport, TlsTransport) and not transport.is_closing()
            if isinstance(part, bytes) or not is_direct:
                await writer.write(bytes(part))  # which raises if the connection is lost
                continue
            transport.progress = self._progress
            transport.send_on(part.chunk())
            await writer.drain()


_LINKS = contextvars.ContextVar[list[Link]]("links of the latest exchange of a task")


def collected_links() -> list[Link]:
    """A list that gets the link of each connection that this task opens from now on."""
    links: list[Link] = []
    _LINKS.set(links)
    return links


def link(connection: aiohttp.connector.Connection) -> None:
    """Link a connection on which nothing has been sent yet."""
    if (transport := connection.transport) is not None:
        _LINKS.get().append(Link(transport))
