"""How many attempts the relay makes, with what, and what the record says of them."""

from __future__ import annotations

import contextlib

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    Fault,
    Held,
    OneFault,
    ResetAfter,
    ResetAtAccept,
    TokensExpire,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_mints, tokens_of
from deploy_relay_kit.harness.targets import GivenToken, Limits

IN_THE_PAUSE = 1.75  # seconds after an answer that asks for 2

# -- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "requirement"), [(1, "RTY-01"), (2, "RTY-04"), (3, "RTY-04")])
def test_all_allowed_attempts_are_made_and_no_more(
    cluster: FakeCluster, relay: Relay, check: Checks, attempts: int, requirement: str
) -> None:
    """The relay makes as many attempts as the deploy allows, and reports the last answer."""
    peer = cluster.peer(fault=Answer(503, json={"error": "busy"}))
    record = relay.deploy(to=[peer], limits=Limits(attempts=attempts, retry_delay=0.01))[peer]
    need_mints(peer)
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 503
    with check("RES-06", "the reason of the record"):
        assert record.reason == "busy"
    if attempts > 1:
        with check("RTY-02", "the uploads to a peer that answers 503"):
            assert len(peer.uploads) >= 2
        check.need(len(peer.uploads) >= 2, "the relay made no second attempt")
    with check(requirement, "the uploads to a peer that answers 503"):
        assert len(peer.uploads) == attempts
    if attempts > 1:
        with check("RTY-04", "attempts in the record"):
            assert record["attempts"] == len(peer.uploads)


