"""How many attempts follow each kind of failure: all that are allowed, or no other one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CloseInHandshake,
    CloseWithoutAnswer,
    ContentLengthOff,
    Dropped,
    End,
    Event,
    EventStream,
    FakeCluster,
    FakePeer,
    Fault,
    HangInHandshake,
    MintAnswer,
    MintDropped,
    MintHangs,
    Payload,
    ReplicationFault,
    ResetAfter,
    ResetAtAccept,
    StopReadingAfter,
    TokensExpire,
    Unauthorized,
    UnfinishedChunks,
    WithoutToken,
    WithToken,
    failure_events,
    in_turn,
    success_events,
)
from deploy_relay_kit.harness.faults.kinds import group_of
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_mints, need_retry, temporary
from deploy_relay_kit.harness.replication.faults import ErrorAnswer, RawFrames, UpgradeRefused
from deploy_relay_kit.harness.replication.frames import closing_frame
from deploy_relay_kit.harness.targets import Limits

Seen = Callable[[FakePeer], int]
Faults = dict[str, tuple[Fault | tuple[Fault, ...], Seen]]
UPLOADS: Seen = lambda peer: len(peer.uploads)  # noqa: E731
MINTS: Seen = lambda peer: len(peer.mints)  # noqa: E731
CONNECTIONS: Seen = lambda peer: sum(seen.has_spoken for seen in peer.connections)  # noqa: E731
ACCEPTED: Seen = lambda peer: len(peer.connections)  # noqa: E731

BUSY = [502, 503, 504]
WITH_A_BODY = {
    "a page": Answer(503, body="<html><h1>Busy</h1></html>", content_type="text/html"),
    "a text": Answer(503, body="busy", content_type="text/plain"),
    "an error": Answer.error(503, "busy"),
}
TEMPORARY: Faults = {
    **{f"uploads answered {it}": (Answer(it), UPLOADS) for it in BUSY},
    **{f"mints answered {it}": (MintAnswer(Answer(it)), MINTS) for it in BUSY},
    "uploads refused early with 503": (AnswerEarly(Answer(503), then="drain"), UPLOADS),
    **{f"uploads answered 503 with {what}": (it, UPLOADS) for what, it in WITH_A_BODY.items()},
    "uploads that are reset": (ResetAfter(70_000), UPLOADS),
    "uploads without an answer": (CloseWithoutAnswer(), UPLOADS),
    "mints without an answer": (MintDropped(), MINTS),
    "connections that are reset": (ResetAtAccept(), ACCEPTED),
    "handshakes that are ended": (CloseInHandshake(), CONNECTIONS),
    "uploads that fail in other ways": (
        in_turn(Answer(504), CloseWithoutAnswer(), Answer(502), ResetAfter(70_000), Answer(503)),
        UPLOADS,
    ),
    "mints and uploads in turn": (
        (in_turn(MintAnswer(Answer(503)), None, MintDropped(), None), Answer(503)),
        MINTS,
    ),
}


def with_mints(relay: Relay, faults: Faults) -> list[str]:
    """The names of these faults that the relay can meet."""
    mints = "mint.operations" in relay.target.capabilities
    of_mints = {
        what
        for what, (fault, _) in faults.items()
        if any(group_of(it) == "mint" for it in (fault if isinstance(fault, tuple) else (fault,)))
    }
    return [what for what in faults if mints or what not in of_mints]


MANY = 12  # attempts; some relays make no more than 5 or 10
SOME = [
    "uploads answered 503",
    "uploads that fail in other ways",
    "mints answered 503",
    "connections that are reset",
]


@pytest.mark.parametrize(("attempts", "whats"), [(2, list(TEMPORARY)), (MANY, SOME)])
def test_every_temporary_failure_gets_all_allowed_attempts_and_no_more(
    cluster: FakeCluster, relay: Relay, check: Checks, attempts: int, whats: list[str]
) -> None:
    """After each temporary failure the relay makes all allowed attempts and no other one."""
    met = [what for what in with_mints(relay, TEMPORARY) if what in whats]
    # On one host, whose attempts a relay may count together.
    peers = {what: cluster.peer(host="127.0.0.1", fault=TEMPORARY[what][0]) for what in met}
    limits = Limits(attempts=attempts, retry_delay=0.0 if attempts == MANY else 0.01)
    outcome = relay.deploy(to=peers.values(), limits=limits)
    for what, peer in peers.items():
        with check("RTY-04", f"the attempts after {what}, with {attempts} allowed"):
            need_mints(peer)
            assert TEMPORARY[what][1](peer) == attempts
        with check("RTY-04", f"attempts in the record after {what}"):
            need_mints(peer)
            assert outcome[peer].members.get("attempts") == attempts


FINAL: dict[str, tuple[Fault, Seen]] = {
    **{
        f"an upload refused early with {it}": (AnswerEarly(Answer(it), then="drain"), UPLOADS)
        for it in (400, 401, 408, 409, 413, 415, 429, 500, 501, 505)
    },
    "an invalid token": (Answer.error(401, "invalid token"), UPLOADS),
    "a 403 in the words of an expired token": (Answer.error(403, "token expired"), UPLOADS),
    "a 500 in the words of an expired token": (Answer.error(500, "token expired"), UPLOADS),
    "a success without its last chunk": (UnfinishedChunks(Answer(json={})), UPLOADS),
    "a success without its last bytes": (ContentLengthOff(Answer(json={}), by=10), UPLOADS),
    "a stream without its end": (EventStream(success_events()[:-1], truncated=True), UPLOADS),
}


def test_every_other_failure_is_final(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """After every other kind of refusal or half answer the relay makes no other attempt."""
    peers = {what: cluster.peer(fault=fault) for what, (fault, _) in FINAL.items()}
    again = temporary(cluster)
    relay.deploy(to=[*peers.values(), again], limits=THRICE)
    for what, peer in peers.items():
        with check("RTY-04", f"the uploads after {what}"):
            need_retry(again)
            check.need(peer.uploads, f"{peer.name} saw no upload")
            assert len(peer.uploads) == 1


CODES = (401, 408, 429, 500, 502, 503, 504, "EBUSY", "503")


def test_every_error_of_a_stream_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After an error in an event stream the relay makes no other attempt, whatever its code is."""
    streams = {str(it): failure_events("busy", it) for it in CODES}
    streams["none"] = (Event("error", {"message": "busy"}),)
    peers = {code: cluster.peer(fault=EventStream(it)) for code, it in streams.items()}
    again = temporary(cluster)
    relay.deploy(to=[*peers.values(), again], limits=THRICE, events=True)
    for code, peer in peers.items():
        with check("RTY-04", f"the uploads after an event error with the code {code}"):
            need_retry(again)
            check.need(peer.uploads, f"{peer.name} saw no upload")
            assert len(peer.uploads) == 1


