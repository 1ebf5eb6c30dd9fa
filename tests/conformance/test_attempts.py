"""What another attempt is made of, and what never, and what the record says of several."""

from __future__ import annotations

import os

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.kinds import (
    AnswerEarly,
    CloseInHandshake,
    CloseWithoutAnswer,
    HangInHandshake,
    MintAnswer,
    MintDropped,
    OneFault,
    ReadSlowly,
    ResetAtAccept,
    TokensExpire,
    in_turn,
    mint_refused,
    mint_without_token,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.peer.triggers import act_when, has_file_part
from harness.targets import Limits

requirement = pytest.mark.requirement

THRICE = Limits(attempts=3, retry_delay=0.01)
BUSY = Answer.error(503, "busy")


# -- what the record says ------------------------------------------------------------------------


@requirement("RTY-04", "RES-05")
@pytest.mark.parametrize(
    ("last", "code"),
    [(Answer.error(400, "boom"), 400), (CloseWithoutAnswer(), None)],
    ids=["refused", "lost"],
)
def test_the_record_of_a_failure_is_that_of_the_last_attempt(
    cluster: FakeCluster, relay: Relay, last: OneFault, code: int | None
) -> None:
    peer = cluster.peer(fault=in_turn(BUSY, last))
    limits = Limits(attempts=2, retry_delay=0.01)
    record = relay.deploy(to=[peer], limits=limits)[peer]
    assert (record.status, record["attempts"]) == ("failed", 2)
    assert record.status_code == code
    assert "busy" not in record.reason


# -- what is tried again -------------------------------------------------------------------------


@requirement("RTY-02")
@pytest.mark.parametrize(
    "fault",
    [ResetAtAccept(), CloseInHandshake(), HangInHandshake()],
    ids=lambda it: type(it).__name__,
)
def test_a_connection_that_could_not_be_made_is_tried_again(
    cluster: FakeCluster, relay: Relay, fault: OneFault
) -> None:
    peer = cluster.peer(fault=in_turn(fault, None))
    limits = Limits(connect=0.5, attempts=3, retry_delay=0.01)
    record = relay.deploy(to=[peer], limits=limits)[peer]
    assert record.status == "success"
    assert record["attempts"] > 1


@requirement("RTY-02")
def test_a_host_that_was_not_found_is_looked_for_again(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    node = relay.node(peer, url="https://no-such-host.invalid:9925/")
    limits = Limits(attempts=2, retry_delay=0.01)
    record = relay.deploy(to=[node], limits=limits)[peer]
    assert (record.status, record["attempts"]) == ("failed", 2)


@requirement("RTY-02", "RTY-04")
@pytest.mark.parametrize(("status", "uploads"), [(503, 2), (403, 1)])
def test_a_refusal_on_the_way_is_tried_again_as_any_other_is(
    cluster: FakeCluster, relay: Relay, large: Payload, status: int, uploads: int
) -> None:
    peer = cluster.peer(fault=AnswerEarly(Answer.error(status, "no"), then="stop"))
    limits = Limits(attempts=2, retry_delay=0.01)
    record = relay.deploy(to=[peer], payload=large.path, limits=limits)[peer]
    assert (record.status, record.status_code) == ("failed", status)
    assert len(peer.uploads) == uploads


# -- what never is -------------------------------------------------------------------------------


@requirement("RTY-01")
@pytest.mark.parametrize(
    "fault",
    [CloseWithoutAnswer(), MintDropped(), Answer(503), MintAnswer(Answer(503))],
    ids=lambda fault: type(fault).__name__,
)
def test_nothing_is_tried_again_unasked(
    cluster: FakeCluster, relay: Relay, fault: OneFault
) -> None:
    """Some HTTP clients send a request again by themselves."""
    peer = cluster.peer(fault=in_turn(fault, None))
    assert relay.deploy(to=[relay.minting(peer)])[peer].status == "failed"
    assert len(peer.mints) == 1
    assert len(peer.uploads) <= 1


@requirement("RTY-04", "SEQ-06")
@pytest.mark.parametrize(
    "fault",
    [
        *(mint_refused(status=status) for status in (401, 403, 429, 500)),
        MintAnswer(Answer.redirect("/elsewhere")),
        mint_without_token(),
    ],
    ids=["401", "403", "429", "500", "redirect", "no-token"],
)
def test_an_answer_of_any_other_kind_to_a_mint_is_final(
    cluster: FakeCluster, relay: Relay, fault: MintAnswer
) -> None:
    peer = cluster.peer(fault=fault)
    assert relay.deploy(to=[peer], limits=THRICE)[peer].status == "failed"
    assert len(peer.mints) == 1


@requirement("RTY-04", "MINT-12")
def test_an_expired_token_is_replaced_once_at_most(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(fault=TokensExpire(first=9))
    limits = Limits(attempts=4, retry_delay=0.01)
    record = relay.deploy(to=[peer], limits=limits)[peer]
    assert (record.status_code, record.reason) == (401, "token expired")
    assert len(peer.uploads) <= 2


@requirement("RTY-04", "BUG-14")
def test_a_payload_that_shrinks_is_not_sent_again(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(fault=ReadSlowly(40_000_000))
    with act_when(has_file_part, peer, lambda: os.truncate(large.path, 1_000_000)):
        record = relay.deploy(to=[peer], payload=large.path, limits=THRICE)[peer]
    assert record.status == "failed"
    assert len(peer.uploads) == 1
