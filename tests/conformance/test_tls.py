"""Which certificates the relay trusts, and which name and certificate it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Authority,
    CertificateFlaw,
    ClientCertificateRequired,
    CloseInHandshake,
    FakeCluster,
    FakePeer,
    Fault,
    TlsOnly,
)
from deploy_relay_kit.harness.faults.kinds import TlsVersion
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import hosts, plain_connections
from deploy_relay_kit.harness.targets import GivenToken, ReplicationMint
from deploy_relay_kit.harness.targets.deploy_command import STOCK

of_every_flaw = pytest.mark.parametrize("flaw", CertificateFlaw, ids=lambda flaw: flaw.value)


def requests_to(check: Checks, peer: FakePeer) -> int:
    """The number of requests to a peer; Unseen when no connection reached it."""
    check.need(peer.connections, f"no connection reached {peer.name}")
    return len(peer.requests)


def test_a_certificate_of_the_cluster_is_trusted(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A certificate of the cluster's authority is trusted."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    with check("TLS-02", "the requests to a peer with a certificate of the cluster"):
        assert len(peer.requests) > 0


@of_every_flaw
def test_a_flawed_certificate_is_refused_before_a_request(
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw
) -> None:
    """A peer with a flawed certificate is sent nothing, and has a failed record.

    Some libraries compare names and addresses in different ways.
    """
    peers = {host: cluster.peer(host=address, fault=flaw) for host, address in hosts()}
    nodes = [
        relay.node(peer, url=f"https://{host}:{peer.http.port}/ops/?zone=1")
        for host, peer in peers.items()
    ]
    local = None
    if "urls_from_parts" in relay.target.capabilities:
        peers["a host and a port"] = of_parts = cluster.peer(fault=flaw)
        where = {"url": None, "host": of_parts.http.host, "port": of_parts.http.port}
        nodes.append(relay.node(of_parts, **where))
        local = STOCK
    outcome = relay.deploy(to=nodes, local=local)
    for host, peer in peers.items():
        if host == "[::1]" and not peer.connections:
            relay.leave_out(peer)  # URL-09 asks whether an IPv6 address is reached
            continue
        with check("TLS-01", f"the requests to {host}, whose certificate is {flaw.value}"):
            assert requests_to(check, peer) == 0
        with check("TLS-01", f"the connections without TLS to {host}"):
            assert plain_connections(peer) == 0
        check.need(not peer.requests, "the relay accepted the certificate (TLS-01)")
        with check("RES-10", "the status of the record"):
            assert outcome[peer].status == "failed"
        with check("RES-10", "the members of the record"):
            assert "statusCode" not in outcome[peer].members


@pytest.mark.parametrize("mint", [GivenToken, ReplicationMint], ids=lambda it: it.__name__)
def test_an_upload_is_verified_also_after_no_mint_on_the_same_api(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    mint: type[GivenToken | ReplicationMint],
) -> None:
    """An upload is verified also if its token was not minted over the same API.

    A mint over the same API fails first, and hides an upload that trusts any certificate.
    """
    peers = {flaw: cluster.peer(fault=flaw) for flaw in CertificateFlaw}
    tokens = {peer: GivenToken(peer.tokens.issue(peer.username)) for peer in peers.values()}
    own = tokens if mint is GivenToken else dict.fromkeys(tokens, ReplicationMint())
    relay.deploy(to=[relay.node(peer, mint=own[peer]) for peer in peers.values()])
    for flaw, peer in peers.items():
        with check("TLS-01", f"the requests to a peer whose certificate is {flaw.value}"):
            assert requests_to(check, peer) == 0


def test_verification_can_be_disabled_for_a_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node whose verification is disabled may have a certificate with any flaw."""
    peers = {flaw: cluster.peer(fault=flaw) for flaw in CertificateFlaw}
    relay.deploy(to=peers.values(), verify=False)
    for flaw, peer in peers.items():
        with check("TLS-01", f"the uploads without verification; {flaw.value}"):
            assert len(peer.uploads) >= 1


