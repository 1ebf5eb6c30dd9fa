"""Peers that break, at every stage: a failed record in time, and nothing else."""

from __future__ import annotations

import pytest
from attrs import frozen

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CloseWithoutAnswer,
    Drip,
    FakeCluster,
    Fault,
    HangInHandshake,
    HeadThenSilence,
    Payload,
    ReadSlowly,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    SilentAfterAccept,
    StopReadingAfter,
    in_turn,
)
from deploy_relay_kit.harness.faults.answers import Pause, Script
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    look_at_neighbour,
    need_served,
    whole_uploads,
)
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Limits, Outcome


def name_of(fault: Fault) -> str:
    return repr(fault).replace("()", "")


def check_lost(
    check: Checks, relay: Relay, outcome: Outcome, lost: FakePeer, other: FakePeer
) -> None:
    """Look at the records of a peer without an answer and of a healthy peer."""
    with check("AGG-02", "the deploy"):
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    with check("RES-10", "the status of the record"):
        assert outcome[lost].status == "failed"
    with check("RES-10", "the members of the record"):
        assert "statusCode" not in list(outcome[lost].members)
    look_at_neighbour(check, relay, outcome, other)


@pytest.mark.parametrize("fault", [Refuse(), ResetAtAccept()], ids=name_of)
def test_a_peer_that_takes_no_connection_costs_one_record(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """A peer that takes no connection has a failed record without a status code."""
    lost, other = cluster.peer(fault=fault), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    need_served(relay, cluster.peer(), other)
    check_lost(check, relay, outcome, lost, other)


def test_a_host_that_does_not_exist_costs_one_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node whose host does not exist has a failed record without a status code."""
    lost, other = cluster.peer(), cluster.peer()
    node = relay.node(lost, url="https://no-such-host.invalid:9925/")
    outcome = relay.deploy(to=[node, other])
    need_served(relay, lost, other)
    check_lost(check, relay, outcome, lost, other)


@frozen
class Late(Answer):
    """Answer when a limit of a second is over."""

    def script(self, *, keep_alive: bool) -> Script:
        yield Pause(1.3)
        yield from Answer.script(self, keep_alive=keep_alive)


@pytest.mark.parametrize("fault", [SilentAfterAccept(), HangInHandshake()], ids=name_of)
def test_a_peer_that_does_not_connect_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """A peer that does not complete a connection is given up at the limit of connecting.

    Another peer answers only afterwards, and is not given up with it.
    """
    late = Late(json={"message": "Successfully deployed: demo"})
    lost, other = cluster.peer(fault=fault), cluster.peer(fault=late)
    with check("HTTP-03", "the end of the deploy, with a limit of 1 s for connecting"):
        outcome = relay.deploy(to=[lost, other], limits=Limits(connect=1), deadline=IN_TIME)
    check_lost(check, relay, outcome, lost, other)
    with check("AGG-04", "the status of the record of the peer that answers later"):
        if outcome[other].status != "success":
            again = cluster.peer(fault=late)
            alone = relay.deploy(to=[again])[again].status
            check.need(alone == "success", "alone, such a peer has no success either")
        assert outcome[other].status == "success"


def test_an_upload_that_does_not_connect_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A second connection, for the upload, is given up at the limit of connecting too."""
    peer = cluster.peer(fault=in_turn(None, HangInHandshake()))
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for connecting"):
        outcome = relay.deploy(to=[peer], limits=Limits(connect=LIMIT), deadline=IN_TIME)
        if len(peer.connections) == 1:
            pytest.skip("the relay opens no second connection")
    with check("RES-10", "the status of the record"):
        assert outcome[peer].status == "failed"


@pytest.mark.parametrize("received", [0, 1, 100, 1_000, 65_536, 200_000])
def test_a_reset_at_any_byte_of_an_upload_costs_one_record(
    cluster: FakeCluster, relay: Relay, check: Checks, received: int
) -> None:
    """A connection that is reset during an upload is a failed record without a status code."""
    lost, other = cluster.peer(fault=ResetAfter(received)), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    check_lost(check, relay, outcome, lost, other)


def test_a_peer_that_closes_without_an_answer_costs_one_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A peer that closes without an answer has a failed record without a status code."""
    lost, other = cluster.peer(fault=CloseWithoutAnswer()), cluster.peer()
    outcome = relay.deploy(to=[lost, other])
    check_lost(check, relay, outcome, lost, other)


@pytest.mark.parametrize("received", [0, 1_000, 1_000_000])
def test_a_peer_that_takes_no_more_bytes_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, received: int
) -> None:
    """A peer that takes no more bytes of an upload is given up at the limit of a stall.

    The payload is larger than the buffers on the way, so the relay can send no more.
    """
    lost, other = cluster.peer(fault=StopReadingAfter(received)), cluster.peer()
    with check("HTTP-03", "the end of the deploy, with a limit of 1 s for a stall"):
        outcome = relay.deploy(
            to=[lost, other], payload=large.path, limits=Limits(stall=1), deadline=IN_TIME
        )
    check_lost(check, relay, outcome, lost, other)


def test_a_peer_that_does_not_answer_an_upload_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A peer that does not answer a whole upload is given up at the limit of an answer.

    The upload fits into the buffers on the way, so only the answer is missing.
    """
    lost, other = cluster.peer(fault=StopReadingAfter(100)), cluster.peer()
    with check("HTTP-03", "the end of the deploy, with a limit of 1 s for an answer"):
        outcome = relay.deploy(to=[lost, other], limits=Limits(answer=1, stall=1), deadline=IN_TIME)
    check_lost(check, relay, outcome, lost, other)


def test_a_slow_peer_is_not_given_up(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A peer that reads slowly and does not stop is not given up.

    A limit on the whole upload would fail the largest packages and the slowest lines. The peer
    reads the content of the buffers on the way in less than the limit of an answer.
    """
    peer = cluster.peer(fault=ReadSlowly(10_000_000))
    limits = Limits(connect=1, mint=1, stall=1, answer=1)
    outcome = relay.deploy(to=[peer], payload=large.path, limits=limits)
    with check("HTTP-03", "the record of an upload that takes longer than every limit of 1 s"):
        check.need("statusCode" not in outcome[peer], "the peer refused the upload")
        assert outcome[peer].status == "success"
        times = peer.upload.times
        seconds = times.get("body end", 0) - times.get("head", 0)
        check.need(seconds > 1, f"the upload took {seconds:.1f} s, not more than 1 s")


def test_a_refusal_that_does_not_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A refusal during the upload whose body does not end is given up at the limit of an answer."""
    refusal = AnswerEarly(HeadThenSilence(Answer.error(403, "no")), then="stop")
    peer, limits = cluster.peer(fault=refusal), Limits(stall=LIMIT, answer=LIMIT)
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=[peer], payload=large.path, limits=limits, deadline=IN_TIME)
    with check("EARLY-01", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("EARLY-01", "the status code of the record"):
        assert outcome[peer].status_code in (403, None)


def test_a_peer_that_is_back_is_served_again(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A peer that refused connections in one deploy and is back gets the upload of the next one."""
    peer, other = cluster.peer(), cluster.peer()
    peer.kill()
    outcome = relay.deploy(to=[peer, other])
    with check("RES-10", "the status of the record while the peer refuses connections"):
        assert outcome[peer].status == "failed"
    peer.restart()
    relay.deploy(to=[peer, other])
    with check("SEQ-03", "the uploads to the peer that is back"):
        served = len(whole_uploads(other))
        check.need(served == 2, f"{other.name}, which was there, got no second upload")
        assert len(whole_uploads(peer)) >= 1


def test_an_answer_that_drips_is_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer that arrives byte by byte, amid a character too, is a success with its text."""
    answer = Answer(json={"message": "☃"})
    peer = cluster.peer(fault=Drip(answer, bytes_per_second=5_000))
    record = relay.deploy(to=[peer])[peer]
    with check("HTTP-05", "the status of the record"):
        assert record.status == "success"
    with check("HTTP-05", "the message of the record"):
        check.need("message" in record, "the record has no message (RES-01)")
        assert record["message"] == "☃"


def test_a_peer_that_answers_408_is_a_failed_record_with_408(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A peer that ends a slow upload with 408 and an empty body has a failed record with 408."""
    peer, control = cluster.peer(fault=Answer(408)), cluster.peer(fault=Answer(500))
    outcome = relay.deploy(to=[peer, control])
    record = outcome[peer]
    with check("EARLY-12", "the status of the record"):
        assert record.status == "failed"
    with check("EARLY-12", "the status code of the record"):
        known = outcome[control].members.get("statusCode")
        check.need(known == 500, "another refusal has not its status code either (RES-05)")
        assert record.status_code == 408
    with check("RES-06", "the reason of the record"):
        assert record.reason == "HTTP 408"


def test_a_deploy_that_fails_everywhere_has_every_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A deploy that fails on every node has a failed record for each."""
    faults: dict[Fault, str] = {
        Refuse(): "RES-10",
        ResetAfter(0): "RES-10",
        CloseWithoutAnswer(): "RES-10",
        Answer(500): "RES-05",
    }
    peers = [cluster.peer(fault=fault) for fault in faults]
    with check("AGG-02", "the deploy"):
        outcome = relay.deploy(to=peers)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    with check("AGG-03", "the names in the records that are not of the nodes"):
        names = [peer.name for peer in peers]
        assert [name for name in outcome.nodes if name not in names] == []
    for peer, requirement in zip(peers, faults.values(), strict=True):
        with check(requirement, f"the status of the record of {peer.name}"):
            assert outcome[peer].status == "failed"
