"""Answers before the end of the upload, in all the ways in which peers send them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    Drip,
    FakeCluster,
    Payload,
    TokensExpire,
    UnfinishedChunks,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    look_at_neighbour,
    need_good_form,
    need_other_refusal,
)
from deploy_relay_kit.harness.targets import GivenToken, Limits, Record

REASON = "may not deploy here"
REFUSED = Answer.error(403, REASON)
READS_ON = AnswerEarly(REFUSED, "file", "drain")
"""The control of cases about a peer that does more than to refuse during the upload."""


At = Literal["head", "file"] | int


def need_refusal(check: Checks, record: Record) -> None:
    """Need the reason and the status of the control in its record."""
    check.need(
        (record.reason, record.status_code) == (REASON, 403),
        "the record of the control, a simpler refusal, does not have its reason and its status",
    )


def has_the_refusal(check: Checks, id_: str, record: Record, control: Record) -> None:
    """Look for the refusal in a record, if that of the control has it."""
    with check(id_, "the status of the record"):
        need_refusal(check, control)
        assert record.status == "failed"
    with check(id_, "the status code of the record"):
        need_refusal(check, control)
        assert record.status_code == 403
    with check(id_, "the reason of the record"):
        need_refusal(check, control)
        assert record.reason == REASON


@pytest.mark.parametrize("at", ["head", "file", 70_000])
def test_a_refusal_during_the_upload_is_a_record_with_its_reason_and_status(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, at: At
) -> None:
    """A refusal during the upload is a failed record with its reason and its status."""
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, "drain"))
    control = cluster.peer(fault=REFUSED)
    with check("EARLY-01", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, control], payload=large.path, deadline=IN_TIME)
    has_the_refusal(check, "EARLY-01", outcome[peer], outcome[control])


@pytest.mark.parametrize("at", ["head", "file", 70_000])
def test_a_refusal_after_which_the_peer_stops_reading_is_its_record(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, at: At
) -> None:
    """A refusal after which the peer stops reading is a failed record with its reason."""
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, "stop"))
    control = cluster.peer(fault=READS_ON)
    with check("EARLY-04", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, control], payload=large.path, deadline=IN_TIME)
    has_the_refusal(check, "EARLY-04", outcome[peer], outcome[control])


@pytest.mark.parametrize("at", ["head", "file", 70_000])
def test_a_reset_after_a_refusal_does_not_hide_it(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, at: At
) -> None:
    """A reset of the connection, a second after a refusal, does not hide the refusal."""
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, "grace"))
    control = cluster.peer(fault=READS_ON)
    with check("EARLY-08", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, control], payload=large.path, deadline=IN_TIME)
    has_the_refusal(check, "EARLY-08", outcome[peer], outcome[control])


@pytest.mark.parametrize("at", ["head", "file", 1_000_000])
@pytest.mark.parametrize("then", ["close", "grace"])
def test_a_refusal_after_which_the_peer_closes_is_a_failed_record_at_once(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    at: At,
    then: Literal["close", "grace"],
) -> None:
    """A refusal after which the peer closes or resets the connection is a failed record at once.

    The relay may see the answer or the broken pipe first; the record is failed either way.
    """
    peer = cluster.peer(fault=AnswerEarly(REFUSED, at, then, grace=0))
    with check("EARLY-02", "the end of the deploy"):
        outcome = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)
    record = outcome[peer]
    with check("EARLY-02", "the status of the record"):
        assert record.status == "failed"
    with check("RES-02", "the status code of the record"):
        assert record.status_code in (403, None)


def test_a_peer_that_never_reads_again_after_its_refusal_delays_no_peer(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A peer that stops reading after its refusal delays neither its record nor another peer."""
    stalling, other = cluster.peer(fault=AnswerEarly(REFUSED, "file", "stop")), cluster.peer()
    control = cluster.peer(fault=READS_ON)
    limits = Limits(stall=20, answer=20)
    with check("EARLY-04", "the end of the deploy, with a limit of 20 s for a stall"):
        outcome = relay.deploy(
            to=[stalling, other, control], payload=large.path, limits=limits, deadline=IN_TIME
        )
    look_at_neighbour(check, relay, outcome, other)
    has_the_refusal(check, "EARLY-04", outcome[stalling], outcome[control])


def test_an_answer_cut_short_by_a_peer_that_reads_no_more_ends_the_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """An answer that breaks off during the upload is a failed record at once.

    The peer sends it slowly, until all buffers between relay and peer are full; the relay does
    not wait until they are empty.
    """
    cut = Drip(UnfinishedChunks(Answer.error(500, "no space left")), bytes_per_second=1000)
    peer = cluster.peer(fault=AnswerEarly(cut, 100_000))
    with check("EARLY-04", "the end of the deploy"):
        outcome = relay.deploy(to=[peer], payload=large.path, deadline=IN_TIME)
    with check("RES-12", "the status of the record"):
        assert outcome[peer].status == "failed"


