"""Whom the relay trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.certs import CertificateFlaw

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("TLS-02")
def test_a_certificate_of_the_cluster_is_trusted(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    assert relay.deploy(to=[peer])[peer].status == "success"
    assert {seen.tls_version for seen in peer.connections} == {"TLSv1.3"}


@requirement("TLS-01")
@pytest.mark.parametrize("flaw", CertificateFlaw, ids=lambda flaw: flaw.value)
def test_a_flawed_certificate_is_refused_before_anything_is_sent(
    cluster: FakeCluster, relay: Relay, flaw: CertificateFlaw
) -> None:
    peer = cluster.peer(fault=flaw)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason
    assert "statusCode" not in record
    assert peer.requests == []


@requirement("TLS-01")
def test_verification_ends_where_the_node_switches_it_off(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    assert relay.deploy(to=[peer], verify=False)[peer].status == "success"
