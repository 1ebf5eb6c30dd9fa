"""Odd but correct relays: what they do before, between and after their requests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay.link import Reply, Streamed
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.sockets import PatientSocket
from deploy_relay_kit.relay.tlstransport import TlsSocket, TlsTransport
from deploy_relay_kit.relay.upload import _Sending
from tests.mutants.odd import odd
from tests.mutants.odd_sending import change_parts

MOMENT = 0.03  # seconds; less than any limit of a case

# -- before a request ----------------------------------------------------------------------------


@odd("first")
def a_connection_before_the_mint(patch: pytest.MonkeyPatch) -> None:
    """As one that looks whether a node can be reached: nothing is sent on it."""
    token = Peer.token

    async def reached(self: Peer) -> str:
        url = URL(self.api.url, encoded=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(MOMENT * 10):
                _, writer = await asyncio.open_connection(url.host, url.port)
                writer.close()
                await writer.wait_closed()
        return await token(self)

    patch.setattr(Peer, "token", reached)


@odd("first")
def the_version_of_a_peer_is_asked_for(patch: pytest.MonkeyPatch) -> None:
    """VER-01: with the token, before each upload."""
    patch.setattr(reference, "deploy", functools.partial(reference.deploy, probe=True))


class Gate:
    """Opens when nobody mints any longer."""

    def __init__(self) -> None:
        self.minting = 0
        self.is_open = asyncio.Event()


@odd()
def uploads_wait_a_moment_for_all_mints(patch: pytest.MonkeyPatch) -> None:
    gates = weakref.WeakKeyDictionary[Any, Gate]()
    token = Peer.token

    async def gated(self: Peer) -> str:
        gate = gates.setdefault(self.connections, Gate())
        gate.minting += 1
        try:
            minted = await token(self)
        finally:
            gate.minting -= 1
            if not gate.minting:
                gate.is_open.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOMENT):
                await gate.is_open.wait()
        return minted

    patch.setattr(Peer, "token", gated)


@odd()
def a_pause_before_each_request(patch: pytest.MonkeyPatch) -> None:
    post = Peer.post

    @contextlib.asynccontextmanager
    async def late(self: Peer, *at: Any) -> AsyncIterator[Reply]:
        await asyncio.sleep(MOMENT)
        async with post(self, *at) as reply:
            yield reply

    patch.setattr(Peer, "post", late)


@odd()
def a_socket_that_thinks_before_it_asks(patch: pytest.MonkeyPatch) -> None:
    send = aiohttp.ClientWebSocketResponse.send_bytes

    async def late(self: Any, *at: Any) -> None:
        await asyncio.sleep(MOMENT)
        await send(self, *at)

    patch.setattr(aiohttp.ClientWebSocketResponse, "send_bytes", late)


# -- in a request --------------------------------------------------------------------------------


@odd()
def a_pause_between_head_and_body(patch: pytest.MonkeyPatch) -> None:
    write = Streamed.write_with_length

    async def apart(self: Streamed, writer: Any, length: int | None) -> None:
        writer.send_headers()
        await asyncio.sleep(MOMENT)
        await write(self, writer, length)

    patch.setattr(Streamed, "write_with_length", apart)


@odd()
def a_pause_between_fields_and_file(patch: pytest.MonkeyPatch) -> None:
    async def apart(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        is_first = True
        async for part in parts:
            yield part
            if is_first:
                await asyncio.sleep(MOMENT)
            is_first = False

    change_parts(patch, apart)


@odd()
def a_pause_before_the_closing_delimiter(patch: pytest.MonkeyPatch) -> None:
    async def apart(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in parts:
            if part.startswith(b"\r\n--") and part.endswith(b"--\r\n"):
                await asyncio.sleep(MOMENT)
            yield part

    change_parts(patch, apart)


@odd()
def the_body_of_an_answer_is_read_a_moment_later(patch: pytest.MonkeyPatch) -> None:
    step = Reply.__anext__

    async def late(self: Reply) -> bytes:
        if not vars(self).get("begun"):
            vars(self)["begun"] = True
            await asyncio.sleep(MOMENT)
        return await step(self)

    patch.setattr(Reply, "__anext__", late)


@odd("early")
def an_early_success_counts_after_the_rest(patch: pytest.MonkeyPatch) -> None:
    """Section 6 of docs/protocol.md: the second of two choices."""
    members, end = _Sending._members, aiohttp.ClientResponse._response_eof

    def writer_of(response: aiohttp.ClientResponse) -> asyncio.Task[None] | None:
        writer: asyncio.Task[None] | None = vars(response)["_ClientResponse__writer"]
        return None if writer is None or writer.done() else writer

    async def patient(self: _Sending, reply: Reply) -> dict[str, object]:
        found = await members(self, reply)
        if writer := writer_of(reply._response):
            await asyncio.wait({writer})
        return found

    def ended(self: aiohttp.ClientResponse) -> None:  # aiohttp would end the upload, too
        if writer := writer_of(self):
            writer.add_done_callback(lambda _: end(self))
        else:
            end(self)

    patch.setattr(_Sending, "_members", patient)
    patch.setattr(aiohttp.ClientResponse, "_response_eof", ended)


# -- after a request -----------------------------------------------------------------------------


@odd("end")
def connections_that_end_with_a_reset(patch: pytest.MonkeyPatch) -> None:
    """As many clients end a connection that they need no longer."""
    begin = PatientSocket.__init__

    def abrupt(self: PatientSocket, *how: Any) -> None:
        begin(self, *how)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    patch.setattr(PatientSocket, "__init__", abrupt)


@odd("end")
def connections_that_end_without_the_end_of_tls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TlsTransport, "_close_tls", lambda self: self._end(None))


@odd("sessions")
def tls_sessions_are_resumed(patch: pytest.MonkeyPatch) -> None:
    """RFC 8446 section 2.2: a connection may go on with the session of an earlier one."""
    sessions: dict[Any, ssl.SSLSession | None] = {}
    wrap, read = ssl.SSLContext.wrap_socket, TlsTransport._read

    def wrapped(self: ssl.SSLContext, sock: socket.socket, *at: Any, **how: Any) -> ssl.SSLSocket:
        if self.sslsocket_class is not TlsSocket:
            return wrap(self, sock, *at, **how)
        key = (self, sock.getpeername(), how.get("server_hostname"))
        how["session"] = sessions.get(key)
        found = wrap(self, sock, *at, **how)
        vars(found)["key"] = key
        return found

    def noted(self: TlsTransport) -> None:
        read(self)
        if self._tls.session is not None:
            sessions[vars(self._tls)["key"]] = self._tls.session

    patch.setattr(ssl.SSLContext, "wrap_socket", wrapped)
    patch.setattr(TlsTransport, "_read", noted)


@odd("pauses")
def a_peer_that_asks_for_a_long_pause_is_given_up(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def impatient(self: Retry, *at: Any) -> float | None:
        return delay(replace(self, longest_delay=12.0), *at)

    patch.setattr(Retry, "delay", impatient)


@odd("buffers")
def sockets_with_large_buffers(patch: pytest.MonkeyPatch) -> None:
    begin = PatientSocket.__init__

    def large(self: PatientSocket, *how: Any) -> None:
        begin(self, *how)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        with contextlib.suppress(AttributeError, OSError):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 4 << 20)

    patch.setattr(PatientSocket, "__init__", large)
