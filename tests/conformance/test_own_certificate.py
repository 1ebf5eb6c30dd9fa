"""A relay that shows a certificate of its own verifies the certificates of the nodes as without."""

from __future__ import annotations

from pathlib import Path

from deploy_relay_kit.harness import CertificateFlaw, ClientCertificateRequired, FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import hosts


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


def test_the_relays_certificate_is_shown_to_a_host_of_each_form(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path, tmp_path: Path
) -> None:
    """The certificate is shown to names and addresses, and its key may be the end of its file."""
    key, begin, chain = client_certificate.read_text().partition("-----BEGIN CERTIFICATE-----")
    file = tmp_path / "key-at-the-end.pem"
    file.write_text(begin + chain + key)
    peers = {
        host: cluster.peer(host=address, fault=ClientCertificateRequired())
        for host, address in hosts()
    }
    relay.deploy(
        to=[relay.node(it, url=f"https://{host}:{it.http.port}/") for host, it in peers.items()],
        certificate_file=file,
        key_file=file,
    )
    for host, peer in peers.items():
        if host == "[::1]" and not peer.connections:
            relay.leave_out(peer)  # URL-09 asks whether an IPv6 address is reached
            continue
        with check("KIT-03", f"the connections to {host} without a certificate of the relay"):
            check.need(peer.connections, f"no connection reached {host}")
            assert sum(seen.client_certificate is None for seen in peer.connections) == 0
        with check("KIT-03", f"the requests to {host}, where a certificate is required"):
            assert len(peer.requests) > 0
