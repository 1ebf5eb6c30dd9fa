"""A staged payload that shrinks, grows, vanishes or is replaced while it is deployed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    FakeCluster,
    Held,
    MintAnswer,
    Payload,
    ReadSlowly,
    in_turn,
    stage_payload,
)
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    file_of,
    need_late_reading,
    need_retry,
    need_upload,
    temporary,
    whole_uploads,
)
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.peer.triggers import act_when, has_file_part
from deploy_relay_kit.harness.targets import Outcome

Staging = Callable[[int, Path], Payload]
SLOWLY = ReadSlowly(40_000_000)


@pytest.mark.parametrize("left", [15_000_000, 0])
def test_a_payload_that_shrinks_fails_the_records_and_ends_no_body(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    left: int,
    staged: Staging,
    tmp_path: Path,
) -> None:
    """A payload that shrinks while it is sent is a failed record, and no peer sees its end."""
    relay.need("staged_payload")
    peers = [cluster.peer(fault=SLOWLY), cluster.peer(fault=SLOWLY)]
    with (
        check("BUG-14", "the end of the deploy"),
        act_when(has_file_part, peers[0], lambda: os.truncate(large.path, left)),
    ):
        outcome = relay.deploy(to=peers, payload=large.path)
    need_upload(cluster, relay, {}, payload=staged(large.size, tmp_path / "control").path)
    need_begin(peers[0])
    for peer in peers:
        excuse_slow_reading(peer, outcome)
        with check("BUG-14", f"the status of the record of {peer.name}"):
            need_late_reading(peer, large)
            assert outcome[peer].status == "failed"
        with check("RES-11", f"the number of complete bodies at {peer.name}"):
            need_late_reading(peer, large)
            assert len(whole_uploads(peer)) == 0


def need_begin(peer: FakePeer) -> None:
    """Raise Unseen unless the payload changed because its first bytes had arrived."""
    if not has_file_part(peer):
        raise Unseen(f"the payload did not change, because {peer.name} saw no byte of it")


def excuse_slow_reading(peer: FakePeer, outcome: Outcome) -> None:
    """A relay that notices the change at once sends nothing that the peer could read slowly."""
    if outcome[peer].status == "failed":
        peer.fault = None


def test_a_payload_that_grows_fails_the_record(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    staged: Staging,
    tmp_path: Path,
) -> None:
    """A payload that grows while it is sent is a failed record, and the peer sees no end."""
    relay.need("staged_payload")
    peer = cluster.peer(fault=SLOWLY)
    with (
        check("BUG-14", "the end of the deploy"),
        act_when(has_file_part, peer, lambda: os.truncate(large.path, 17_000_000)),
    ):
        outcome = relay.deploy(to=[peer], payload=large.path)
    need_upload(cluster, relay, {}, payload=staged(large.size, tmp_path / "control").path)
    need_begin(peer)
    excuse_slow_reading(peer, outcome)
    with check("BUG-14", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("RES-11", "the number of complete bodies of a failed deploy"):
        check.need(outcome[peer].status == "failed", "the record is a success (BUG-14)")
        assert len(whole_uploads(peer)) == 0
    with check("RES-11", "the closing delimiters in the bodies of a failed deploy"):
        check.need(outcome[peer].status == "failed", "the record is a success (BUG-14)")
        assert [it.reader.body_complete for it in peer.uploads if it.reader.body_complete] == []


def test_a_payload_that_vanishes_ends_in_a_record(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    staged: Staging,
    tmp_path: Path,
) -> None:
    """A payload that is deleted while it is sent is a failed record, or arrives whole.

    It may arrive whole where an open file outlives its name.
    """
    relay.need("staged_payload")
    peer = cluster.peer(fault=SLOWLY)
    with (
        check("BUG-14", "the end of the deploy"),
        act_when(has_file_part, peer, large.path.unlink),
    ):
        outcome = relay.deploy(to=[peer], payload=large.path)
    need_upload(cluster, relay, {}, payload=staged(large.size, tmp_path / "control").path)
    need_begin(peer)
    excuse_slow_reading(peer, outcome)
    check_failed_or_whole(check, outcome, peer, large)


def check_failed_or_whole(
    check: Checks, outcome: Outcome, peer: FakePeer, payload: Payload
) -> None:
    """Look at the upload: the payload that was staged at first, or no end, or no upload."""
    if outcome[peer].status == "failed":
        with check("RES-11", "the number of complete bodies of a failed deploy"):
            check.need(len(peer.uploads) <= 1, "the payload was sent more than once (RTY-01)")
            assert len(whole_uploads(peer)) == 0
    else:
        with check("FLD-08", "the SHA-256 of the payload"):
            assert file_of(peer.upload).sha256 == payload.sha256


def minting_after(peer: FakePeer, act: Callable[[], object]) -> MintAnswer:
    """A good mint of this peer, which is answered after this act."""
    return MintAnswer(Held(Answer(json=peer.node.issue_tokens(None)), until=act))


def test_a_payload_that_shrinks_before_it_is_read_fails_the_record(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """A payload that shrinks during the mint is a failed record.

    The payload that is deployed is the one that was staged when the deploy began.
    """
    relay.need("staged_payload")
    peer = cluster.peer()
    peer.fault = minting_after(peer, lambda: os.truncate(payload.path, 100_000))
    outcome = relay.deploy(to=[peer], payload=payload.path)
    need_upload(cluster, relay, {})
    with check("BUG-14", "the status of the record"):
        need_late_reading(peer, payload)
        assert outcome[peer].status == "failed"
    with check("RES-11", "the number of complete bodies of a failed deploy"):
        check.need(outcome[peer].status == "failed", "the record is a success (BUG-14)")
        assert len(whole_uploads(peer)) == 0


def test_a_payload_that_is_replaced_is_not_sent_as_the_first_one(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload, tmp_path: Path
) -> None:
    """A payload that is replaced during the mint is a failed record, or the first one arrives.

    A relay that has opened the first one may send it. The second one has the same size.
    """
    relay.need("staged_payload")
    peer, other = cluster.peer(), tmp_path / "other"
    other.write_bytes(bytes(payload.size))
    peer.fault = minting_after(peer, lambda: other.replace(payload.path))
    outcome = relay.deploy(to=[peer], payload=payload.path)
    need_upload(cluster, relay, {})
    check_failed_or_whole(check, outcome, peer, payload)


def test_a_payload_that_grows_between_two_attempts_is_not_sent(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A second attempt completes no body if the payload has grown since the deploy began."""
    relay.need("staged_payload")
    staged = stage_payload(tmp_path / "grows.tar.gz", 70_000)

    def grow() -> None:
        os.truncate(staged.path, 70_001)

    peer = cluster.peer(fault=in_turn(Held(Answer(503), until=grow), None))
    outcome = relay.deploy(to=[peer], payload=staged.path, limits=THRICE)
    check.need(staged.path.stat().st_size == 70_001, "no whole first upload reached the peer")
    relay.deploy(to=[again := temporary(cluster)], limits=THRICE)
    need_retry(again)
    with check("BUG-14", "the status of the record of a payload that grew after an attempt"):
        assert outcome[peer].status == "failed"
    with check("RES-11", "the complete bodies after the payload grew"):
        assert len(whole_uploads(peer)) <= 1, "expected none after the first, got one"
    with check("RTY-04", "the attempts of which the last one saw that the payload grew"):
        check.need(outcome[peer].status == "failed", "the record is a success (BUG-14)")
        assert max(len(peer.uploads), len(peer.mints)) <= 2
