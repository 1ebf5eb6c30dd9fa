"""One node, resolved and ready: HTTP, WebSockets and tokens."""

import contextlib
import functools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from deploy_relay_kit.relay.answer import (
    Answer,
    proxy_without_early_answers,
    success_members,
    unasked_coding,
)
from deploy_relay_kit.relay.connection import Connections, Route
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import InputError, OriginError, PeerError, Stage
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.failures import translated
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.link import (
    MOST_BYTES,
    Link,
    Part,
    Reply,
    Streamed,
    collected_links,
)
from deploy_relay_kit.relay.node import LocalSettings, Mint, Node
from deploy_relay_kit.relay.rate import Rate
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.retry import seconds_until
from deploy_relay_kit.relay.tlstransport import CLOSE_SECONDS
from deploy_relay_kit.relay.token import fits_a_header
from deploy_relay_kit.relay.urls import Endpoint, adds_a_slash, resolve_replication, server_name


@dataclass(frozen=True)
class Peer:
    """One node of a deploy; also the `MintContext` of its mint."""

    node: Node
    api: Endpoint
    tls: ssl.SSLContext
    mint: Mint
    connections: Connections
    local: LocalSettings
    allow_http: bool
    on_event: Callable[[Event], None]
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    """Removed from the node's records and events, in case it quotes them (BUG-41)."""
    fronts: set[str] = field(default_factory=set)
    """Proxies in front of the node that spoil an upload whose answer begins early."""
    doubts: set[str] = field(default_factory=set)
    """Why the node may deploy although the relay has broken off the exchange."""

    @functools.cached_property
    def rates(self) -> tuple[Rate, Rate]:
        """The rate of this node, and that of the whole deploy."""
        return Rate(self.node.rate), self.connections.rate

    @property
    def limits(self) -> Limits:
        return self.connections.limits

    def emit(self, name: str, data: Mapping[str, object]) -> None:
        """Emit an event of this node; secrets in the node's own text must be hidden already."""
        self.on_event(Event(self.node.name, name, data))

    def hide(self, secret: str, word: str) -> None:
        self.secrets.add(secret, word)

    async def token(self) -> str:
        """Get a new token of the node (SEQ-08).

        Raises:
            AttemptError: There is no token, or not within the limit.
        """
        try:
            async with Deadline(self.limits.mint):
                token = await self.mint.mint(self)
        except OriginError:
            raise
        except TimeoutError as error:
            raise mint_failure(f"no answer in {self.limits.mint:g} s") from error
        except (PeerError, InputError) as error:
            raise mint_failure(str(error), error) from error
        except Exception as error:
            raise mint_failure(f"{type(error).__name__}: {error}") from error
        if not fits_a_header(token):
            raise mint_failure("the token is not valid in a header, or too long for it")
        self.hide(token, "[token]")
        return token

    @contextlib.asynccontextmanager
    async def post(
        self,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[Part],
        body_is_sent: Callable[[], bool] = lambda: True,
        progress: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Reply]:
        """POST to the operations API; inside the context, the answer can be read as it arrives.

        The body is sent at the same time, chunked if it is an iterator (WIRE-13). Leaving the
        context ends the exchange, also if a part of the body is not sent yet (EARLY-08).

        aiohttp writes HTTP/1.1 and adds two headers, Host, without a default port, and either
        Content-Length or Transfer-Encoding (HTTP-01). It skips interim answers (EARLY-10).

        Raises:
            AttemptError: There is no complete answer; the stage says how far the exchange got.
        """
        where, route = self._way_to(self.api)
        links = collected_links()
        with translated(where, self.limits.connect, body_is_sent, lambda: _tls_error(links)):
            async with self.connections.session.post(
                URL(self.api.url, encoded=True),  # path and query stay as given (URL-08)
                data=Streamed(body, progress) if isinstance(body, AsyncIterator) else body,
                headers={**self.api.headers, **headers},
                ssl=self.tls,
                server_hostname=self.api.host_without_zone,
                allow_redirects=False,  # HTTP-04: the token goes nowhere else
                **route,
            ) as response:
                if front := proxy_without_early_answers(response.headers.get("Server")):
                    self.fronts.add(front)
                try:
                    # The request has opened one connection, the last one.
                    yield Reply(response, links[-1], self.connections.pace)
                except (aiohttp.ClientError, OSError) as error:  # after the head of the answer
                    raise aiohttp.ClientPayloadError from error

    async def read(self, reply: Reply) -> Answer:
        """Read an answer to its end, or to the size limit."""
        content, longest = bytearray(), self.limits.answer_bytes
        wait = seconds_until(reply.headers.get("Retry-After"), datetime.now(UTC))
        async for block in reply:
            content += block
            if len(content) > longest:
                reply.close()
                break
        if coded := unasked_coding(reply.headers.getall("Content-Encoding", ())):
            content = bytearray(coded.encode())
        cut = len(content) > longest
        hint = None
        if adds_a_slash(self.api, reply.headers.get("Location", "")):
            hint = f"a slash is missing at the end of its path; give the URL {self.api.slashed.url}"
        return Answer(reply.status, bytes(content[:longest]), wait, hint, cut, self.secrets.hide)

    async def ask(
        self, request: Mapping[str, object], *, token: str | None = None
    ) -> dict[str, object]:
        """Send a small operation to the operations API and return the members of its answer.

        Raises:
            AttemptError: There is no answer, or it is a failure.
        """
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.post(headers, json.dumps(request).encode()) as reply:
            return success_members(await self.read(reply))

    async def query(self, request: Mapping[str, object]) -> dict[str, object]:
        """Ask for something that the node knows, with a new token, within the limit of a mint.

        Raises:
            AttemptError: There is no answer in time, or it is a failure.
        """
        token = await self.token()
        try:
            async with Deadline(self.limits.mint):
                return await self.ask(request, token=token)
        except TimeoutError:
            raise PeerError("answer", f"no answer in {self.limits.mint:g} s") from None

    @contextlib.asynccontextmanager
    async def replication_socket(
        self, subprotocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        endpoint = resolve_replication(self.node, self.local, allow_http=self.allow_http)
        where, route = self._way_to(endpoint)
        links = collected_links()
        with translated(where, self.limits.connect, lambda: True, lambda: _tls_error(links)):
            async with self.connections.session.ws_connect(
                URL(endpoint.url, encoded=True),
                protocols=(subprotocol,),
                headers=endpoint.headers,
                ssl=self.tls,
                server_hostname=server_name(self.node) or endpoint.host_without_zone,
                max_msg_size=self.limits.answer_bytes,
                autoping=False,  # endless pings would be answered without end
                autoclose=False,  # after a close without a code it would wait for another one
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                **route,
            ) as websocket:
                links[-1].most = MOST_BYTES
                yield websocket

    def _way_to(self, endpoint: Endpoint) -> tuple[str, Route]:
        """How messages name the endpoint, and the arguments that lead to it."""
        proxy = self.connections.proxy_for(endpoint)
        if proxy is None:
            return endpoint.address, {}
        for secret in proxy.secrets:
            self.hide(secret, "[proxy password]")
        where = f"{endpoint.address} through proxy {proxy.address}"
        return where, {"proxy": proxy.url, "proxy_headers": proxy.headers}


def _tls_error(links: list[Link]) -> ssl.SSLError | None:
    return links[-1].tls_error if links else None


def mint_failure(reason: str, cause: Exception | None = None) -> PeerError:
    """A failed mint with the text of SEQ-06; failing to connect keeps its own stage."""
    failure = cause if isinstance(cause, PeerError) else PeerError("mint", reason)
    stage: Stage = failure.stage if failure.stage in {"connect", "tls"} else "mint"
    return replace(failure, stage=stage, reason=f"token mint failed: {reason}", uncertain=False)
