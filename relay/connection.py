"""HTTP to the peers: the one place that knows aiohttp, and where its errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from relay.answer import Answer
from relay.errors import AttemptError, PeerError, Stage
from relay.tls import certificate_flaw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from relay.limits import Limits
    from relay.node import Node, OperationsApi

_GOODBYE = 1.0  # seconds for the event loop to notice that its sockets are shut down
# HTTP-01, HTTP-06: the peer sees no header that the caller did not write; without Accept it answers
# JSON.
_NOT_SENT = frozenset({"User-Agent", "Accept", "Accept-Encoding"})


@dataclass(frozen=True)
class Peer:
    """One node, found and ready to be connected to."""

    node: Node
    api: OperationsApi
    tls: ssl.SSLContext


class Connections:
    """All HTTP connections of one deploy; leaving the context closes them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._session: aiohttp.ClientSession
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # Every peer at once (SEQ-03); aiohttp would stop at 100 connections.
            connector=aiohttp.TCPConnector(limit=0, socket_factory=self._socket),
            # Only connecting is timed here: aiohttp's other timers do not run while a body is sent.
            timeout=aiohttp.ClientTimeout(total=None, connect=self.limits.connect),
            # Nothing from the environment or from another peer may shape a request: no proxy, no
            # netrc, no cookie.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # No encoding is offered, so none is undone: a small answer cannot swell in memory
            # (BUG-30).
            auto_decompress=False,
            skip_auto_headers=_NOT_SENT,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()
        # A TLS connection that aiohttp has closed waits for the peer's goodbye; nobody else does.
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                # Nothing tells of a transport's end to those who do not own it.
                while any(opened.fileno() >= 0 for opened in self._sockets):  # noqa: ASYNC110
                    await asyncio.sleep(0)

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        self._sockets.add(opened)
        return opened

    async def post(
        self,
        peer: Peer,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes | memoryview],
        body_is_sent: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """POST to the peer's operations API, and read its answer while the body is being sent.

        A complete answer ends the exchange, whatever is left of the body (EARLY-08). A body that is
        an iterator goes out chunked (WIRE-13).

        Raises:
            AttemptError: There is no complete answer; the stage says how far it came.
        """
        with _translated(peer, body_is_sent):
            async with self._session.post(
                URL(peer.api.url, encoded=True),  # path and query stay as given (URL-08)
                data=body,
                headers=headers,
                ssl=peer.tls,
                allow_redirects=False,  # HTTP-04: the token goes nowhere else
            ) as response:
                content, cut = await self._bounded(response)
                return Answer(
                    response.status, content, response.headers.get("Content-Type", ""), cut
                )
        raise AssertionError  # unreachable: _translated never swallows

    async def _bounded(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        content = bytearray()
        async for block in response.content.iter_any():
            content += block
            if len(content) > self.limits.answer_bytes:
                response.close()
                return bytes(content[: self.limits.answer_bytes]), True
        return bytes(content), False


@contextlib.contextmanager
def _translated(peer: Peer, body_is_sent: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError and ssl.SSLError are OSErrors
        ours = next((cause for cause in _chain(error) if isinstance(cause, AttemptError)), None)
        raise ours or _failure(peer, error, sent=body_is_sent()) from error


# What aiohttp raises, as stages and readable reasons (RES-10); the first that fits counts.
_FAILURES: tuple[tuple[type[Exception], Stage, str], ...] = (
    (aiohttp.ClientConnectorDNSError, "connect", "cannot find its host"),
    (aiohttp.ClientConnectorError, "connect", "cannot connect"),
    (aiohttp.ConnectionTimeoutError, "connect", "cannot connect in time"),
    (aiohttp.ClientPayloadError, "answer", "the answer was cut short"),  # RES-12
    (aiohttp.ClientResponseError, "answer", "the answer is not HTTP"),
)


def _failure(peer: Peer, error: Exception, *, sent: bool) -> AttemptError:
    address = peer.api.address
    for cause in _chain(error):
        if isinstance(cause, aiohttp.ClientError):
            continue  # some of them count as ssl errors, without what makes those useful
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PeerError("tls", f"the certificate of {address} {certificate_flaw(cause)}")
        if isinstance(cause, ssl.SSLError):
            return PeerError("tls", f"TLS with {address} failed: {_words(error)}")
    lost: tuple[Stage, str] = (
        ("answer", "no answer") if sent else ("upload", "the connection was lost")
    )
    stage, what = next(
        ((stage, what) for raised, stage, what in _FAILURES if isinstance(error, raised)), lost
    )
    reason = f"{address}: {what}: {_words(error)}"
    return PeerError(stage, reason, uncertain=sent and stage == "answer")


def _words(error: Exception) -> str:
    """The cause in plain words, free of what aiohttp puts around it."""
    for cause in _chain(error):
        if isinstance(cause, aiohttp.ServerDisconnectedError):
            break
        if isinstance(cause, aiohttp.ClientError):
            continue
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            known = cause.errno in errno.errorcode and not isinstance(cause, socket.gaierror)
            return os.strerror(cause.errno) if known else cause.strerror
        if not isinstance(cause, ConnectionError):  # asyncio leaves those without words
            return str(getattr(cause, "message", cause)) or type(cause).__name__
    return "the peer closed the connection"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the innermost last."""
    while error is not None:
        yield error
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        error = inner or error.__cause__ or error.__context__
