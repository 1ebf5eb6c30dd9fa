"""A deploy or a peer that is given up: nothing goes on, and nobody is left with half a package."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.kinds import (
    Fault,
    HangInHandshake,
    MintHangs,
    ReadSlowly,
    SilentAfterAccept,
    StopReadingAfter,
    in_turn,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.peer.peer import FakePeer
from harness.peer.triggers import (
    cancel_deploy,
    has_connection,
    has_request,
    has_upload,
)
from harness.targets import Limits

requirement = pytest.mark.requirement

IN_TIME = 8.0
A_WHILE = 0.5  # seconds in which another attempt would be seen
NO_ANSWER = StopReadingAfter(1_000_000_000)


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
    ("fault", "is_far_enough"),
    [
        (SilentAfterAccept(), has_connection),
        (HangInHandshake(), has_connection),
        (MintHangs(), has_request),
        (NO_ANSWER, has_upload),
    ],
    ids=["SilentAfterAccept", "HangInHandshake", "MintHangs", "StopReadingAfter"],
)
def test_a_deploy_given_up_closes_its_connections_at_every_stage(
    cluster: FakeCluster, relay: Relay, fault: Fault, is_far_enough: Callable[[FakePeer], bool]
) -> None:
    def deploy(after: float) -> FakePeer:
        peer = cluster.peer(fault=fault)
        outcome = relay.deploy(to=[peer], cancel_after=after, deadline=after + IN_TIME)
        assert outcome.cancelled or outcome[peer].status == "failed"
        return peer

    cancel_deploy(deploy, is_far_enough).wait_until(every_connection_is_closed)


@requirement("KIT-01", "RES-11")
def test_no_peer_sees_a_clean_end_of_what_was_given_up(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    def deploy(after: float) -> list[FakePeer]:
        slowly = ReadSlowly(int(large.size / (4 * after)))
        peers = [cluster.peer(fault=slowly) for _ in range(3)]
        outcome = relay.deploy(
            to=peers, payload=large.path, cancel_after=after, deadline=after + IN_TIME
        )
        assert outcome.cancelled or outcome.statuses == ["failed"] * 3
        return peers

    peers = cancel_deploy(deploy, lambda peers: any(map(has_upload, peers)))
    for peer in peers:
        peer.wait_until(lambda peer: None not in closed_by(peer))
    assert not any(upload.complete for peer in peers for upload in peer.uploads)


@requirement("KIT-01")
def test_a_deploy_that_ends_before_is_not_given_up(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    assert relay.deploy(to=[peer], cancel_after=20)[peer].status == "success"


@requirement("KIT-01")
def test_nothing_is_tried_again_after_a_deploy_was_given_up(
    cluster: FakeCluster, relay: Relay
) -> None:
    """The pause is long, for relays that may choose any part of it."""

    def deploy(after: float) -> FakePeer:
        peer = cluster.peer(fault=in_turn(Answer(503), None))
        limits = Limits(attempts=3, retry_delay=1_000 * after)
        outcome = relay.deploy(
            to=[peer], cancel_after=after, limits=limits, deadline=after + IN_TIME
        )
        assert outcome.cancelled or outcome[peer].status == "failed"
        return peer

    peer = cancel_deploy(deploy, has_upload)
    with contextlib.suppress(TimeoutError):
        peer.wait_until(lambda peer: len(peer.live_uploads) > 1, A_WHILE)
    assert len(peer.live_uploads) == 1


@requirement("HTTP-03")
@pytest.mark.parametrize("fault", [MintHangs(), NO_ANSWER], ids=lambda fault: type(fault).__name__)
def test_the_connection_of_a_peer_that_is_given_up_is_closed(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    """Who only stops waiting may deploy behind the record of a failure."""
    peer = cluster.peer(fault=fault)
    assert relay.deploy(to=[peer], limits=Limits(mint=0.4, answer=0.4))[peer].status == "failed"
    peer.wait_until(every_connection_is_closed, IN_TIME)


@requirement("HTTP-03", "RES-11")
def test_an_upload_that_is_given_up_never_ends_well(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    given_up = threading.Event()
    peer = cluster.peer(fault=StopReadingAfter(1_000_000, partial(given_up.wait, IN_TIME)))
    record = relay.deploy(to=[peer], payload=large.path, limits=Limits(stall=0.4))[peer]
    given_up.set()
    assert record.status == "failed"
    assert not peer.upload.complete
