"""Whom the relay trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.faults.kinds import CertificateFlaw as Flaw
from harness.faults.kinds import (
    ClientCertificateRequired,
    CloseInHandshake,
    Fault,
    TlsOnly,
    TlsVersion,
)
from harness.judge.cases.relay import Relay
from harness.peer.certificates import Authority
from harness.targets import GivenToken, ReplicationMint

requirement = pytest.mark.requirement


@requirement("TLS-02")
def test_a_certificate_of_the_cluster_is_trusted(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    assert relay.deploy(to=[peer])[peer].status == "success"
    assert {seen.tls_version for seen in peer.connections} <= {"TLSv1.2", "TLSv1.3"}


@requirement("TLS-01")
@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.value)
def test_a_flawed_certificate_is_refused_before_anything_is_sent(
    cluster: FakeCluster, relay: Relay, flaw: Flaw
) -> None:
    peer = cluster.peer(fault=flaw)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason
    assert "statusCode" not in record
    assert peer.requests == []


@requirement("TLS-01")
@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.value)
@pytest.mark.parametrize("mint", [GivenToken, ReplicationMint], ids=lambda it: it.__name__)
def test_an_upload_is_verified_also_where_nothing_was_minted_on_its_way(
    cluster: FakeCluster, relay: Relay, flaw: Flaw, mint: type[GivenToken | ReplicationMint]
) -> None:
    """A mint over the same API fails first, and hides an upload that trusts anybody."""
    peer = cluster.peer(fault=flaw)
    token = peer.tokens.issue(peer.username)
    node = relay.node(peer, mint=GivenToken(token) if mint is GivenToken else ReplicationMint())
    assert relay.deploy(to=[node])[peer].status == "failed"
    assert peer.requests == []


@requirement("TLS-01")
@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.value)
def test_verification_ends_where_the_node_switches_it_off(
    cluster: FakeCluster, relay: Relay, flaw: Flaw
) -> None:
    peer = cluster.peer(fault=flaw)
    assert relay.deploy(to=[peer], verify=False)[peer].status == "success"


@requirement("TLS-01")
def test_what_was_let_pass_once_is_verified_the_next_time(
    cluster: FakeCluster, relay: Relay
) -> None:
    """A connection, or what it was made with, that is kept by its address forgets why."""
    peer = cluster.peer(fault=Flaw.EXPIRED)
    assert relay.deploy(to=[peer], verify=False)[peer].status == "success"
    before = len(peer.requests)
    assert relay.deploy(to=[peer])[peer].status == "failed"
    assert len(peer.requests) == before


@requirement("TLS-01")
def test_verification_stays_on_for_the_other_nodes(cluster: FakeCluster, relay: Relay) -> None:
    trusting, strict = (cluster.peer(fault=Flaw.EXPIRED) for _ in range(2))
    outcome = relay.deploy(to=[relay.node(trusting, verify=False), strict])
    assert outcome.statuses == ["success", "failed"]
    assert strict.requests == []


@requirement("TLS-02")
def test_an_authority_that_was_not_given_is_not_trusted(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peer = cluster.peer()
    ca_file = Authority().write(tmp_path / "another-ca.pem")
    assert relay.deploy(to=[peer], ca_file=ca_file)[peer].status == "failed"
    assert peer.requests == []


@requirement("TLS-02")
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_authority_of_a_file_is_trusted(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, line_end: bytes
) -> None:
    """While an authority is replaced, the old one and the new one stand in one file."""
    old, ca_file = Authority(), tmp_path / "both.pem"
    both = b"the old one:\n" + old.pem + b"\nthe new one:\n" + cluster.authority.pem
    ca_file.write_bytes(both.replace(b"\n", line_end))
    peers = [cluster.peer(authority=old), cluster.peer()]
    outcome = relay.deploy(to=peers, ca_file=ca_file)
    assert outcome.statuses == ["success", "success"]


@requirement("TLS-02")
def test_the_authority_of_a_node_is_trusted_for_that_node_alone(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    authority = Authority()
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    own, other, usual = (cluster.peer(authority=it) for it in (authority, authority, None))
    outcome = relay.deploy(to=[relay.node(own, ca_file=ca_file), other, usual])
    assert outcome.statuses == ["success", "failed", "success"]
    assert other.requests == []


@requirement("TLS-02")
def test_a_node_with_an_authority_of_its_own_may_have_a_certificate_of_the_cluster(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peer = cluster.peer()
    ca_file = Authority().write(tmp_path / "ca-of-node-1.pem")
    assert relay.deploy(to=[relay.node(peer, ca_file=ca_file)])[peer].status == "success"


@requirement("TLS-02", "TLS-03")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_handshake_names_a_host_and_no_address(
    cluster: FakeCluster, relay: Relay, host: str
) -> None:
    peer = cluster.peer(host="127.0.0.1")
    node = relay.node(peer, url=f"https://{host}:{peer.http.port}/")
    assert relay.deploy(to=[node])[peer].status == "success"
    named = {seen.server_name for seen in peer.connections if seen.requests}
    assert named == ({None} if host[0].isdigit() else {host})


@requirement("TLS-02")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_either_version_of_tls_will_do(
    cluster: FakeCluster, relay: Relay, version: TlsVersion
) -> None:
    peer = cluster.peer(fault=TlsOnly(version))
    assert relay.deploy(to=[peer])[peer].status == "success"


@requirement("RES-10")
@pytest.mark.parametrize("fault", [CloseInHandshake(), ClientCertificateRequired()], ids=repr)
def test_a_handshake_that_fails_is_a_failed_record(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason
    assert "statusCode" not in record


@requirement("KIT-03")
def test_a_peer_that_asks_for_a_certificate_is_shown_the_own_one(
    cluster: FakeCluster, relay: Relay, client_certificate: Path
) -> None:
    peer = cluster.peer(fault=ClientCertificateRequired())
    outcome = relay.deploy(
        to=[peer], certificate_file=client_certificate, key_file=client_certificate
    )
    assert outcome[peer].status == "success"
    assert all(seen.client_certificate for seen in peer.connections)


@requirement("KIT-03")
def test_the_key_of_the_own_certificate_may_be_in_a_file_of_its_own(
    cluster: FakeCluster, relay: Relay, client_certificate: Path, tmp_path: Path
) -> None:
    peer = cluster.peer(fault=ClientCertificateRequired())
    key, begin, chain = client_certificate.read_text().partition("-----BEGIN CERTIFICATE-----")
    certificate_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate_file.write_text(begin + chain)
    key_file.write_text(key)
    outcome = relay.deploy(to=[peer], certificate_file=certificate_file, key_file=key_file)
    assert outcome[peer].status == "success"


NO_LOOPBACK = "http://0.0.0.0:{port}/"
"""No loopback address, and yet this machine itself: nothing has to listen on a network for it."""


@requirement("TLS-06")
def test_plain_http_to_another_machine_is_refused(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(tls=False, host="127.0.0.1")
    node = relay.node(peer, url=NO_LOOPBACK.format(port=peer.http.port))
    outcome = relay.deploy(to=[node])
    assert outcome.refused or outcome[peer].status == "failed"
    assert peer.connections == []


@requirement("TLS-06")
def test_plain_http_to_another_machine_is_used_where_it_is_allowed(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(tls=False, host="127.0.0.1")
    node = relay.node(peer, url=NO_LOOPBACK.format(port=peer.http.port))
    assert relay.deploy(to=[node], allow_http=True)[peer].status == "success"
