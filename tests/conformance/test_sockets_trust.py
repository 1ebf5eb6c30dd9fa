"""Which replication sockets the relay trusts, and which name and certificate it shows them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Authority,
    CertificateFlaw,
    FakeCluster,
    FakePeer,
    FakeReplicationSocket,
    Matching,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.addresses import has_ipv6
from deploy_relay_kit.harness.peer.triggers import CertificateChange
from deploy_relay_kit.harness.targets import Limits, LocalSettings

NAMES = [
    ("node-1", "127.0.0.1", "node-1"),
    ("node-2:9933", "localhost", "node-2"),
    ("eu.Node-3.example", "localhost", "eu.Node-3.example"),
    ("127.0.0.1", "127.0.0.1", None),
    ("10.0.0.7", "localhost", "localhost"),
    ("10.0.0.8:9933", "localhost", "localhost"),
    ("[fd00::9]:9933", "localhost", "localhost"),
]
"""Names of nodes, each with the host of the URL of its socket and the name in the handshake."""


def test_the_handshake_of_a_socket_names_the_node_and_no_address(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The TLS handshake of a socket names the node without its port, unless that is an address."""
    for name, host, server_name in NAMES:
        peer = cluster.peer(name, host="127.0.0.1")
        socket = cluster.replication(peer)
        # Valid for this name alone: a relay that compares it with anything else refuses it.
        valid_for = server_name or host
        socket.http.present(cluster.authority.server_context(valid_for, **ASKING))
        url = socket.url.replace("127.0.0.1", host)
        relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
        with check("WS-06", f"the server name of the handshake with the node {name} at {host}"):
            check.need(socket.connections, "no connection reached the socket")
            names = {(seen.server_name or "").lower() for seen in socket.connections}
            assert names == {(server_name or "").lower()}
        with check("WS-06", f"the requests to a socket whose certificate is for {valid_for}"):
            assert len(socket.requests) == 1


