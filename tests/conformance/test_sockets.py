"""What holds for a mint over the replication socket as for any other: time, memory, trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cluster import FakeCluster
from harness.faults.kinds import CertificateFlaw
from harness.judge.cases.relay import Relay
from harness.peer.certificates import Authority
from harness.peer.peer import FakePeer
from harness.peer.tokens import lifetime
from harness.peer.triggers import cancel_deploy
from harness.replication import FakeReplicationSocket
from harness.replication.faults import NoAnswer, PingFirst
from harness.targets import DeployNode, ReplicationMint

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine
AN_HOUR = 3_600


def through(relay: Relay, peer: FakePeer, socket: FakeReplicationSocket, **how: Any) -> DeployNode:
    """The node of a peer that is to mint over this socket."""
    usual = {"mint": ReplicationMint(), "replication_url": socket.url}
    return relay.node(peer, **{**usual, **how})


def every_connection_is_closed(socket: FakeReplicationSocket) -> bool:
    """All that there were, of which the peer closes the one whose client has said goodbye."""
    closed_by = [seen.closed_by for seen in socket.live_connections]
    return bool(closed_by) and None not in closed_by


@requirement("MINT-07")
def test_a_mint_over_a_socket_asks_for_a_short_lifetime(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    relay.deploy(to=[through(relay, peer, socket)])
    [asked] = socket.socket.operations
    seconds = lifetime(asked.get("expires_in"))
    assert seconds is not None
    assert 0 < seconds <= AN_HOUR


@requirement("WS-19")
def test_a_ping_is_answered(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=PingFirst())
    relay.deploy(to=[through(relay, peer, socket)])
    assert "pong received" in str(socket.socket.connection)


@requirement("SEQ-05", "SEQ-07")
@pytest.mark.parametrize("wrong", ["url", "payload"])
def test_what_is_wrong_at_home_opens_no_socket(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, wrong: str
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    url = "https://127.0.0.1:port/" if wrong == "url" else peer.url
    staged = tmp_path / "never-staged.tar.gz" if wrong == "payload" else None
    node = through(relay, peer, socket, url=url)
    assert relay.deploy(to=[node], payload=staged)[peer].status == "failed"
    assert socket.connections == []


@requirement("KIT-01")
def test_a_deploy_given_up_closes_its_sockets(cluster: FakeCluster, relay: Relay) -> None:
    def deploy(after: float) -> FakeReplicationSocket:
        peer = cluster.peer()
        socket = cluster.replication(peer, fault=NoAnswer())
        node = through(relay, peer, socket)
        outcome = relay.deploy(to=[node], cancel_after=after, deadline=after + IN_TIME)
        assert outcome.cancelled or outcome[peer].status == "failed"
        return socket

    socket = cancel_deploy(deploy, lambda socket: bool(socket.live_sockets))
    socket.wait_until(every_connection_is_closed)


# -- trust ---------------------------------------------------------------------------------------


@requirement("WS-06", "TLS-02")
def test_the_authority_of_a_node_is_that_of_its_socket(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    authority = Authority()
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    peer = cluster.peer(authority=authority)
    socket = cluster.replication(peer, authority=authority)
    node = through(relay, peer, socket, ca_file=ca_file)
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("WS-06", "TLS-01")
def test_a_node_that_switches_verification_off_does_so_for_its_socket(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    socket = cluster.replication(peer, fault=CertificateFlaw.EXPIRED)
    node = through(relay, peer, socket, verify=False)
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("TLS-06")
def test_plain_ws_to_another_machine_is_refused(cluster: FakeCluster, relay: Relay) -> None:
    """At no loopback address, which yet is this machine itself."""
    peer = cluster.peer(host="127.0.0.1")
    socket = cluster.replication(peer, tls=False)
    url = socket.url.replace("127.0.0.1", "0.0.0.0")
    outcome = relay.deploy(to=[through(relay, peer, socket, replication_url=url)])
    assert outcome.refused or outcome[peer].status == "failed"
    assert socket.connections == []
