"""WebSocket clients, aiohttp's and one byte by byte, to see what a fake replication socket does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.replication.frames import parse
from tests.rawclient import RawClient

PROTOCOL = "harperdb-replication-v1"
# WS-21: [136, {"operation": "create_authentication_tokens", "requestId": 1}]
_ITEMS = b"\xa9operation\xbccreate_authentication_tokens\xa9requestId\x01"
REQUEST = b"\x92\xcc\x88\x82" + _ITEMS
REQUEST_MAP16 = b"\x92\xcc\x88\xde\x00\x02" + _ITEMS

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def masked(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """One frame as a client sends it."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = bytes([0xFE]) + size.to_bytes(2)
    else:
        length = bytes([0xFF]) + size.to_bytes(8)
    mask = b"\x01\x02\x03\x04"
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([(0x80 if final else 0) | opcode]) + length + mask + body


def upgrade(path: str = "/", **headers: str) -> bytes:
    """The request of an upgrade; a header given as an empty text is left out."""
    all_headers = {
        "Host": "peer",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "harperdb-replication-v1",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in all_headers.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class RawSocket(RawClient):
    """A raw client that has upgraded; `read_frame` gives opcode and payload."""

    def __init__(self, url: str, *, ca_file: Path | None = None, **headers: str) -> None:
        super().__init__(url.replace("ws", "http", 1), ca_file=ca_file)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(upgrade(**headers))
        self.head = self.read_answer_head().decode()

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            block = self.read()
            if not block:
                raise EOFError(f"ended after {data!r}")
            data += block
        self._ahead = data[size:]
        return data[:size]

    def read_frame(self) -> tuple[int, bytes]:
        first, length = self.exactly(2)
        assert first & 0xF0 == 0x80, "final, no reserved bit"
        assert length < 128, "a server's frame is not masked"
        if length > 125:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8))
        return first & 0x0F, self.exactly(length)


@asynccontextmanager
async def dialled(
    at: FakeReplicationSocket, cluster: FakeCluster, **how: Any
) -> AsyncIterator[ClientWebSocketResponse]:
    default: dict[str, Any] = {"protocols": [PROTOCOL], "ssl": cluster.authority.client_context()}
    how = default | how
    async with aiohttp.ClientSession() as session, session.ws_connect(at.url, **how) as ws:
        transport_socket = ws.get_extra_info("socket")
        yield ws
    async with asyncio.timeout(5):
        while transport_socket.fileno() != -1:  # noqa: ASYNC110 - aiohttp does not tell when TLS has ended
            await asyncio.sleep(0)


def minted(at: FakeReplicationSocket, cluster: FakeCluster, **how: Any) -> dict[str, Any]:
    """What an aiohttp client is answered to the request of WS-21."""

    async def mint() -> dict[str, Any]:
        async with dialled(at, cluster, **how) as ws:
            assert ws.protocol == PROTOCOL
            await ws.send_bytes(REQUEST)
            code, body = parse(await ws.receive_bytes(timeout=5))
            assert code == 137
            assert isinstance(body, dict)
            return body

    return asyncio.run(mint())


def opened(at: FakeReplicationSocket, cluster: FakeCluster, **headers: str) -> RawSocket:
    return RawSocket(at.url, ca_file=cluster.ca_file, **headers)
