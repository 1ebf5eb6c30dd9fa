"""What the tests of the whole relay share: deploying to the peers of a fake cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import relay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.cluster import FakeCluster
    from harness.peer import FakePeer

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
