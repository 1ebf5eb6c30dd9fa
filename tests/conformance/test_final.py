"""Which answers and failures are final: the relay makes no other attempt after them."""

from __future__ import annotations

import os
from functools import partial

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CertificateFlaw,
    EventStream,
    FakeCluster,
    Fault,
    HeadThenSilence,
    MintAnswer,
    Payload,
    StopReadingAfter,
    TokensExpire,
    UnfinishedChunks,
    failure_events,
    mint_refused,
    mint_without_token,
    success_events,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    look_for_refused_token,
    need_late_reading,
    need_retry,
    temporary,
)
from deploy_relay_kit.harness.targets import Limits

NO_ANSWER_IN_TIME = Limits(attempts=3, retry_delay=0.01, answer=LIMIT)


# -- answers to an upload ------------------------------------------------------------------------


STATUSES = (300, 307, 400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 501, 505)
OTHERS: dict[str, tuple[Fault, str]] = {
    **{str(status): (Answer(status), "RES-05") for status in STATUSES},
    "401 with a text about a session": (Answer.error(401, "your session is expired"), "RES-05"),
    "200, cut short": (UnfinishedChunks(Answer(json={"message": "done"})), "RES-12"),
}
"""Answers, each with the requirement about the status of its record."""


def test_an_answer_of_any_other_kind_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After an answer other than 502, 503 and 504 the relay makes no other attempt."""
    peers = {what: cluster.peer(fault=fault) for what, (fault, _) in OTHERS.items()}
    again = temporary(cluster)
    outcome = relay.deploy(to=[*peers.values(), again], limits=THRICE)
    for what, peer in peers.items():
        with check("RTY-04", f"the uploads to a peer that answers {what}"):
            need_retry(again)
            assert len(peer.uploads) == 1
        with check(OTHERS[what][1], f"the status of the record after {what}"):
            assert outcome[peer].status == "failed"


BEGUN = [
    EventStream(failure_events("disk full")),
    EventStream(failure_events("busy", 503)),
    EventStream(success_events()[:-1]),
    EventStream(success_events()[:-1], truncated=True),
]


@pytest.mark.parametrize(
    ("stream", "requirement"),
    [(BEGUN[0], "RES-13"), (BEGUN[1], "RES-13"), (BEGUN[2], "SSE-16"), (BEGUN[3], "SSE-16")],
    ids=["error", "error-503", "no-end", "cut"],
)
def test_an_event_stream_that_has_begun_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks, stream: EventStream, requirement: str
) -> None:
    """After the beginning of an event stream the relay makes no other attempt."""
    peer = cluster.peer(fault=stream)
    again = temporary(cluster)
    record = relay.deploy(to=[peer, again], limits=THRICE, events=True)[peer]
    with check("RTY-04", "the uploads to a peer that began an event stream"):
        need_retry(again)
        assert len(peer.uploads) == 1
    with check(requirement, "the status of the record"):
        assert record.status == "failed"


@pytest.mark.parametrize(
    ("answer", "requirement"),
    [(Answer(200), "HTTP-05"), (Answer(204), "HTTP-05"), (Answer(json={"error": "no"}), "RES-14")],
    ids=["200", "204", "error"],
)
def test_a_success_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks, answer: Answer, requirement: str
) -> None:
    """After a success the relay makes no other attempt."""
    peer = cluster.peer(fault=answer)
    again = temporary(cluster)
    record = relay.deploy(to=[peer, again], limits=THRICE)[peer]
    with check("RTY-04", "the uploads to a peer that answered 2xx"):
        need_retry(again)
        assert len(peer.uploads) == 1
    with check(requirement, "the status of the record"):
        assert record.status == "success"


def test_a_success_that_is_early_or_long_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """After a success that comes early, or is longer than a relay reads, no attempt follows.

    The peer may have deployed. What the record says is the matter of other cases.
    """
    done = Answer(json={"message": "done"})
    faults: dict[str, Fault] = {
        "in the file": AnswerEarly(done, "file", "drain"),
        "of 2 MiB": Answer(json={"message": "done" * (1 << 19)}),
    }
    peers = {what: cluster.peer(fault=fault) for what, fault in faults.items()}
    again = temporary(cluster)
    # After `Connection: close`, a peer takes no more of the upload: it ends when it stalls.
    deadline = THRICE.stall + IN_TIME
    relay.deploy(to=[*peers.values(), again], payload=large.path, limits=THRICE, deadline=deadline)
    for what, peer in peers.items():
        with check("RTY-04", f"the uploads to a peer with a success {what}"):
            need_retry(again)
            assert len(peer.uploads) == 1


def test_an_answer_that_has_begun_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After the head of a success the relay makes no other attempt, even if the rest is missing.

    The peer has the whole payload and may have deployed it.
    """
    peer = cluster.peer(fault=HeadThenSilence(Answer(json={"message": "done"})))
    again = temporary(cluster)
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=[peer, again], limits=NO_ANSWER_IN_TIME)
    with check("HTTP-03", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("RTY-04", "the uploads to a peer that began to answer 200"):
        need_retry(again)
        assert len(peer.uploads) == 1


def test_a_whole_upload_without_an_answer_is_not_sent_again(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """After a whole upload without an answer in time the relay makes no other attempt.

    The peer has the whole payload and may be deploying it.
    """
    peer = cluster.peer(fault=StopReadingAfter(10 * payload.size))
    again = temporary(cluster)
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=[peer, again], limits=NO_ANSWER_IN_TIME)
    with check("HTTP-03", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("RTY-04", "the uploads to a peer that has the whole payload"):
        need_retry(again)
        check.need(any(it.complete for it in peer.uploads), "no whole upload reached the peer")
        assert len(peer.uploads) == 1


# -- certificates and mints ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [CertificateFlaw.EXPIRED, CertificateFlaw.WRONG_AUTHORITY, CertificateFlaw.WRONG_HOST]
)
def test_a_bad_certificate_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """After a certificate that does not verify the relay makes no other attempt."""
    peer, tried_once = cluster.peer(fault=fault), cluster.peer(fault=fault)
    again = temporary(cluster)
    record = relay.deploy(to=[peer, again], limits=THRICE)[peer]
    relay.deploy(to=[tried_once], limits=Limits(attempts=1))
    with check("TLS-01", "the requests to a peer with a bad certificate"):
        assert len(peer.requests) == 0
    with check("TLS-01", "the status of the record"):
        assert record.status == "failed"
    with check("RTY-04", "the connections to a peer with a bad certificate"):
        need_retry(again)
        check.need(not peer.requests, "the relay does not verify the certificate (TLS-01)")
        several = len(tried_once.connections) > 1
        check.need(not several, "the only attempt that is allowed connects again, too (SEQ-06)")
        assert len(peer.connections) == 1


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
    cluster: FakeCluster, relay: Relay, check: Checks, fault: MintAnswer
) -> None:
    """After a mint with an answer other than 502, 503 and 504 the relay makes no other attempt.

    Some peers lock a user out after several wrong passwords.
    """
    peer = cluster.peer(fault=fault)
    again = temporary(cluster)
    record = relay.deploy(to=[peer, again], limits=THRICE)[peer]
    with check("RTY-04", f"the mints on a peer that answers them with {fault.answer.status}"):
        need_retry(again)
        assert len(peer.mints) == 1
    with check("SEQ-06", "the status of the record"):
        assert record.status == "failed"
    with check("SEQ-06", "the uploads after the failed mint"):
        assert peer.uploads == []


