"""Which replication sockets the relay trusts, and which name and certificate it shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_relay_kit.harness import Authority, CertificateFlaw, FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay


@pytest.mark.parametrize(
    ("name", "host", "server_name"),
    [
        ("node-1", "127.0.0.1", "node-1"),
        ("node-1", "localhost", "node-1"),
        ("127.0.0.1", "127.0.0.1", None),
    ],
)
def test_the_handshake_of_a_socket_names_the_node_and_no_address(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    name: str,
    *,
    host: str,
    server_name: str | None,
) -> None:
    """The TLS handshake of a socket names the node, unless the node's name is an IP address."""
    peer = cluster.peer(name, host="127.0.0.1")
    socket = cluster.replication(peer)
    url = socket.url.replace("127.0.0.1", host)
    relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
    with check("WS-06", "the server name of the handshake"):
        assert socket.socket.connection.server_name == server_name


def test_a_socket_accepts_the_relay_by_its_certificate(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path
) -> None:
    """The relay shows its certificate to a socket that requests one."""
    peer = cluster.peer()
    socket = cluster.replication(peer, known_nodes=["origin.example"])
    relay.deploy(
        to=[relay.minting_over(socket, peer)],
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    with check("KIT-03", "how the socket knows the relay"):
        assert socket.socket.let_in_by == "certificate"


@pytest.mark.parametrize("flaw", CertificateFlaw, ids=lambda flaw: flaw.value)
def test_a_flawed_certificate_of_a_socket_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw
) -> None:
    """A socket with a flawed certificate is not used, and the mint fails."""
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=flaw)
    record = relay.deploy(to=[relay.minting_over(socket, peer)])[peer]
    check.need(socket.connections, "no connection reached the socket")
    with check("TLS-01", f"the requests to a socket whose certificate is {flaw.value}"):
        assert len(socket.requests) == 0
    with check("SEQ-06", "the requests to the operations API"):
        check.need(record.status == "failed", "the mint did not fail")
        assert len(peer.requests) == 0


def test_the_authority_of_a_node_is_trusted_for_its_socket(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A node's own authority is trusted for its socket."""
    authority = Authority()
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    peer = cluster.peer(authority=authority)
    socket = cluster.replication(peer, authority=authority)
    relay.deploy(to=[relay.minting_over(socket, peer, ca_file=ca_file)])
    with check("TLS-02", "the requests to a socket with a certificate of the node's authority"):
        assert len(socket.requests) == 1


def test_verification_that_is_disabled_for_a_node_is_disabled_for_its_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node whose verification is disabled may have a socket with an expired certificate."""
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    socket = cluster.replication(peer, fault=CertificateFlaw.EXPIRED)
    relay.deploy(to=[relay.minting_over(socket, peer, verify=False)])
    with check("TLS-01", "the requests to the socket of a node whose verification is disabled"):
        assert len(socket.requests) == 1


def test_plain_ws_to_another_machine_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain ws is not used for an address outside of the loopback; it is this machine here."""
    peer, other = cluster.peer(host="127.0.0.1"), cluster.peer()
    socket, safe = cluster.replication(peer, tls=False), cluster.replication(other)
    url = socket.url.replace("127.0.0.1", "0.0.0.0")
    relay.deploy(to=[relay.minting_over(safe, other)])
    check.need(safe.sockets, "the relay opened no socket with TLS either")
    outcome = relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
    with check("TLS-06", "the deploy over plain ws to another machine"):
        assert outcome.fails(peer), "expected a refusal or a failed record, got a success"
    with check("TLS-06", "the connections to the socket"):
        assert len(socket.connections) == 0
