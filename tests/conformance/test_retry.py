"""Another attempt: after what, after what never, how often, with what."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, HeadThenSilence, UnfinishedChunks
from harness.faults.events import EventStream, failure_events, success_events
from harness.faults.kinds import (
    CertificateFlaw,
    CloseWithoutAnswer,
    Fault,
    MintAnswer,
    MintDropped,
    OneUploadFault,
    Refuse,
    ResetAfter,
    StopReadingAfter,
    TokensExpire,
    in_turn,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.targets import Limits

requirement = pytest.mark.requirement

THRICE = Limits(attempts=3, retry_delay=0.01)
A_TICK = 0.05  # seconds by which a timer may be early
PASSING = [ResetAfter(70_000), CloseWithoutAnswer(), Answer(502), Answer(503), Answer(504)]


def name_of(fault: object) -> str:
    return str(fault.status) if isinstance(fault, Answer) else type(fault).__name__


@requirement("RTY-02", "RTY-04")
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_what_passes_is_tried_again(
    cluster: FakeCluster, relay: Relay, fault: OneUploadFault
) -> None:
    peer = cluster.peer(fault=in_turn(fault, None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert (record.status, record["attempts"]) == ("success", 2)
    assert not {"reason", "statusCode"} & set(record.members), "those of an attempt that failed"
    assert len(peer.uploads) == 2


@requirement("RTY-03")
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_every_attempt_has_a_new_token_and_the_payload_from_its_first_byte(
    cluster: FakeCluster, relay: Relay, payload: Payload, fault: OneUploadFault
) -> None:
    peer = cluster.peer(fault=in_turn(fault, fault, None))
    relay.deploy(to=[peer], limits=THRICE)
    tokens = [upload.token for upload in peer.uploads]
    assert len(set(tokens)) == 3
    assert tokens == [mint.token for mint in peer.mints]
    last = peer.uploads[-1]
    assert last.complete
    assert last.file is not None
    assert last.file.sha256 == payload.sha256
    boundaries = {upload.header("content-type") for upload in peer.uploads}
    assert len(boundaries) == 3


@requirement("RTY-04")
@pytest.mark.parametrize(
    "fault",
    [
        *(Answer(status) for status in (300, 307, 400, 401, 403, 404, 408, 409, 413, 415, 429)),
        *(Answer(status) for status in (500, 501, 505)),
        UnfinishedChunks(Answer(json={"message": "done"})),
    ],
    ids=name_of,
)
def test_an_answer_of_any_other_kind_is_final(
    cluster: FakeCluster, relay: Relay, fault: OneUploadFault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert record.status == "failed"
    assert len(peer.uploads) == 1


BEGUN = [
    EventStream(failure_events("disk full")),
    EventStream(failure_events("busy", 503)),
    EventStream(success_events()[:-1]),
    EventStream(success_events()[:-1], truncated=True),
]


@requirement("RTY-04")
@pytest.mark.parametrize("stream", BEGUN, ids=["error", "error-503", "no-end", "cut"])
def test_a_stream_that_was_begun_is_final(
    cluster: FakeCluster, relay: Relay, stream: EventStream
) -> None:
    peer = cluster.peer(fault=stream)
    assert relay.deploy(to=[peer], limits=THRICE, events=True)[peer].status == "failed"
    assert len(peer.uploads) == 1


@requirement("RTY-02", "RTY-03")
@pytest.mark.parametrize("answer", [Answer(502), Answer(503), Answer(504), None], ids=str)
def test_a_mint_that_fails_in_passing_is_tried_again(
    cluster: FakeCluster, relay: Relay, answer: Answer | None
) -> None:
    peer = cluster.peer(fault=in_turn(MintAnswer(answer) if answer else MintDropped(), None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert (record.status, record["attempts"]) == ("success", 2)
    assert len(peer.uploads) == 1


@requirement("RTY-04", "RES-02")
def test_the_attempts_are_counted_by_the_relay(cluster: FakeCluster, relay: Relay) -> None:
    told = Answer(json={"message": "done", "attempts": 99})
    peer = cluster.peer(fault=in_turn(Answer(503), told))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert (record.status, record["attempts"]) == ("success", 2)


@requirement("RTY-04")
@pytest.mark.parametrize("answer", [Answer(200), Answer(204), Answer(json={"error": "no"})])
def test_a_success_is_final(cluster: FakeCluster, relay: Relay, answer: Answer) -> None:
    peer = cluster.peer(fault=answer)
    assert relay.deploy(to=[peer], limits=THRICE)[peer].status == "success"
    assert len(peer.uploads) == 1


@requirement("RTY-04")
def test_an_answer_that_was_begun_is_not_asked_for_again(
    cluster: FakeCluster, relay: Relay
) -> None:
    """The peer has the whole payload and has said 200: it may have deployed."""
    peer = cluster.peer(fault=HeadThenSilence(Answer(json={"message": "done"})))
    limits = Limits(attempts=3, retry_delay=0.01, answer=0.3)
    assert relay.deploy(to=[peer], limits=limits)[peer].status == "failed"
    assert len(peer.uploads) == 1


@requirement("RTY-02", "RTY-04")
def test_a_whole_upload_without_an_answer_is_not_sent_again(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    """The peer has the whole payload and may be deploying it, however long it says nothing."""
    peer = cluster.peer(fault=StopReadingAfter(10 * payload.size))
    limits = Limits(attempts=3, retry_delay=0.01, answer=0.3)
    assert relay.deploy(to=[peer], limits=limits)[peer].status == "failed"
    assert [upload.complete for upload in peer.uploads] == [True]


@requirement("RTY-04")
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_attempts_are_as_many_as_were_allowed(
    cluster: FakeCluster, relay: Relay, attempts: int
) -> None:
    peer = cluster.peer(fault=Answer(503, json={"error": "busy"}))
    limits = Limits(attempts=attempts, retry_delay=0.01)
    record = relay.deploy(to=[peer], limits=limits)[peer]
    assert (record.status, record.status_code, record.reason) == ("failed", 503, "busy")
    assert len(peer.uploads) == attempts
    if attempts > 1:
        assert record["attempts"] == attempts


@requirement("RTY-02", "RTY-04")
def test_a_refused_connection_is_tried_again(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(fault=Refuse())
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert (record.status, record["attempts"]) == ("failed", 3)


@requirement("RTY-04", "TLS-01")
@pytest.mark.parametrize(
    "fault", [CertificateFlaw.EXPIRED, CertificateFlaw.WRONG_AUTHORITY, CertificateFlaw.WRONG_HOST]
)
def test_a_certificate_does_not_get_better(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert record.status == "failed"
    assert len(peer.connections) == 1


@requirement("RTY-04", "SEQ-06")
def test_wrong_credentials_do_not_get_better(cluster: FakeCluster, relay: Relay) -> None:
    """Some peers lock a user out who tries too often."""
    peer = cluster.peer(fault=MintAnswer(Answer.error(401, "invalid credentials")))
    assert relay.deploy(to=[peer], limits=THRICE)[peer].status == "failed"
    assert len(peer.mints) == 1
    assert peer.uploads == []


@requirement("RTY-03", "MINT-12")
def test_a_token_that_had_expired_is_never_used_again(cluster: FakeCluster, relay: Relay) -> None:
    """Whether such a refusal is worth another attempt is up to the relay; an old token is not."""
    peer = cluster.peer(fault=TokensExpire(first=1))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    tokens = [upload.token for upload in peer.uploads]
    assert len(tokens) == len(set(tokens)) == len(peer.mints)
    assert (record.status == "success") == (len(tokens) == 2)


@requirement("AGG-04", "RTY-02")
def test_a_peer_is_tried_again_on_its_own(cluster: FakeCluster, relay: Relay) -> None:
    passing = [cluster.peer(fault=in_turn(Answer(503), Answer(503), None)) for _ in range(2)]
    peers = [*passing, cluster.peer(fault=Answer(500)), cluster.peer()]
    outcome = relay.deploy(to=peers, limits=THRICE)
    assert outcome.statuses == ["success", "success", "failed", "success"]
    assert [len(peer.uploads) for peer in peers] == [3, 3, 1, 1]


@requirement("KIT-04")
def test_retry_after_is_waited_for(cluster: FakeCluster, relay: Relay) -> None:
    later = (("Retry-After", "1"),)
    peers = [
        cluster.peer(fault=in_turn(Answer(status, headers=later), None))
        for status in (503, 502, 504)
    ]
    assert relay.deploy(to=peers, limits=THRICE).statuses == ["success"] * 3
    for peer in peers:
        first, second = peer.uploads
        assert second.times["head"] - first.times["answer"] >= 1.0


@requirement("KIT-04")
def test_retry_after_of_a_mint_is_waited_for(cluster: FakeCluster, relay: Relay) -> None:
    busy = MintAnswer(Answer(503, headers=(("Retry-After", "1"),)))
    peer = cluster.peer(fault=in_turn(busy, None))
    assert relay.deploy(to=[relay.minting(peer)], limits=THRICE)[peer].status == "success"
    first, second = peer.mints
    assert second.times["head"] - first.times["answer"] >= 1.0


@requirement("KIT-04")
def test_retry_after_may_be_a_date(cluster: FakeCluster, relay: Relay) -> None:
    """A date tells whole seconds: this one is a second away at least, and two at most."""
    date = int(time.time()) + 2
    busy = Answer(503, headers=(("Retry-After", formatdate(date, usegmt=True)),))
    peer = cluster.peer(fault=in_turn(busy, None))
    assert relay.deploy(to=[peer], limits=THRICE)[peer].status == "success"
    came = peer.uploads[1].times["head"] + time.time() - time.monotonic()
    assert came >= date - A_TICK


@requirement("KIT-04", "RTY-02")
@pytest.mark.parametrize("told", ["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-1", ""])
def test_retry_after_without_a_time_to_wait_for_stops_nobody(
    cluster: FakeCluster, relay: Relay, told: str
) -> None:
    peer = cluster.peer(fault=in_turn(Answer(503, headers=(("Retry-After", told),)), None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    assert (record.status, record["attempts"]) == ("success", 2)
