"""A relay that shows a certificate of its own verifies the certificates of the nodes as without."""

from __future__ import annotations

from pathlib import Path

from deploy_relay_kit.harness import CertificateFlaw, ClientCertificateRequired, FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay


def test_a_node_that_is_shown_a_certificate_is_verified(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path
) -> None:
    """A node with a flawed certificate is sent nothing, also if it is shown one of the relay."""
    healthy = cluster.peer(fault=ClientCertificateRequired())
    flawed = {it: cluster.peer(fault=(it, ClientCertificateRequired())) for it in CertificateFlaw}
    relay.deploy(to=cluster.peers, certificate_file=client_certificate, key_file=client_certificate)
    check.need(healthy.requests, "the relay shows no certificate to a usual node either (KIT-03)")
    for flaw, peer in flawed.items():
        with check("TLS-01", f"the requests to a node that asks for one; its own is {flaw.value}"):
            check.need(peer.connections, f"no connection reached {peer.name}")
            assert len(peer.requests) == 0


def test_a_socket_that_is_shown_a_certificate_is_verified(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path
) -> None:
    """A socket with a flawed certificate is not used, also if it is shown one of the relay."""
    healthy = cluster.replication(cluster.peer())
    flawed = {it: cluster.replication(cluster.peer(), fault=it) for it in CertificateFlaw}
    relay.deploy(
        to=map(relay.minting_over, cluster.sockets, cluster.peers),
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    check.need(healthy.requests, "the relay opened no usual socket with a certificate (KIT-03)")
    for flaw, socket in flawed.items():
        with check("TLS-01", f"the requests to a socket whose certificate is {flaw.value}"):
            check.need(socket.connections, f"no connection reached the socket of {socket.name}")
            assert len(socket.requests) == 0
