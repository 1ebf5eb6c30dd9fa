"""The replication socket: operations between the nodes of a cluster (WS-03…18)."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no types of its own
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import Config, nodes_of
from deploy_relay_kit.relay.origin.listening import Waits
from deploy_relay_kit.relay.origin.operations import STRANGER_BYTES, Operations
from deploy_relay_kit.relay.replication import REQUEST, RESPONSE, SUBPROTOCOL
from deploy_relay_kit.relay.urls import resolve

_DATA = {WSMsgType.BINARY, WSMsgType.TEXT}


class ReplicationSocket:
    """Takes operations from the other nodes, and from users with their credentials."""

    def __init__(self, settings: Config, operations: Operations) -> None:
        self._settings, self._bounds, self._operations = settings, settings.limits, operations
        self._waits = Waits()

    def tls(self) -> ssl.SSLContext:
        """A context that asks for the certificate of a node, which need not have one."""
        cluster = self._settings.cluster
        if cluster is None or cluster.ca_file is None:
            raise InputError("replication_port needs the member ca_file of [cluster]")
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cluster.ca_file)
        except OSError as error:
            raise InputError(f"cannot use ca_file {cluster.ca_file}: {error}") from None
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A connection: the upgrade comes first, a refusal at the first message (WS-05)."""
        if SUBPROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
            return web.Response(status=400, text=f"the subprotocol is {SUBPROTOCOL}")
        try:
            user, refusal = await self._user(request), ""
        except RefusalError as error:
            user, refusal = None, str(error)
        most = STRANGER_BYTES if user is None else self._bounds.json_bytes
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=most, compress=False)
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError, TimeoutError):  # it went, or was silent
            if user is not None:
                await self._converse(socket, user, request.remote or "")
            elif (await self._next(socket.receive(), self._bounds.head)).type in _DATA:
                reason = f"Unauthorized: {refusal}" if refusal else "Unauthorized"
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode())
        await socket.close()
        return socket

    async def _converse(self, socket: web.WebSocketResponse, user: str, source: str) -> None:
        """Answer one message after another until the connection ends."""
        message = await self._next(socket.receive(), self._bounds.idle)
        while message.type in _DATA:
            # aiohttp answers a ping only while somebody receives, so also during an operation: one
            # that waits for a deploy takes longer than a silent socket may live (WS-19).
            following = asyncio.create_task(socket.receive())
            try:
                if message.type is WSMsgType.BINARY and (asked := operation_in(message.data)):
                    answer = await self._answer(asked, user, source)
                    # A record may hold a number of a node's JSON that is longer than 64 bits.
                    await socket.send_bytes(msgpack.packb([RESPONSE, answer], default=str))
                message = await self._next(following, self._bounds.idle)
            finally:
                following.cancel()

    async def _next(self, message: Awaitable[WSMessage], seconds: float) -> WSMessage:
        """The next message, which must come in time; a ping is none."""
        async with self._waits.at_most(seconds):
            return await message

    def end(self) -> None:
        """Let operations end, but wait for no further message."""
        self._waits.end(0.0)

    async def _user(self, request: web.Request) -> str | None:
        """WS-04: who asks, by credentials or by the certificate of a node; never by an address."""
        if "Authorization" in request.headers:
            return await self._operations.who(request)
        assert request.transport is not None
        certificate: dict[str, Any] = request.transport.get_extra_info("peercert") or {}
        names = {value for _, value in certificate.get("subjectAltName", ())}
        known: set[str] = set()
        try:
            for node in nodes_of(self._settings):
                known |= {node.name, resolve(node).host}
        except Exception as error:
            raise RefusalError(500, "the file of nodes cannot be used") from error
        cluster = self._settings.cluster
        return cluster.username if cluster is not None and names & known else None

    async def _answer(self, asked: dict[str, Any], user: str, source: str) -> dict[str, object]:
        number = asked.pop("requestId", None)
        try:
            result = await self._operations.run(asked, user, source)
        except RefusalError as refusal:
            result = {**refusal.body, "error": f"Error: {refusal}"}  # WS-12
        members = result if isinstance(result, dict) else {"results": result}
        return {**members, "requestId": number}


def operation_in(frame: bytes) -> dict[str, Any] | None:
    """Pure: the members of a request; None for a frame that is none (WS-08…10, WS-15)."""
    if frame[:1] < b"\x80":  # replication data
        return None
    try:
        message = msgpack.unpackb(frame, strict_map_key=False, max_ext_len=8)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    match message:
        case [code, dict(members)] if code == REQUEST:
            return members if all(isinstance(it, str) for it in members) else None
    return None
