"""Answers before their time: refusals while the upload goes on, in all the ways peers show them."""

from __future__ import annotations

from typing import Literal

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, Drip, UnfinishedChunks
from harness.faults.events import EventStream, failure_events
from harness.faults.kinds import AnswerEarly, TokensExpire
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.targets import GivenToken, Limits

requirement = pytest.mark.requirement

REFUSED = Answer.error(403, "may not deploy here")
IN_TIME = 8.0


@requirement("EARLY-01", "EARLY-08")
@pytest.mark.parametrize("at", ["head", "file", 70_000])
@pytest.mark.parametrize("then", ["drain", "stop", "grace"])
def test_a_refusal_on_the_way_is_a_record_with_its_reason_and_status(
    cluster: FakeCluster,
    relay: Relay,
    large: Payload,
    at: Literal["head", "file"] | int,
    then: Literal["drain", "stop", "grace"],
) -> None:
    """With `grace` the connection breaks behind the answer, which must not hide it."""
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, then))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert (record.status_code, record.reason) == (403, "may not deploy here")


@requirement("EARLY-02")
@pytest.mark.parametrize("at", ["head", "file", 1_000_000])
@pytest.mark.parametrize("then", ["close", "grace"])
def test_a_refusal_behind_which_the_peer_closes_is_a_failed_record_at_once(
    cluster: FakeCluster,
    relay: Relay,
    large: Payload,
    at: Literal["head", "file"] | int,
    then: Literal["close", "grace"],
) -> None:
    """With FIN, and nothing is read any more, or with a reset, as when a socket is just closed.

    Whether the answer or the broken pipe is seen first is a race; it fails either way.
    """
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, then, grace=0))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert record.reason
    assert record.status_code in (403, None)


@requirement("EARLY-04")
def test_a_peer_that_never_reads_again_after_its_refusal_stalls_nobody(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    stalling, other = cluster.peer(fault=AnswerEarly(REFUSED, "file", "stop")), cluster.peer()
    limits = Limits(stall=20, answer=20)
    outcome = relay.deploy(
        to=[stalling, other], payload=large.path, limits=limits, deadline=IN_TIME
    )
    assert outcome.statuses == ["failed", "success"]
    assert outcome[stalling].reason == "may not deploy here"


@requirement("EARLY-08", "RES-12")
def test_an_answer_cut_short_by_a_peer_that_takes_no_more_ends_the_upload(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    """It drips until every buffer between the two is full; what lies there is not waited for."""
    cut = Drip(UnfinishedChunks(Answer.error(500, "no space left")), bytes_per_second=1000)
    peer = cluster.peer(fault=AnswerEarly(cut, 100_000))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert record.reason


@requirement("EARLY-05")
def test_the_rest_of_a_refused_payload_is_not_sent(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(fault=AnswerEarly(REFUSED, "file", "drain"))
    relay.deploy(to=[peer], payload=large.path)
    assert peer.upload.received_after_answer < large.size / 2
    assert not peer.upload.complete


@requirement("FLD-08", "RES-01", "BUG-34")
@pytest.mark.parametrize("at", ["head", "file", 8_000_000])
def test_a_success_before_its_time_is_none_without_the_whole_payload(
    cluster: FakeCluster, relay: Relay, large: Payload, at: Literal["head", "file"] | int
) -> None:
    """Some clients stop sending at any answer; then nobody may call it a success."""
    peer = cluster.peer(fault=AnswerEarly(Answer(json={"message": "done"}), at, "drain"))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    if record.status == "success":
        assert peer.upload.complete
        assert peer.upload.file is not None
        assert peer.upload.file.sha256 == large.sha256
    else:
        assert record.reason


@requirement("EARLY-10")
def test_a_refusal_behind_a_hundred_continue_is_the_answer(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    refusal = Answer.error(401, "invalid token", interim=(100,))
    peer = cluster.peer(fault=AnswerEarly(refusal, "head", "stop"))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    assert (record.status_code, record.reason) == (401, "invalid token")


# -- as a real peer of version 5.1 shows it ------------------------------------------------------


@requirement("EARLY-01", "MINT-12")
def test_a_real_peer_refuses_a_made_up_token_at_the_head_and_reads_on(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(profile="harper-5.1")
    node = relay.node(peer, mint=GivenToken("made-up"))
    record = relay.deploy(to=[node], payload=large.path, deadline=IN_TIME)[peer]
    assert (record.status_code, record.reason) == (401, "invalid token")


@requirement("EARLY-04", "MINT-12")
def test_a_real_peer_refuses_an_expired_token_at_the_file_and_stops_reading(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(profile="harper-5.1", fault=TokensExpire(first=9))
    record = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)[peer]
    assert (record.status_code, record.reason) == (401, "token expired")


@requirement("EARLY-04", "EARLY-08")
def test_a_real_peer_refuses_a_project_at_the_file_and_stops_reading(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(profile="harper-5.1")
    outcome = relay.deploy(
        to=[peer], payload=large.path, request={"project": "a b"}, deadline=IN_TIME
    )
    assert outcome[peer].status_code == 400
    assert "alphanumeric" in outcome[peer].reason


@requirement("EARLY-01")
def test_a_real_peer_refuses_a_payload_when_it_has_it_all(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    """Seeded bytes are no tar file, which such a peer finds out after it has stored them all."""
    peer = cluster.peer(profile="harper-5.1")
    record = relay.deploy(to=[peer], payload=payload.path)[peer]
    assert (record.status, record.status_code) == ("failed", 500)
    assert record.reason
    assert peer.upload.file is not None
    assert peer.upload.file.length == payload.size


# -- inside an event stream ----------------------------------------------------------------------


@requirement("EARLY-07", "BUG-34")
def test_a_refusal_in_a_stream_that_began_early_has_its_reason(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    stream = EventStream(failure_events("'project' is required", 400), after_upload=False)
    peer = cluster.peer(fault=AnswerEarly(stream, "file", "stop"))
    record = relay.deploy(to=[peer], payload=large.path, events=True, deadline=IN_TIME)[peer]
    assert (record.status, record.reason) == ("failed", "'project' is required")


@requirement("BUG-34")
def test_the_head_of_a_success_before_the_payload_has_come_does_not_end_the_upload(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(fault=EventStream())
    record = relay.deploy(to=[peer], payload=large.path, events=True)[peer]
    assert record.status == "success"
    assert peer.upload.complete
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == large.sha256
    assert peer.upload.times["answer"] < peer.upload.times["body end"]
