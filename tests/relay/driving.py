"""Shared helpers: deploys to the peers of a fake cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.relay.rawpeers import listening

DEPLOY = {"operation": "deploy_component", "project": "demo"}
SOON = relay.Retry(attempts=3, first_delay=0.001)


def node_of(peer: FakePeer, **how: Any) -> relay.Node:
    mint = relay.OperationsMint(peer.username, peer.password)
    return relay.Node(peer.name, peer.url, **{"mint": mint, **how})


def deploy(
    cluster: FakeCluster, package: Path, nodes: Sequence[relay.Node] | None = None, **how: Any
) -> relay.Report:
    nodes = [node_of(peer) for peer in cluster.peers] if nodes is None else nodes
    arguments = {"tls": relay.Tls(ca_file=cluster.ca_file), **how}
    return asyncio.run(relay.deploy(nodes, DEPLOY, package, **arguments))


async def against(
    answer: Callable[[str], tuple[int, bytes]],
    work: Callable[[relay.Node], Awaitable[relay.Report]],
    mint: relay.Mint,
) -> relay.Record:
    """The record of one node, which answers each operation with the given status and body."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head:
            await reader.readuntil(b"\r\n0\r\n\r\n")
            operation = "deploy_component"
        else:
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            operation = json.loads(await reader.readexactly(length))["operation"]
        status, body = answer(operation)
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with listening(peer) as address:
        url = f"http://{address}/"
        return (await work(relay.Node("n", url, mint=mint))).records[0]