def test_each_peer_has_its_own_attempts(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """The attempts to one peer do not depend on the failures of others."""
    alone = cluster.peer(fault=in_turn(Answer(503), Answer(503), None))
    relay.deploy(to=[alone], limits=THRICE)
    with check("RTY-02", "the uploads to a peer that answers 503 twice, deployed to alone"):
        need_mints(alone)
        assert len(alone.uploads) >= 3
    check.need(len(alone.uploads) == 3, "alone, the peer did not get three attempts either")
    busy = [cluster.peer(fault=in_turn(Answer(503), Answer(503), None)) for _ in range(2)]
    refusing, healthy = cluster.peer(fault=Answer(500)), cluster.peer()
    outcome = relay.deploy(to=[*busy, refusing, healthy], limits=THRICE)
    for peer in busy:
        with check("AGG-04", f"the uploads to {peer.name}, which answers 503 twice"):
            need_mints(peer)
            assert len(peer.uploads) == 3
    with check("AGG-04", "the uploads to the healthy peer"):
        need_mints(healthy)
        assert len(healthy.uploads) == 1
    with check("RTY-04", "the uploads to the peer that answers 500"):
        need_mints(refusing)
        assert len(refusing.uploads) == 1
    for peer in (*busy, healthy):
        with check("AGG-04", f"the record of {peer.name}, which answers 200 in the end"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            check.need(peer.uploads[-1].answer_status == 200, f"{peer.name} did not answer 200")
            assert outcome[peer].status == "success"


# -- with what -----------------------------------------------------------------------------------


LATER = (("Retry-After", "0"),)
NO_CONNECTION = (
    in_turn(None, ResetAtAccept(), None),
    in_turn(None, None, ResetAtAccept(), None),
)
"""The connection of the upload fails, unless the relay uploads on that of the mint.

Some relays have another connection before: they try whether they can connect, or ask for a version.
"""
FAILURES: dict[str, Fault] = {
    "a reset": in_turn(ResetAfter(70_000), ResetAfter(0), None),
    "no answer": in_turn(CloseWithoutAnswer(), CloseWithoutAnswer(), None),
    **{str(it): in_turn(Answer(it), Answer(it), None) for it in (502, 503, 504)},
    "503 with Retry-After": in_turn(*[Answer(503, headers=LATER)] * 2, None),
    "503 during the upload": in_turn(*[AnswerEarly(Answer(503), then="close")] * 2, None),
}


def test_every_attempt_has_a_new_token_and_the_payload_from_its_first_byte(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Each attempt has its own token and boundary, and sends what a first attempt sends."""
    once = cluster.peer()
    peers = {what: cluster.peer(fault=it, path="/a/?b=1") for what, it in FAILURES.items()}
    nodes = {what: relay.node(peer) for what, peer in peers.items()}
    relay.deploy(to=[once, *nodes.values()], limits=THRICE)
    for what, peer in peers.items():
        with check("URL-08", f"the targets of the requests of three attempts, after {what}"):
            assert {request.target for request in peer.requests} == {peer.path}
        check.need(len(peer.uploads) == 3, f"{len(peer.uploads)} uploads after {what}, not three")
        tokens = tokens_of(peer)
        if not isinstance(nodes[what].mint, GivenToken):
            with check("RTY-03", f"the different tokens of three attempts, after {what}"):
                assert len(set(tokens)) == 3
        if peer.mints:
            with check("MINT-08", f"the mints of three attempts, after {what}"):
                assert len(peer.mints) <= 3
            with check("RTY-03", f"the uploads without the token minted for them, after {what}"):
                check.need(len(peer.mints) <= 3, "more tokens are minted than used (MINT-08)")
                minted = [mint.token for mint in peer.mints]
                assert sum(token not in minted[at : at + 1] for at, token in enumerate(tokens)) == 0
        with check("WIRE-02", f"the different boundaries of three attempts, after {what}"):
            assert len({upload.header("content-type") for upload in peer.uploads}) == 3
        with check("RTY-03", f"the fields of the third attempt and a first, after {what}"):
            assert peer.uploads[-1].fields == once.upload.fields
        first, last = once.upload.file, peer.uploads[-1].file
        with check("RTY-03", f"the file of the third attempt, compared with a first, after {what}"):
            check.need(first, "a first attempt had no file either")
            check.need(last, "the third attempt had no file")
            assert first is not None
            assert last is not None
            assert (last.length, last.sha256) == (first.length, first.sha256)


def test_a_token_is_new_after_a_connection_that_failed(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token whose upload found no connection is not used in the next attempt."""
    peers = []
    for fault in NO_CONNECTION:
        peers.append(cluster.peer(fault=fault))
        relay.deploy(to=[relay.minting(peers[-1])], limits=THRICE)
        if len(peers[-1].mints) > 1:
            break
    peer = peers[-1] if len(peers[-1].mints) > 1 else peers[0]
    with check("RTY-03", "the uploads without the token of the mint right before them"):
        check.need(peer.uploads, f"{peer.name} saw no upload")
        if len(peer.connections) == 1:
            pytest.skip("the relay uploads on the connection of the mint")
        check.need(len(peer.uploads) == 1, f"{peer.name} saw {len(peer.uploads)} uploads, not one")
        assert peer.uploads[-1].token == peer.mints[-1].token
        assert len(peer.mints) >= 2


def test_every_attempt_mints_over_a_socket_of_its_own(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Each attempt has its own token also if it is minted over the replication socket."""
    peer = cluster.peer(fault=in_turn(Answer(503), CloseWithoutAnswer(), None))
    socket = cluster.replication(peer)
    relay.deploy(to=[relay.minting_over(socket, peer)], limits=THRICE)
    with check("RTY-03", "the different tokens of three attempts"):
        check.need(len(peer.uploads) == 3, f"{peer.name} saw {len(peer.uploads)} uploads")
        assert len({upload.token for upload in peer.uploads}) == 3
    with check("MINT-08", "the mints of three attempts"):
        assert len(socket.sockets) <= 3


def test_an_expired_token_is_never_used_again(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token that has expired is not used for another attempt.

    Whether the relay makes another attempt after this refusal is its own decision.
    """
    peer = cluster.peer(fault=TokensExpire(first=1))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    check.need(peer.uploads, f"{peer.name} saw no upload")
    with check("RTY-03", "the uploads that repeat the token of another upload"):
        assert len(peer.uploads) - len({upload.token for upload in peer.uploads}) == 0
    with check("MINT-08", "the mints of these uploads"):
        assert len(peer.mints) <= len(peer.uploads)
    if peer.uploads[-1].answer_status == 200:
        with check("RES-01", "the status of the record after an upload that was answered 200"):
            assert record.status == "success"
    else:
        with check("MINT-12", "the status of the record after an upload that was answered 401"):
            assert record.status == "failed"


# -- when ----------------------------------------------------------------------------------------


def test_a_pause_before_another_attempt_delays_no_other_peer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """While one peer has asked for a pause of 2 s, another gets its second attempt."""
    for _ in range(3):  # a busy machine may be late, but not each time
        begun = _begun_beside_a_pause(cluster, relay, check)
        if begun < IN_THE_PAUSE:
            break
    with check("AGG-04", "the beginning of the second attempt"):
        assert begun < IN_THE_PAUSE, (
            f"expected in the pause of 2 s of another node, got {begun:.3f} s after its answer"
        )


def _begun_beside_a_pause(cluster: FakeCluster, relay: Relay, check: Checks) -> float:
    """The seconds from an answer with Retry-After: 2 to the second attempt at another node."""
    patient = cluster.peer(fault=in_turn(Answer(503, headers=(("Retry-After", "2"),)), None))

    def wait() -> None:
        with contextlib.suppress(TimeoutError):
            patient.wait_until(is_answered, IN_TIME)

    peer = cluster.peer(fault=in_turn(Held(Answer(503), until=wait), None))

    def wait_longer() -> None:
        with contextlib.suppress(TimeoutError):
            peer.wait_until(is_tried_again, 2 * IN_THE_PAUSE)

    # Its first attempt ends after the second one of the other peer.
    slow = cluster.peer(fault=Held(Answer(json={}), until=wait_longer))
    relay.deploy(to=[patient, peer, slow], limits=THRICE)
    for it in (patient, peer):
        check.need(len(it.uploads) == 2, f"{it.name} saw {len(it.uploads)} uploads, not two")
    return peer.uploads[1].times["head"] - patient.uploads[0].times["answer end"]


def is_tried_again(peer: FakePeer) -> bool:
    return len(peer.live_uploads) > 1


def is_answered(peer: FakePeer) -> bool:
    return any("answer end" in upload.times for upload in peer.live_uploads)


# -- what the record says ------------------------------------------------------------------------


def test_the_relay_counts_the_attempts_itself(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The attempts in the record are not those that the peer's answer names."""
    answer = Answer(json={"message": "done", "attempts": 99})
    peer = cluster.peer(fault=in_turn(Answer(503), answer))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    with check("RES-02", "attempts in the record, where the answer says 99"):
        check.need(len(peer.uploads) >= 2, "the relay made no second attempt")
        assert record.members.get("attempts") != 99
    with check("RES-01", "the status of the record"):
        check.need(len(peer.uploads) >= 2, "the relay made no second attempt")
        assert record.status == "success"


@pytest.mark.parametrize(
    ("last", "code", "requirement"),
    [(Answer.error(400, "boom"), 400, "RES-05"), (CloseWithoutAnswer(), None, "RES-10")],
    ids=["refused", "lost"],
)
def test_the_record_of_a_failure_is_that_of_the_last_attempt(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    *,
    last: OneFault,
    code: int | None,
    requirement: str,
) -> None:
    """The record of a failure has the status code and the reason of the last attempt."""
    peer = cluster.peer(fault=in_turn(Answer.error(503, "busy"), last))
    # A refusal is final, although one more attempt is allowed.
    limits = Limits(attempts=2 if code is None else 3, retry_delay=0.01)
    record = relay.deploy(to=[peer], limits=limits)[peer]
    check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
    with check(requirement, "the status of the record"):
        assert record.status == "failed"
    with check(requirement, "the status code of the record"):
        assert record.status_code == code
    with check(requirement, "the reason of the record, where the first attempt failed with busy"):
        assert "busy" not in record.reason
    with check("RTY-04", "attempts in the record"):
        assert record["attempts"] == 2
