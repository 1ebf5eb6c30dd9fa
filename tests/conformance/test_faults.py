"""Peers that break, at every phase: a failed record with its reason, in time, and nothing else."""

from __future__ import annotations

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, Drip, HeadThenSilence
from harness.faults.kinds import (
    AnswerEarly,
    CloseWithoutAnswer,
    Fault,
    HangInHandshake,
    ReadSlowly,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    SilentAfterAccept,
    StopReadingAfter,
    in_turn,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.targets import Limits

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine


def name_of(fault: Fault) -> str:
    return repr(fault).replace("()", "")


@requirement("RES-10", "AGG-02")
@pytest.mark.parametrize("fault", [Refuse(), ResetAtAccept()], ids=name_of)
def test_a_connection_that_never_is_costs_one_record(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    lost, other = cluster.peer(fault=fault), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    assert outcome.statuses == ["failed", "success"]
    assert outcome[lost].reason
    assert "statusCode" not in outcome[lost]


@requirement("RES-10", "AGG-02")
def test_a_host_that_does_not_exist_costs_one_record(cluster: FakeCluster, relay: Relay) -> None:
    lost, other = cluster.peer(), cluster.peer()
    node = relay.node(lost, url="https://no-such-host.invalid:9925/")
    outcome = relay.deploy(to=[node, other])
    assert outcome.statuses == ["failed", "success"]
    assert outcome[lost].reason
    assert "statusCode" not in outcome[lost]


@requirement("HTTP-03", "RES-10")
@pytest.mark.parametrize("fault", [SilentAfterAccept(), HangInHandshake()], ids=name_of)
def test_a_peer_that_does_not_connect_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    lost, other = cluster.peer(fault=fault), cluster.peer()
    outcome = relay.deploy(to=[lost, other], limits=Limits(connect=1), deadline=IN_TIME)
    assert outcome.statuses == ["failed", "success"]
    assert outcome[lost].reason
    assert lost.requests == []


@requirement("HTTP-03")
def test_an_upload_that_does_not_connect_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay
) -> None:
    """Who sends it on the connection of its mint has no second."""
    peer = cluster.peer(fault=in_turn(None, HangInHandshake()))
    record = relay.deploy(to=[peer], limits=Limits(connect=0.4), deadline=IN_TIME)[peer]
    assert record.status == ("success" if len(peer.connections) == 1 else "failed")


@requirement("RES-10", "AGG-02")
@pytest.mark.parametrize("received", [0, 1, 100, 1_000, 65_536, 200_000])
def test_a_reset_anywhere_in_an_upload_costs_one_record(
    cluster: FakeCluster, relay: Relay, received: int
) -> None:
    lost, other = cluster.peer(fault=ResetAfter(received)), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    assert outcome.statuses == ["failed", "success"]
    assert outcome[lost].reason
    assert "statusCode" not in outcome[lost]


@requirement("RES-10", "AGG-02")
def test_a_peer_that_closes_without_an_answer_costs_one_record(
    cluster: FakeCluster, relay: Relay
) -> None:
    lost, other = cluster.peer(fault=CloseWithoutAnswer()), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    assert outcome.statuses == ["failed", "success"]
    assert outcome[lost].reason


@requirement("HTTP-03")
@pytest.mark.parametrize("received", [0, 1_000, 1_000_000])
def test_a_peer_that_takes_no_more_bytes_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, large: Payload, received: int
) -> None:
    """The payload is more than the buffers on the way hold, so the relay comes to stand."""
    lost, other = cluster.peer(fault=StopReadingAfter(received)), cluster.peer()
    outcome = relay.deploy(
        to=[lost, other], payload=large.path, limits=Limits(stall=1), deadline=IN_TIME
    )
    assert outcome[lost].status == "failed"
    assert outcome[lost].reason
    assert "statusCode" not in outcome[lost]


@requirement("HTTP-03")
def test_a_peer_that_says_nothing_after_an_upload_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay
) -> None:
    """The upload fits into the buffers on the way, so all that is missing is the answer."""
    lost, other = cluster.peer(fault=StopReadingAfter(100)), cluster.peer()
    outcome = relay.deploy(to=[lost, other], limits=Limits(answer=1, stall=1), deadline=IN_TIME)
    assert outcome[lost].status == "failed"
    assert outcome[lost].reason


@requirement("HTTP-03")
def test_a_peer_that_is_slow_and_goes_on_is_not_given_up(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    """A limit on the whole upload would fail the largest packages and the slowest lines.

    What the buffers on the way hold is read in less than the limit of an answer.
    """
    peer = cluster.peer(fault=ReadSlowly(10_000_000))
    limits = Limits(connect=1, mint=1, stall=1, answer=1)
    outcome = relay.deploy(to=[peer], payload=large.path, limits=limits)
    assert outcome[peer].status == "success"
    assert peer.upload.times["body end"] - peer.upload.times["head"] > 1


@requirement("HTTP-03", "EARLY-01")
def test_a_refusal_on_the_way_that_does_not_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    refusal = AnswerEarly(HeadThenSilence(Answer.error(403, "no")), then="stop")
    peer, limits = cluster.peer(fault=refusal), Limits(stall=0.4, answer=0.4)
    record = relay.deploy(to=[peer], payload=large.path, limits=limits, deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert record.reason
    assert record.status_code in (403, None)


@requirement("SEQ-03", "RES-10")
def test_a_peer_that_has_come_back_is_served_again(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    peer.kill()
    assert relay.deploy(to=[peer])[peer].status == "failed"
    peer.restart()
    assert relay.deploy(to=[peer])[peer].status == "success"


@requirement("HTTP-05")
def test_an_answer_that_drips_is_a_success(cluster: FakeCluster, relay: Relay) -> None:
    answer = Answer(json={"message": "☃"})
    peer = cluster.peer(fault=Drip(answer, bytes_per_second=5_000))
    assert relay.deploy(to=[peer])[peer]["message"] == "☃"


@requirement("EARLY-12", "RES-05")
def test_a_peer_that_has_lost_patience_is_a_failed_record_with_408(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=Answer(408))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record.status_code, record.reason) == ("failed", 408, "HTTP 408")


@requirement("AGG-02", "AGG-03")
def test_nothing_but_failures_is_a_report_like_any_other(
    cluster: FakeCluster, relay: Relay
) -> None:
    faults: list[Fault] = [Refuse(), ResetAfter(0), CloseWithoutAnswer(), Answer(500)]
    peers = [cluster.peer(fault=fault) for fault in faults]
    outcome = relay.deploy(to=peers)
    assert outcome.nodes == [peer.name for peer in peers]
    assert outcome.statuses == ["failed"] * 4
    assert all(record.reason for record in outcome.records)
