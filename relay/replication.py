"""Operations over a peer's replication socket, as the nodes of a cluster do (WS-01…21)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own

from deploy_relay_kit.relay.answer import readable
from deploy_relay_kit.relay.errors import InputError, PeerError, is_number
from deploy_relay_kit.relay.node import MintContext
from deploy_relay_kit.relay.token import OPERATION, check_lifetime, hide_refresh_token, token_in

SUBPROTOCOL = "harperdb-replication-v1"  # WS-03
REQUEST, RESPONSE = 136, 137  # WS-10, WS-11
_REQUEST_ID = 1  # one operation per connection (WS-14)
_MOST_FRAMES = 10_000  # before the answer; WS-15 ignores them
_NO_CODE = 1005  # a close without a code (RFC 6455, 7.1.5)
_DATA = {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}


@dataclass(frozen=True)
class ReplicationMint:
    """Asks for a token over the node's replication socket; the node must know the relay (WS-04).

    A node knows the relay by its client certificate (see `Tls`) or by its address. The socket's
    certificate is verified like that of the operations API. Its URL follows from the `Node` and the
    deploy's `local` settings; `allow_http` allows a socket without TLS (TLS-06).

    Args:
        expires_in: Requested lifetime, as in `OperationsMint`; with None, the peer's default of a
            day (MINT-07).
        ping_every: Seconds between two pings, at most a third of the limit of a mint (WS-19).
    """

    expires_in: str | int | None = "5m"
    ping_every: float = 30.0

    def __post_init__(self) -> None:
        if self.expires_in is not None:
            check_lifetime(self.expires_in)
        if not is_number(self.ping_every) or self.ping_every == 0:
            raise InputError(f"ping_every must be a number above 0, not {self.ping_every!r}")

    async def mint(self, context: MintContext, /) -> str:
        operation: dict[str, object] = {"operation": OPERATION}
        if self.expires_in is not None:
            operation["expires_in"] = self.expires_in
        answer = await send_operation(context, operation, ping_every=self.ping_every)
        hide_refresh_token(answer, context)
        return token_in(answer)


async def send_operation(
    context: MintContext, operation: Mapping[str, object], *, ping_every: float = 30.0
) -> dict[str, object]:
    """Send one operation over a socket of its own and return the members of its answer (WS-14).

    Raises:
        PeerError: There is no answer, or it is an error.
    """
    pause = min(ping_every, context.limits.mint / 3)
    async with context.replication_socket(SUBPROTOCOL) as socket:
        if socket.protocol != SUBPROTOCOL:
            raise PeerError("answer", f"the peer does not speak {SUBPROTOCOL}")
        request = {**operation, "requestId": _REQUEST_ID}
        await socket.send_bytes(msgpack.packb([REQUEST, request]))
        return await _answer(socket, pause)


async def _answer(socket: aiohttp.ClientWebSocketResponse[bool], pause: float) -> dict[str, object]:
    """Wait for the answer, with a ping after every pause; other frames are ignored (WS-15)."""
    clock = asyncio.get_running_loop().time
    next_ping = clock() + pause
    frames = 0
    while True:
        try:
            async with asyncio.timeout_at(next_ping):
                message = await socket.receive()
        except TimeoutError:
            await socket.ping()
            next_ping = clock() + pause
            continue
        frames += 1
        if frames > _MOST_FRAMES:
            raise PeerError("answer", f"{_MOST_FRAMES} frames, but not the answer")
        await asyncio.sleep(0)  # frames that have arrived are read without a wait
        if message.type is aiohttp.WSMsgType.PING:
            await socket.pong(message.data)
            continue
        if message.type is aiohttp.WSMsgType.PONG:
            continue
        if message.type not in _DATA:  # the socket was closed or lost
            code = socket.close_code or message.data or _NO_CODE
            # Without an answer another attempt may help (RTY-02), unless the peer refuses the relay
            # (WS-05) or breaks the protocol.
            is_closed = message.type is not aiohttp.WSMsgType.ERROR
            again = is_closed and code != aiohttp.WSCloseCode.POLICY_VIOLATION
            reason = " ".join(
                filter(None, ("Connection closed", message.extra, str(code)))
            )  # WS-16
            raise PeerError("answer", reason, retryable=again)
        result = operation_response(message.data)
        if result and result.get("error"):
            raise PeerError("answer", readable(result["error"]))  # WS-12
        if result is not None:
            return result


def operation_response(frame: object) -> dict[str, object] | None:
    """Pure: the members of the answer, if this frame is the answer to our request (WS-08…11)."""
    if not isinstance(frame, bytes) or frame[:1] < b"\x80":  # replication data
        return None
    try:
        message = msgpack.unpackb(frame, strict_map_key=False, ext_hook=_extension)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    match message:
        case [code, {"requestId": number, **members}] if (code, number) == (RESPONSE, _REQUEST_ID):
            return {str(name): value for name, value in members.items()}  # WS-17
    return None


def _extension(code: int, data: bytes) -> Any:
    """WS-09: type 0 is JavaScript's `undefined`."""
    return None if code == 0 else msgpack.ExtType(code, data)
