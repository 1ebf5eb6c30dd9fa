"""The peers of a deploy, and HTTP and WebSockets to them by aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import aiohttp
from yarl import URL

from relay.answer import Answer, success_members
from relay.errors import AttemptError, PeerError
from relay.events import Event
from relay.failures import translated
from relay.limits import Limits
from relay.node import Endpoint, Node
from relay.redact import Secrets
from relay.retry import seconds_until
from relay.sockets import Lookups, PatientSocket
from relay.token import Mint, fits_a_header, mint_failure

_GOODBYE = 1.0  # seconds for a peer to say goodbye too
_LOOK = 0.25  # seconds from one look for peers that have hung up to the next
# HTTP-01, HTTP-06: the peer sees no header that the caller did not write.
_NOT_SENT = frozenset({"User-Agent", "Accept", "Accept-Encoding"})


@dataclass(frozen=True)
class Peer:
    """One node, found and ready to be reached."""

    node: Node
    api: Endpoint
    tls: ssl.SSLContext
    mint: Mint
    connections: Connections
    emit: Callable[[Event], None]
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    """What no record and no event may show, should this node quote it (BUG-41)."""

    async def token(self) -> str:
        """Get a new token of the node (SEQ-08).

        Raises:
            AttemptError: There is none, or not in time.
        """
        limit = self.connections.limits.mint
        try:
            async with asyncio.timeout(limit):
                token = await self.mint.mint(self, self.connections)
        except AttemptError:
            raise
        except TimeoutError as error:
            raise mint_failure(f"no answer in {limit:g} s") from error
        except Exception as error:
            raise mint_failure(f"{type(error).__name__}: {error}") from error
        if not fits_a_header(token):
            raise mint_failure("the token is no text that can stand in a header")
        self.secrets.add(token, "[token]")
        return token

    def tell(self, name: str, data: Mapping[str, object]) -> None:
        """Emit an event of this node; from its own words, its secrets are out by now."""
        self.emit(Event(self.node.name, name, data))


class Connections:
    """All connections of one deploy; leaving the context closes them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._session: aiohttp.ClientSession
        self._opened: weakref.WeakSet[PatientSocket] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        # Every peer at once (SEQ-03); aiohttp would stop at 100 connections. Each request has one
        # of its own: a peer may close a used one without a word, or read no more of it (EARLY-04).
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=1e-6, socket_factory=self._open, resolver=Lookups()
        )
        watch = aiohttp.TraceConfig()
        watch.on_request_redirect.append(_refuse_redirect)
        self._session = aiohttp.ClientSession(
            connector=connector,
            # Only connecting is timed here: aiohttp's other timers do not run while a body is sent.
            timeout=aiohttp.ClientTimeout(total=None, connect=self.limits.connect),
            # Nothing of the environment or of another peer shapes a request: no proxy, no cookie.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # No encoding is offered, so none is undone; a small answer cannot swell (BUG-30).
            auto_decompress=False,
            skip_auto_headers=_NOT_SENT,
            trace_configs=[watch],
        )
        self._watch = asyncio.create_task(self._notice_hang_ups())
        return self

    async def _notice_hang_ups(self) -> None:
        """End the connections of peers that have hung up (RES-12).

        A transport of asyncio that has read the end still waits for the peer to take what lies in
        the buffers; one that has nothing there is gone by the second look.
        """
        seen: set[PatientSocket] = set()
        while True:
            await asyncio.sleep(_LOOK)
            now = {opened for opened in self._opened if opened.has_hung_up()}
            for opened in now & seen:
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)
            seen = now

    async def __aexit__(self, *exc_info: object) -> None:
        self._watch.cancel()
        await self._session.close()
        # A TLS connection that aiohttp has closed waits for the peer's goodbye; nobody else does.
        for opened in self._opened:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                # Nothing tells of a transport's end to those who do not own it.
                while any(each.fileno() >= 0 for each in self._opened):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)

    def _open(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = PatientSocket(family, kind, protocol)
        self._opened.add(opened)
        return opened

    @contextlib.asynccontextmanager
    async def exchange(
        self,
        peer: Peer,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes],
        body_is_sent: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """POST to the peer's operations API; inside, its answer can be read as it comes.

        The body goes on being sent meanwhile, chunked if it is an iterator (WIRE-13). Leaving the
        context ends the exchange, whatever is left of the body (EARLY-08).

        Raises:
            AttemptError: There is no complete answer; the stage says how far it came.
        """
        with translated(peer.api.address, self.limits.connect, body_is_sent):
            async with self._session.post(
                URL(peer.api.url, encoded=True),  # path and query stay as given (URL-08)
                data=body,
                headers=headers,
                ssl=peer.tls,
                allow_redirects=False,  # HTTP-04: the token goes nowhere else
            ) as response:
                try:
                    yield response
                except (aiohttp.ClientError, OSError) as error:  # whatever it is, it came too late
                    raise aiohttp.ClientPayloadError from error

    async def ask(
        self, peer: Peer, request: Mapping[str, object], *, token: str | None = None
    ) -> dict[str, object]:
        """Ask the peer's operations API for something small; the members of its answer.

        Raises:
            AttemptError: There is no answer, or it is no success.
        """
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.exchange(peer, headers, json.dumps(request).encode()) as response:
            return success_members(await self.whole(response, peer))

    async def whole(self, response: aiohttp.ClientResponse, peer: Peer) -> Answer:
        """Read an answer to its end, or to the limit."""
        content, most = bytearray(), self.limits.answer_bytes
        wait = seconds_until(response.headers.get("Retry-After"), datetime.now(UTC))
        async for block in response.content.iter_any():
            content += block
            if len(content) > most:
                response.close()
                break
        cut = len(content) > most
        return Answer(response.status, bytes(content[:most]), wait, cut, peer.secrets.hide)

    @contextlib.asynccontextmanager
    async def websocket(
        self, peer: Peer, api: Endpoint, protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """Open a WebSocket to a peer.

        Raises:
            AttemptError: It cannot be opened.
        """
        with translated(api.address, self.limits.connect, lambda: True):
            async with self._session.ws_connect(
                URL(api.url, encoded=True),
                protocols=(protocol,),
                ssl=peer.tls,
                max_msg_size=self.limits.answer_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=_GOODBYE),
            ) as websocket:
                yield websocket


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, seen: aiohttp.TraceRequestRedirectParams
) -> None:
    raise PeerError("connect", f"HTTP {seen.response.status}", status_code=seen.response.status)
