"""A deploy that is given up: nothing goes on, and nobody is left with half a package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.faults import HangInHandshake, MintHangs, ReadSlowly, SilentAfterAccept

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.faults import Fault
    from harness.payloads import Payload
    from harness.peer import FakePeer
    from harness.targets.relay import Relay

requirement = pytest.mark.requirement

GIVEN_UP = 0.2
IN_TIME = 8.0


def closed_by(peer: FakePeer) -> set[object]:
    """Who has closed its connections; None where one is open."""
    return {seen.closed_by for seen in peer.http.connections}


def every_connection_is_closed(peer: FakePeer) -> bool:
    """All of those that there were, some of them perhaps by the peer, as the relay had asked for.

    A deploy that never began proves nothing.
    """
    return "client" in closed_by(peer) and None not in closed_by(peer)


@requirement("KIT-01")
@pytest.mark.parametrize(
    "fault",
    [SilentAfterAccept(), HangInHandshake(), MintHangs()],
    ids=lambda fault: type(fault).__name__,
)
def test_a_deploy_given_up_closes_its_connections_at_every_stage(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    outcome = relay.deploy(to=[peer], cancel_after=GIVEN_UP, deadline=IN_TIME)
    assert outcome.cancelled or outcome[peer].status == "failed"
    peer.wait_until(every_connection_is_closed)


@requirement("KIT-01", "RES-11")
def test_no_peer_sees_a_clean_end_of_what_was_given_up(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peers = [cluster.peer(fault=ReadSlowly(20_000_000)) for _ in range(3)]
    outcome = relay.deploy(to=peers, payload=large.path, cancel_after=GIVEN_UP, deadline=IN_TIME)
    assert outcome.cancelled or outcome.statuses == ["failed"] * 3
    for peer in peers:
        peer.wait_until(lambda peer: None not in closed_by(peer))
    begun = [upload for peer in peers for upload in peer.uploads]
    assert begun, "no upload had begun by then"
    assert not any(upload.complete for upload in begun)


@requirement("KIT-01")
def test_a_deploy_that_ends_before_is_not_given_up(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    assert relay.deploy(to=[peer], cancel_after=20)[peer].status == "success"
