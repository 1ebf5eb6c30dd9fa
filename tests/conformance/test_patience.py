"""How long a relay waits that does not take its time limits from the deploy command."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy_relay_kit.harness import (
    FakeCluster,
    HangInHandshake,
    MintHangs,
    NoAnswer,
    Payload,
    StopReadingAfter,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode

PATIENCE = float(os.environ.get("RELAY_HARNESS_PATIENCE", "150"))
"""Seconds after which such a relay must have given up a peer that does nothing."""


def test_a_relay_with_its_own_limits_gives_up_peers_that_do_nothing(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A relay with its own time limits gives up a peer that does not connect, mint or read.

    All of them are in one deploy, so that the run waits once. A peer that does not answer a whole
    upload is not among them: it may install dependencies for an hour (DEP-07).
    """
    if "limits" in relay.target.capabilities:
        pytest.skip("the relay takes its time limits from the deploy command")
    check.need(not relay.blocked_by, relay.blocked_by)
    nodes = dict(idle_peers(cluster, relay))
    with check("HTTP-03", f"the end of a deploy to peers that do nothing, within {PATIENCE:g} s"):
        outcome = relay.deploy(to=nodes.values(), payload=large.path, deadline=PATIENCE)
    for what, node in nodes.items():
        with check("HTTP-03", f"the status of the record of a peer that {what}"):
            assert outcome[node].status == "failed"


def idle_peers(cluster: FakeCluster, relay: Relay) -> Iterator[tuple[str, DeployNode]]:
    """Each kind of peer that does nothing, with the thing that it never does."""
    yield "never shakes hands", relay.node(cluster.peer(fault=HangInHandshake()))
    yield "never reads the payload", relay.node(cluster.peer(fault=StopReadingAfter(0)))
    if "mint.operations" in relay.target.capabilities:
        yield "never answers the mint", relay.minting(cluster.peer(fault=MintHangs()))
    if "mint.replication" in relay.target.capabilities:
        peer = cluster.peer()
        socket = cluster.replication(peer, fault=NoAnswer())
        yield "never answers on the replication socket", relay.minting_over(socket, peer)
