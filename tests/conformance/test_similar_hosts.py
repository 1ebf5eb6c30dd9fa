"""Hosts and nodes whose names resemble that of another, and what is not trusted for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import Authority, CertificateFlaw, FakeCluster, FakePeer, Fault
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.targets import DeployNode

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


ALIKE = ("node.example:2", "node.example", "NODE.example:1", "node.example.:1", "node.example:1 ")
"""Names of nodes that some relays take for `node.example:1`."""


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_what_is_trusted_for_a_node_is_not_trusted_for_nodes_of_similar_names(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, *, first: bool
) -> None:
    """Verification is disabled, or an authority is trusted, for one node, and for none like it.

    All nodes have one host, one user and one path; their names differ, and their ports or not.
    """
    authority = Authority()
    hows: dict[str, tuple[Authority | None, Fault | None, dict[str, Any]]] = {
        "verification is disabled": (None, CertificateFlaw.EXPIRED, {"verify": False}),
        "an authority is trusted": (
            authority,
            None,
            {"ca_file": authority.write(tmp_path / "ca-of-node-1.pem")},
        ),
    }
    nodes, others = list[DeployNode](), list[tuple[str, FakePeer]]()
    trusted, aliases = dict[str, FakePeer](), dict[str, DeployNode]()
    for what, (signed_by, fault, how) in hows.items():
        same: dict[str, Any] = {
            "authority": signed_by,
            "fault": fault,
            "host": "127.0.0.1",
            "username": "deployer",
        }
        prefix = what.split()[-1]
        trusted[what] = cluster.peer(f"{prefix}-node.example:1", **same)
        group = [relay.minting(trusted[what], **how)]
        for name in ALIKE:
            others.append((f"{name} ({what})", cluster.peer(f"{prefix}-{name}", **same)))
            group.append(relay.minting(others[-1][1]))
        aliases[what] = relay.minting(trusted[what], name=f"{prefix}-alias.example")
        group.append(aliases[what])
        nodes += group if first else group[::-1]
    outcome = relay.deploy(to=nodes)
    for what, peer in trusted.items():
        with check("TLS-02" if "authority" in what else "TLS-01", f"the uploads where {what}"):
            assert len(peer.uploads) >= 1
        with check("TLS-01", f"the uploads for two nodes at one URL, for one of which {what}"):
            check.need(outcome.refused is None, f"the relay refused the deploy: {outcome.refused}")
            has_failed = outcome.fails(aliases[what])
            check.need(has_failed or len(peer.uploads) > 1, "a success without an upload")
            assert len(peer.uploads) <= 1
    for name, peer in others:
        with check("TLS-01", f"the requests to {name}, beside the node node.example:1"):
            check.need(peer.connections, f"no connection reached {name}")
            assert len(peer.requests) == 0