def test_a_socket_at_the_host_of_a_node_is_compared_with_its_name(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node with a host has its socket there, and the certificate is one for the node's name."""
    peer = cluster.peer("node-7.example", host="127.0.0.1")
    socket = cluster.replication(peer)
    socket.http.present(cluster.authority.server_context("node-7.example"))
    node = relay.minting_over(
        socket, peer, url=None, replication_url=None, host="localhost", port=peer.http.port
    )
    settings = LocalSettings(secure_port=9, secure_replication_port=socket.http.port)
    relay.deploy(to=[node], local=settings)
    with check("WS-02", "the connections to the host of the node"):
        assert len(socket.connections) >= 1
    with check("WS-06", "the server names of the handshakes with a node that has a host"):
        check.need(socket.connections, "no connection reached the socket (WS-02)")
        assert {seen.server_name for seen in socket.connections} == {"node-7.example"}
    with check("WS-06", "the requests to a socket whose certificate is for the node's name"):
        check.need(socket.connections, "no connection reached the socket (WS-02)")
        assert len(socket.requests) >= 1


ASKING: dict[str, Any] = {"client_certificate": ssl.CERT_OPTIONAL}


def test_a_socket_is_refused_whose_certificate_is_for_its_address_alone(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A certificate for the host of the URL does not replace one for the name of the node."""
    for host in ("127.0.0.1", "localhost"):
        peer = cluster.peer(host="127.0.0.1")
        socket = cluster.replication(peer)
        socket.http.present(cluster.authority.server_context("localhost", "127.0.0.1", **ASKING))
        url = socket.url.replace("127.0.0.1", host)
        relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
        with check("TLS-01", f"the requests to a socket whose certificate is for {host} alone"):
            check.need(socket.connections, "no connection reached the socket")
            assert len(socket.requests) == 0


def test_a_socket_is_trusted_in_the_second_attempt_as_in_the_first(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A socket whose certificate is flawed in the second attempt is refused then."""
    changes = {}
    for flaw in (CertificateFlaw.EXPIRED, CertificateFlaw.WRONG_HOST):
        peer = cluster.peer()
        names = peer.name, peer.http.host
        socket = cluster.replication(peer)
        changes[flaw] = CertificateChange(
            socket, cluster.authority.server_context(*names, flaw=flaw)
        )
        peer.fault = Matching(changes[flaw], Answer(503))
    nodes = map(relay.minting_over, cluster.sockets, cluster.peers)
    relay.deploy(to=nodes, limits=THRICE)
    for flaw, change in changes.items():
        with check("TLS-01", f"the requests to a socket whose certificate is {flaw.value} now"):
            check.need(change.connections, "the relay opened no second socket")
            assert len(change.requests) == 0


def test_a_socket_is_shown_the_same_however_it_is_verified(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path, tmp_path: Path
) -> None:
    """The relay shows each socket its certificate and the node's name, in each attempt."""
    declared = relay.target.capabilities
    hows: dict[str, dict[str, Any]] = {"a usual node": {}}
    if "insecure_node" in declared:
        hows["a node without verification"] = {"verify": False}
    if "node_ca" in declared:
        hows["a node with its own authority"] = {"ca_file": Authority().write(tmp_path / "ca.pem")}
    again = "retry" in declared
    peers = [cluster.peer(fault=in_turn(Answer(503), None) if again else None) for _ in hows]
    sockets = [cluster.replication(peer) for peer in peers]
    used = zip(sockets, peers, hows.values(), strict=True)
    relay.deploy(
        to=[relay.minting_over(socket, peer, **how) for socket, peer, how in used],
        limits=THRICE if again else Limits(),
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    for socket, what in zip(sockets, hows, strict=True):
        check.need(socket.requests, f"no socket of {what} was opened")
        with check("KIT-03", f"the connections to the socket of {what} without a certificate"):
            assert sum(seen.client_certificate is None for seen in socket.connections) == 0
        with check("WS-06", f"the server names of the handshakes with the socket of {what}"):
            assert {seen.server_name for seen in socket.connections} == {socket.name}


def test_a_socket_is_reached_with_each_version_of_tls(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A socket that speaks one version of TLS is reached."""
    versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    for version in versions:
        peer = cluster.peer()
        context = cluster.authority.server_context(peer.name, peer.http.host, **ASKING)
        context.minimum_version = context.maximum_version = version
        cluster.replication(peer).http.present(context)
    relay.deploy(to=map(relay.minting_over, cluster.sockets, cluster.peers))
    check.need(any(it.requests for it in cluster.sockets), "no socket was reached with any version")
    for version, socket in zip(versions, cluster.sockets, strict=True):
        with check("KIT-11", f"the requests to a socket that speaks {version.name} alone"):
            check.need(socket.connections, f"no connection reached the socket of {socket.name}")
            assert len(socket.requests) == 1


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
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw, tmp_path: Path
) -> None:
    """A socket with a flawed certificate is not used, whatever is known of the node."""
    declared, authority = relay.target.capabilities, Authority()

    def socket_of(peer: FakePeer, **how: Any) -> FakeReplicationSocket:
        return cluster.replication(peer, fault=flaw, **how)

    hows: dict[str, dict[str, Any]] = {"a usual node": {}, "a node without a replication URL": {}}
    peers = [cluster.peer(host="127.0.0.1") for _ in range(4)]
    sockets = [*map(socket_of, peers[:2])]
    name = urlsplit(sockets[1].url).netloc
    hows["a node without a replication URL"] = {"name": name, "replication_url": None}
    if has_ipv6():
        peers.insert(2, cluster.peer(host="::1"))
        sockets.append(socket_of(peers[2]))
        hows["a node at an IPv6 address"] = {}
    if "node_ca" in declared:
        sockets.append(socket_of(peers[-2], authority=authority))
        hows["a node with its own authority"] = {"ca_file": authority.write(tmp_path / "ca.pem")}
    used = zip(sockets, peers, hows.values(), strict=False)
    nodes = [relay.minting_over(at, peer, **how) for at, peer, how in used]
    without = []
    if "insecure_node" in declared:
        without.append(relay.minting_over(socket_of(peers[-1]), peers[-1], verify=False))
    outcome = relay.deploy(to=[*without, *nodes])
    for socket, peer, node, what in zip(sockets, peers, nodes, hows, strict=False):
        check.need(socket.connections, f"no connection reached the socket of {what}")
        with check("TLS-01", f"the requests to the socket of {what}, which is {flaw.value}"):
            assert len(socket.requests) == 0
        with check("SEQ-06", "the requests to the operations API"):
            check.need(outcome[node].status == "failed", "the mint did not fail")
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
        assert len(socket.requests) >= 1


def test_verification_that_is_disabled_for_a_node_is_disabled_for_its_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node whose verification is disabled may have a socket with an expired certificate."""
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    socket = cluster.replication(peer, fault=CertificateFlaw.EXPIRED)
    relay.deploy(to=[relay.minting_over(socket, peer, verify=False)])
    with check("TLS-01", "the requests to the socket of a node whose verification is disabled"):
        assert len(socket.requests) >= 1


def test_plain_ws_to_another_machine_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain ws is not used for an address outside of the loopback; it is this machine here."""
    other, used = cluster.peer(), dict[str, tuple[bool, int]]()
    safe = cluster.replication(other)
    trusted = relay.minting_over(safe, other)
    hows = ["a URL", "a URL with a scheme in capitals", "the name of a node", "a second node"]
    hows += ["a node without verification"] * ("insecure_node" in relay.target.capabilities)
    for what in hows:
        peer = cluster.peer(host="127.0.0.1")
        socket = cluster.replication(peer, tls=False)
        url = socket.url.replace("127.0.0.1", "0.0.0.0")
        how: dict[str, Any] = {"replication_url": url}
        if what == "a URL with a scheme in capitals":
            how["replication_url"] = url.replace("ws:", "WS:")
        elif what == "the name of a node":
            how = {"replication_url": None, "name": urlsplit(url).netloc}
        elif what == "a node without verification":
            how["verify"] = False
        node = relay.minting_over(socket, peer, **how)
        local = LocalSettings(insecure_replication_port=1)
        nodes = [trusted, node] if what == "a second node" else [node]
        outcome = relay.deploy(to=nodes, local=local)
        used[what] = outcome.fails(node), len(socket.connections)
    relay.deploy(to=[trusted])
    check.need(safe.sockets, "the relay opened no socket with TLS either")
    for what, (has_failed, connections) in used.items():
        with check("TLS-06", f"the deploy over plain ws to another machine, by {what}"):
            assert has_failed, "expected a refusal or a failed record, got a success"
        with check("TLS-06", f"the connections to the socket, by {what}"):
            assert connections == 0


def test_plain_ws_to_another_machine_is_used_if_the_deploy_allows_it(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain ws to another machine is used if the deploy allows it."""
    peer = cluster.peer(host="127.0.0.1")
    socket = cluster.replication(peer, tls=False)
    url = socket.url.replace("127.0.0.1", "0.0.0.0")
    relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)], allow_http=True)
    with check("TLS-06", "the sockets over plain ws"):
        assert len(socket.sockets) == 1
