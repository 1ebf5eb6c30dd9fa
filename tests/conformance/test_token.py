"""Minting: one token on each peer, and no upload without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.faults import mint_refused, mint_without_token

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("MINT-01")
def test_the_mint_asks_for_an_operation_token_without_a_role(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer])
    [mint] = peer.mints
    assert mint.body["operation"] == "create_authentication_tokens"
    assert "role" not in mint.body


@requirement("SEQ-06")
@pytest.mark.parametrize("status", [401, 500])
def test_a_refused_mint_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    peer = cluster.peer(fault=mint_refused("invalid credentials", status))
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "failed"
    assert outcome[peer].reason.startswith("token mint failed: ")
    assert "invalid credentials" in outcome[peer].reason
    assert peer.uploads == []


@requirement("SEQ-06", "MINT-03")
def test_a_mint_without_a_token_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=mint_without_token())
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "failed"
    assert outcome[peer].reason == ("token mint failed: peer did not return an operation_token")
    assert peer.uploads == []