def test_an_expired_token_is_replaced_once_at_most(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After two expired tokens the relay makes no other attempt."""
    peer = cluster.peer(fault=TokensExpire(first=9))
    again, limits = temporary(cluster), Limits(attempts=4, retry_delay=0.01)
    record = relay.deploy(to=[peer, again], limits=limits)[peer]
    with check("RTY-04", "the uploads to a peer that answers 401, token expired"):
        need_retry(again)
        assert len(peer.uploads) <= 2
    look_for_refused_token(check, cluster, relay, record, "token expired", peer=peer)


# -- failures of the origin ------------------------------------------------------------------------


def test_a_payload_that_shrinks_is_not_sent_again(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """After the payload has shrunk during the upload the relay makes no other attempt."""
    relay.need("staged_payload")
    peer = cluster.peer(fault=StopReadingAfter(70_000, partial(os.truncate, large.path, 1_000_000)))
    record = relay.deploy(to=[peer], payload=large.path, limits=THRICE)[peer]
    relay.deploy(to=[again := temporary(cluster)], limits=THRICE)
    with check("BUG-14", "the status of the record"):
        need_late_reading(peer, large)
        assert record.status == "failed"
    with check("RTY-04", "the uploads of a payload that shrinks"):
        need_retry(again)
        assert len(peer.uploads) == 1
