"""Certificates of the cluster's authority for hosts whose names resemble that of the node."""

from __future__ import annotations

from collections.abc import Iterable

from deploy_relay_kit.harness import FakeCluster, FakePeer
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.replication import FakeReplicationSocket

SIMILAR = {
    "a.node.example": ["node.example"],
    "b.a.node.example": ["*.node.example"],
    "node.example": [
        *("a.node.example", "*.node.example", "node.example.org", "node.exampl", "ode.example"),
        *("xnode.example", "node-example", "example", "node"),
    ],
}
"""Names of nodes, each with names of certificates that are for another."""
HOSTS = {
    "localhost": ["a.localhost", "*.localhost", "localhost.example", "ocalhost", "xlocalhost"],
    "127.0.0.1": [
        *("127.0.0.10", "127.0.0.2", "27.0.0.1", "127.0.0.1.example", "*.0.0.1", "::1"),
        "DNS:127.0.0.1",
    ],
}
"""Hosts of URLs, each with names and addresses of certificates that are for another."""


def check_refused(
    check: Checks, served: Iterable[tuple[str, FakePeer | FakeReplicationSocket, str]]
) -> None:
    """Look at endpoints, each with the host that it is called and that of its certificate."""
    for host, endpoint, valid_for in served:
        with check("TLS-01", f"the requests to {host}, whose certificate is for {valid_for}"):
            check.need(endpoint.connections, f"no connection reached {host}")
            assert len(endpoint.requests) == 0


def test_a_certificate_for_a_similar_name_is_refused_on_a_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A certificate is compared with the whole name of the node; a star stands for one label."""
    right, safe = cluster.peer("right.example"), list[FakeReplicationSocket]()
    nodes, served = [], list[tuple[str, FakeReplicationSocket, str]]()
    safe.append(cluster.replication(right))
    nodes.append(relay.minting_over(safe[0], right))
    for number, (name, valid_for) in enumerate((it, of) for it in SIMILAR for of in SIMILAR[it]):
        peer = cluster.peer(f"{name}:{9933 + number}")  # the port is no part of the compared name
        socket = cluster.replication(peer)
        socket.http.present(cluster.authority.server_context(valid_for))
        nodes.append(relay.minting_over(socket, peer))
        served.append((name, socket, valid_for))
    relay.deploy(to=nodes)
    check.need(safe[0].requests, "the relay opens no socket with a right certificate either")
    check_refused(check, served)


def test_a_certificate_for_a_similar_host_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A certificate is compared with the whole host of the URL, and an address with addresses."""
    served = list[tuple[str, FakePeer, str]]()
    for host, valid_for in ((name, it) for name in HOSTS for it in HOSTS[name]):
        peer = cluster.peer(host="127.0.0.1")
        peer.http.present(cluster.authority.server_context(valid_for))
        served.append((host, peer, valid_for))
    nodes = [relay.node(it, url=it.url.replace("127.0.0.1", host)) for host, it, _ in served]
    relay.deploy(to=nodes)
    check_refused(check, served)