def test_a_node_is_verified_in_the_deploy_after_one_without_verification(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Verification that was disabled for one deploy is enabled again for the next.

    A connection, or a TLS context, that is kept by address or name can forget this.
    """
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    relay.deploy(to=[peer], verify=False)
    check.need(peer.requests, "the relay sent nothing although verification was disabled")
    connections, requests = len(peer.connections), len(peer.requests)
    relay.deploy(to=[peer])
    more = len(peer.requests) - requests
    check.need(more or len(peer.connections) > connections, "no second connection was opened")
    with check("TLS-01", "the requests of the second deploy"):
        assert more == 0


def test_verification_stays_enabled_for_the_other_nodes(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Verification that is disabled for one node is enabled for another."""
    without, with_it = (cluster.peer(fault=CertificateFlaw.EXPIRED) for _ in range(2))
    relay.deploy(to=[relay.node(without, verify=False), with_it])
    with check("TLS-01", "the uploads to the node whose verification is disabled"):
        assert len(without.uploads) >= 1
    with check("TLS-01", "the requests to the node whose verification is enabled"):
        assert requests_to(check, with_it) == 0


def test_an_authority_that_was_not_given_is_not_trusted(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A certificate is refused if its authority is not in the CA file."""
    peer = cluster.peer()
    ca_file = Authority().write(tmp_path / "another-ca.pem")
    relay.deploy(to=[peer], ca_file=ca_file)
    node = [peer, *cluster.sockets]
    with check("TLS-01", "the requests to a node whose authority is not in the CA file"):
        check.need(any(it.connections for it in node), f"no connection reached {peer.name}")
        assert sum(len(it.requests) for it in node) == 0


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_authority_of_a_file_is_trusted(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, line_end: bytes
) -> None:
    """Every authority of a CA file is trusted.

    While an authority is replaced, the old one and the new one are in one file.
    """
    old, ca_file = Authority(), tmp_path / "both.pem"
    both = b"the old one:\n" + old.pem + b"\nthe new one:\n" + cluster.authority.pem
    ca_file.write_bytes(both.replace(b"\n", line_end))
    peers = [cluster.peer(authority=old), cluster.peer()]
    relay.deploy(to=peers, ca_file=ca_file)
    for place, peer in zip(("first", "second"), peers, strict=True):
        with check("TLS-02", f"the requests to a peer of the {place} authority in the file"):
            assert len(peer.requests) > 0


def test_the_authority_of_a_node_is_trusted_for_that_node_alone(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A node's own authority is trusted for this node and for no other, also on the same host.

    It is not trusted in a later deploy either, in which the node has no authority of its own.
    """
    authority = Authority()
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    before, own, other, usual = (
        cluster.peer(authority=it, host="127.0.0.1")
        for it in (authority, authority, authority, None)
    )
    relay.deploy(to=[before, relay.node(own, ca_file=ca_file), other, usual])
    with check("TLS-02", "the requests to the node with an authority of its own"):
        assert len(own.requests) > 0
    for peer in (before, other):
        with check("TLS-02", "the requests to another node with a certificate of that authority"):
            assert requests_to(check, peer) == 0
    with check("TLS-02", "the requests to a node with a certificate of the cluster"):
        assert len(usual.requests) > 0
    requests, connections = len(own.requests), len(own.connections)
    relay.deploy(to=[own])
    with check("TLS-02", "the requests of a later deploy without that authority"):
        check.need(len(own.connections) > connections, "no further connection reached the node")
        assert len(own.requests) == requests


def test_each_deploy_trusts_the_authorities_that_it_was_given(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A CA file that was replaced, at the same path, is read again for the next deploy."""
    others, ca_file = Authority(), tmp_path / "ca.pem"
    peers = {"first": cluster.peer(), "second": cluster.peer(authority=others)}
    for number, authority in (("first", cluster.authority), ("second", others)):
        authority.write(ca_file)
        before = {place: len(peer.requests) for place, peer in peers.items()}
        relay.deploy(to=peers.values(), ca_file=ca_file)
        seen = {place: len(peer.requests) - before[place] for place, peer in peers.items()}
        for place, more in seen.items():
            is_trusted = place == number
            what = f"the requests of the {number} deploy to a peer of the {place} authority"
            with check("TLS-02" if is_trusted else "TLS-01", what):
                check.need(is_trusted or seen[number] > 0, "the relay trusts neither (TLS-02)")
                expected = "some" if is_trusted else "none"
                assert (more > 0) == is_trusted, f"expected {expected}, got {more}"


def test_a_node_with_its_own_authority_may_have_a_certificate_of_the_cluster(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """The cluster's authority is trusted also for a node with an authority of its own."""
    peer = cluster.peer()
    ca_file = Authority().write(tmp_path / "ca-of-node-1.pem")
    relay.deploy(to=[relay.node(peer, ca_file=ca_file)])
    with check("TLS-02", "the requests to a peer with a certificate of the cluster"):
        assert len(peer.requests) > 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_handshake_names_a_host_and_no_address(
    cluster: FakeCluster, relay: Relay, check: Checks, host: str
) -> None:
    """The TLS handshake names the host of the URL, unless the host is an IP address."""
    peer = cluster.peer(host="127.0.0.1")
    relay.deploy(to=[relay.node(peer, url=f"https://{host}:{peer.http.port}/")])
    server_name = None if host[0].isdigit() else host
    check.need(peer.requests, f"no request reached {peer.name}")
    for request in peer.requests:
        with check("TLS-03", "the server name of the handshake"):
            assert request.connection.server_name == server_name


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_certificate_is_trusted_with_each_version_of_tls(
    cluster: FakeCluster, relay: Relay, check: Checks, version: TlsVersion
) -> None:
    """A peer that speaks one version of TLS is reached, and its certificate is trusted."""
    peer = cluster.peer(fault=TlsOnly(version))
    relay.deploy(to=[peer])
    check.need(peer.connections, f"no connection reached {peer.name}")
    unknown = any(seen.alert_sent == "protocol_version" for seen in peer.connections)
    with check("KIT-11", f"the handshakes with TLS {version}"):
        assert not unknown, "expected a handshake, got one without this version"
    with check("TLS-02", f"the requests with TLS {version}"):
        check.need(not unknown, f"the relay does not speak TLS {version} (KIT-11)")
        assert len(peer.requests) > 0


@pytest.mark.parametrize("fault", [CloseInHandshake(), ClientCertificateRequired()], ids=repr)
def test_a_handshake_that_fails_is_a_failed_record(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """A TLS handshake that fails is a failed record without a status code."""
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    check.need(peer.connections, f"no connection reached {peer.name}")
    with check("RES-10", "the status of the record"):
        assert record.status == "failed"
    with check("RES-10", "the members of the record"):
        assert "statusCode" not in record.members


def test_a_peer_that_requests_a_certificate_is_shown_the_relays_own(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path
) -> None:
    """A peer that requests a certificate is shown the relay's own, on every connection."""
    peer = cluster.peer(fault=ClientCertificateRequired())
    relay.deploy(to=[peer], certificate_file=client_certificate, key_file=client_certificate)
    with check("KIT-03", "the connections on which the relay shows no certificate"):
        check.need(peer.connections, f"no connection reached {peer.name}")
        assert sum(seen.client_certificate is None for seen in peer.connections) == 0
    with check("KIT-03", "the requests to a peer that requires a certificate"):
        assert len(peer.requests) > 0


def test_the_key_of_the_certificate_may_be_in_another_file(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path, tmp_path: Path
) -> None:
    """The relay's certificate and its key may be in two files."""
    peer = cluster.peer(fault=ClientCertificateRequired())
    key, begin, chain = client_certificate.read_text().partition("-----BEGIN CERTIFICATE-----")
    certificate_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate_file.write_text(begin + chain)
    key_file.write_text(key)
    relay.deploy(to=[peer], certificate_file=certificate_file, key_file=key_file)
    with check("KIT-03", "the requests to a peer that requires a certificate"):
        assert len(peer.requests) > 0