def test_the_rest_of_a_refused_payload_is_not_sent(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    staged: Callable[[int, Path], Payload],
    tmp_path: Path,
) -> None:
    """After a refusal, less than half of a payload of 16 MB is sent, or else of one of 64 MB.

    Large chunks and buffers, and a loaded machine, may take 8 MB until the relay notices.
    """
    for size in (16_000_000, 64_000_000):
        payload = staged(size, tmp_path / f"{size}.tar.gz")
        peer, healthy = cluster.peer(fault=READS_ON), cluster.peer()
        relay.deploy(to=[peer, healthy], payload=payload.path)
        check.need(healthy.upload.complete, "a healthy peer does not get the whole payload either")
        if peer.upload.received_after_answer < size // 2:
            break
    with check("EARLY-05", f"the bytes of the upload of {size:,} bytes after the refusal"):
        assert peer.upload.received_after_answer < size // 2
    with check("EARLY-05", "the upload after the refusal"):
        assert not peer.upload.complete, "expected an upload that stops, got the whole upload"
    with check("EARLY-05", "the end of a body without its closing delimiter"):
        check.need(not peer.upload.complete, "the upload is whole")
        assert not peer.upload.reader.framing.terminated, "expected no last chunk, got one"


def test_a_refusal_after_100_continue_is_the_answer(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A refusal after 100 Continue, in the same moment, is the answer."""
    refusal = Answer.error(401, "invalid token", interim=(100,))
    peer = cluster.peer(fault=AnswerEarly(refusal, "head", "stop"))
    plain = cluster.peer(fault=AnswerEarly(Answer.error(401, "invalid token"), "head", "stop"))
    with check("EARLY-04", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, plain], payload=large.path, deadline=IN_TIME)
    control = (outcome[plain].status_code, outcome[plain].reason)
    check.need(control == (401, "invalid token"), "the refusal alone is not in its record either")
    with check("EARLY-10", "the status code of the record"):
        assert outcome[peer].status_code == 401
    with check("EARLY-10", "the reason of the record"):
        assert outcome[peer].reason == "invalid token"


# -- as a real peer of version 5.1 does it -------------------------------------------------------


def test_a_real_peer_refuses_a_made_up_token_at_the_head_and_reads_on(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A real peer refuses an unknown token at the head of the upload, with 401 and its text."""
    peer, control = cluster.peer(profile="harper-5.1"), cluster.peer(fault=READS_ON)
    node = relay.node(peer, mint=GivenToken("made-up"))
    with check("EARLY-01", "the end of the deploy"):
        outcome = relay.deploy(to=[node, control], payload=large.path, deadline=IN_TIME)
    with check("EARLY-01", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("MINT-12", "the status code of the record"):
        need_refusal(check, outcome[control])
        assert outcome[peer].status_code == 401
    with check("MINT-12", "the reason of the record"):
        need_refusal(check, outcome[control])
        if outcome[peer].reason != "invalid token":
            need_other_refusal(cluster, relay)
        assert outcome[peer].reason == "invalid token"


def test_a_real_peer_refuses_an_expired_token_at_the_file_and_stops_reading(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A real peer refuses an expired token at the file part and stops reading."""
    peer = cluster.peer(profile="harper-5.1", fault=TokensExpire(first=9))
    control = cluster.peer(fault=READS_ON)
    with check("EARLY-04", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, control], payload=large.path, deadline=IN_TIME)
    need_good_form(peer)
    with check("EARLY-04", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("MINT-12", "the status code of the record"):
        need_refusal(check, outcome[control])
        assert outcome[peer].status_code == 401
    with check("MINT-12", "the reason of the record"):
        need_refusal(check, outcome[control])
        if outcome[peer].reason != "token expired":
            need_other_refusal(cluster, relay)
        assert outcome[peer].reason == "token expired"


def test_a_real_peer_refuses_a_project_at_the_file_and_stops_reading(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A real peer refuses the name of a project at the file part and stops reading."""
    peer, control = cluster.peer(profile="harper-5.1"), cluster.peer(fault=READS_ON)
    with check("EARLY-04", "the end of the deploy"):
        outcome = relay.deploy(
            to=[peer, control],
            payload=large.path,
            request={"project": "a b"},
            deadline=IN_TIME,
        )
    need_good_form(peer)
    with check("RES-05", "the status code of the record"):
        need_refusal(check, outcome[control])
        assert outcome[peer].status_code == 400
    with check("EARLY-04", "the reason of the record"):
        need_refusal(check, outcome[control])
        assert "alphanumeric" in outcome[peer].reason


def test_a_real_peer_refuses_a_payload_after_it_has_the_whole(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """A real peer refuses a payload that is not a tar file after it has stored the whole."""
    peer = cluster.peer(profile="harper-5.1")
    record = relay.deploy(to=[peer], payload=payload.path)[peer]
    check.need(peer.upload.answer_status == 500, "the peer did not come to refuse the payload")
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 500
    with check("FLD-08", "the length of the payload"):
        length = peer.upload.file.length if peer.upload.file else 0
        assert length == payload.size
