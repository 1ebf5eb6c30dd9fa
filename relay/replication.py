"""Minting over a peer's replication socket, as the nodes of a cluster do (WS-01…21)."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own

from relay.answer import readable
from relay.connection import Connections, Peer
from relay.errors import InputError, PeerError
from relay.node import LocalSettings, resolve_replication
from relay.token import OPERATION, mint_failure, token_in

SUBPROTOCOL = "harperdb-replication-v1"  # WS-03
_REQUEST, _RESPONSE = 136, 137  # WS-10, WS-11
_REQUEST_ID = 1  # one operation per connection (WS-14)
_DATA = {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}


@dataclass(frozen=True)
class ReplicationMint:
    """Asks for a token over the peer's replication socket; the peer must know the caller (WS-04).

    It knows it by the client certificate in `Tls`, or by its address. The certificate of the peer
    is judged as that of its operations API is.

    Args:
        local: The origin's own replication ports, for nodes without a `replication_url`.
        allow_ws: Allow a socket without TLS to hosts that are not loopback (TLS-06).
        expires_in: Lifetime that is asked for, as in `OperationsMint`; None does not ask, and the
            token then lives a day (MINT-07).
        ping_every: Seconds between two pings; never more than a third of the limit of a mint
            (WS-19).
    """

    local: LocalSettings = field(default_factory=LocalSettings)
    _: KW_ONLY
    allow_ws: bool = False
    expires_in: str | int | None = "5m"
    ping_every: float = 30.0

    async def mint(self, peer: Peer, connections: Connections) -> str:
        operation = {"operation": OPERATION, "requestId": _REQUEST_ID}
        if self.expires_in is not None:
            operation["expires_in"] = self.expires_in
        try:
            api = resolve_replication(peer.node, self.local, allow_ws=self.allow_ws)
            async with connections.websocket(peer, api, SUBPROTOCOL) as socket:
                pause = min(self.ping_every, connections.limits.mint / 3)
                result = await self._answered(socket, msgpack.packb([_REQUEST, operation]), pause)
        except (PeerError, InputError) as error:
            cause = error if isinstance(error, PeerError) else None
            raise mint_failure(str(error), cause) from error
        return token_in(result)

    async def _answered(
        self, socket: aiohttp.ClientWebSocketResponse[bool], request: bytes, pause: float
    ) -> dict[str, object]:
        """Send the one request and wait for its answer; other frames are of no concern (WS-15).

        `pause`: seconds between two pings.
        """
        if socket.protocol != SUBPROTOCOL:
            raise PeerError("mint", f"the peer does not speak {SUBPROTOCOL}")
        await socket.send_bytes(request)
        clock = asyncio.get_running_loop().time
        next_ping = clock() + pause
        while True:
            try:
                async with asyncio.timeout_at(next_ping):
                    message = await socket.receive()
            except TimeoutError:
                await socket.ping()
                next_ping = clock() + pause
                continue
            if message.type not in _DATA:  # it has ended, in one of several ways
                code = socket.close_code or message.data
                # Lost, not closed: there was no answer, so another attempt may help (RTY-04).
                lost = code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
                told = f"Connection closed {message.extra or ''} {code}"  # WS-16
                raise PeerError("mint", told, retryable=lost)
            result = operation_response(message.data)
            if result and result.get("error"):
                raise PeerError("mint", readable(result["error"]))  # WS-12
            if result is not None:
                return result


def operation_response(frame: object) -> dict[str, object] | None:
    """Pure: the members of the answer in a frame, if it is the answer to our request (WS-08…11)."""
    if not isinstance(frame, bytes) or frame[:1] < b"\x80":  # replication data
        return None
    try:
        message = msgpack.unpackb(frame, strict_map_key=False, ext_hook=_extension)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    match message:
        case [code, {"requestId": number, **members}] if (code, number) == (_RESPONSE, _REQUEST_ID):
            return {str(name): value for name, value in members.items()}  # WS-17: ours only
    return None


def _extension(code: int, data: bytes) -> Any:
    """WS-09: type 0 is JavaScript's `undefined`."""
    return None if code == 0 else msgpack.ExtType(code, data)