MINT_STATUSES = (
    *(300, 302, 307, 400, 401, 403, 404, 408, 409, 413, 415, 422, 425, 429, 499),
    *(500, 501, 505, 507, 508, 511, 520, 522, 529, 599),
)


def test_every_other_status_of_a_mint_is_final(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Only 502, 503 and 504 are tried again as answers to a mint."""
    peers = {
        status: cluster.peer(fault=MintAnswer(Answer(status, json={"error": "no"})))
        for status in MINT_STATUSES
    }
    again = temporary(cluster)
    relay.deploy(to=[*peers.values(), again], limits=THRICE)
    with check("RTY-04", "the statuses of a mint after which the relay tries again"):
        need_retry(again)
        check.need(all(peer.mints for peer in peers.values()), "not every peer saw a mint")
        assert [status for status, peer in peers.items() if len(peer.mints) > 1] == []


SOCKETS: dict[str, tuple[ReplicationFault, int]] = {
    "a reset without an answer": (Dropped("request"), 3),
    "an end without an answer": (Dropped("request", End.CLOSE), 3),
    "a close with 1008": (Unauthorized(), 1),
    **{
        f"a close with {code}": (RawFrames(partial(closing_frame, code)), 3)
        for code in (1000, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 3000, 4008)
    },
    "an answer without a token": (WithoutToken(), 1),
    "a token that cannot be used": (WithToken("a b"), 1),
    "an answer with an error": (ErrorAnswer("ClientError: busy, try again"), 1),
    **{f"an upgrade answered {it}": (UpgradeRefused(it), 1) for it in (403, 408, 429, 500)},
}


def test_a_socket_is_opened_again_only_if_it_was_lost(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After a socket that was lost the relay makes all attempts, after a refusal no other one."""
    nodes, sockets = [], {}
    for what, (fault, _) in SOCKETS.items():
        peer = cluster.peer()
        sockets[what] = cluster.replication(peer, fault=fault)
        nodes.append(relay.minting_over(sockets[what], peer))
    relay.deploy(to=nodes, limits=THRICE)
    for what, (_, attempts) in SOCKETS.items():
        opened = len(sockets[what].requests)
        if attempts > 1:
            with check("RTY-02", f"the sockets after {what}"):
                check.need(opened, "no handshake of a WebSocket reached the socket")
                assert opened >= 2
        with check("RTY-04", f"the number of sockets after {what}"):
            check.need(opened >= min(attempts, 2), "the relay made no other attempt")
            assert opened == attempts


ONCE: Faults = {
    "an upload without an answer": (in_turn(CloseWithoutAnswer(), None), UPLOADS),
    "an upload that is reset at once": (in_turn(ResetAfter(0), None), UPLOADS),
    "an upload that is reset": (in_turn(ResetAfter(70_000), None), UPLOADS),
    **{f"an upload answered {it}": (in_turn(Answer(it), None), UPLOADS) for it in (408, *BUSY)},
    "an invalid token": (in_turn(Answer.error(401, "invalid token"), None), UPLOADS),
    "an expired token": (TokensExpire(first=1), UPLOADS),
    "a mint without an answer": (in_turn(MintDropped(), None), MINTS),
    **{
        f"a mint answered {it}": (in_turn(MintAnswer(Answer(it)), None), MINTS)
        for it in (401, 408, *BUSY)
    },
    "a connection that is reset": (in_turn(ResetAtAccept(), None), ACCEPTED),
    "a handshake that is ended": (in_turn(CloseInHandshake(), None), CONNECTIONS),
}


def test_nothing_is_retried_unless_the_deploy_allows_it(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Without leave for another attempt the relay makes one, whatever fails.

    Some HTTP clients send a request again by themselves.
    """
    peers = {what: cluster.peer(fault=ONCE[what][0]) for what in with_mints(relay, ONCE)}
    relay.deploy(to=peers.values())
    relay.deploy(to=[again := temporary(cluster)], limits=THRICE)
    need_retry(again)
    for what, peer in peers.items():
        with check("RTY-01", f"the attempts after {what}, with one allowed"):
            assert ONCE[what][1](peer) <= 1
        with check("RTY-01", f"the mints before {what}, with one attempt allowed"):
            assert len(peer.mints) <= 1


# -- limits ----------------------------------------------------------------------------------------


TWO_ATTEMPTS = 8.0  # seconds, with limits of 1 s; the first attempts end at once


def test_every_limit_holds_in_the_second_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A peer that hangs in its second attempt is given up as in its first."""
    refuses = Answer(503)
    faults: dict[str, Fault] = {
        "takes no bytes": in_turn(AnswerEarly(refuses, then="drain"), StopReadingAfter(0)),
        "does not answer": in_turn(refuses, StopReadingAfter(10 * large.size)),
        "does not connect": in_turn(ResetAtAccept(), HangInHandshake()),
    }
    if "mint.operations" in relay.target.capabilities:
        faults["does not mint"] = in_turn(MintAnswer(refuses), MintHangs())
    peers = {what: cluster.peer(fault=fault) for what, fault in faults.items()}
    limits = Limits(1, 1, 1, 1, attempts=2, retry_delay=0.01)
    with check("HTTP-03", "the end of the deploy, with limits of 1 s"):
        outcome = relay.deploy(
            to=peers.values(), payload=large.path, limits=limits, deadline=TWO_ATTEMPTS
        )
    relay.deploy(to=[again := temporary(cluster)], limits=THRICE)
    need_retry(again)
    for what, peer in peers.items():
        with check("HTTP-03", f"the status of the record of a peer that {what} the second time"):
            assert outcome[peer].status == "failed"
