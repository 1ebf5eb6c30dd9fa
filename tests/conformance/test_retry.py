"""Which failures the relay retries, and when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise, repeat

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CloseInHandshake,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    FakeReplicationSocket,
    Fault,
    HangInHandshake,
    MintAnswer,
    MintDropped,
    OneFault,
    Payload,
    Refuse,
    RequestWitness,
    ResetAfter,
    ResetAtAccept,
    in_turn,
)
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import LIMIT, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_early_refusals, need_mints
from deploy_relay_kit.harness.replication.faults import RawUpgrade
from deploy_relay_kit.harness.targets import DeployNode, Limits

# -- after which failures ------------------------------------------------------------------------


def name_of(fault: OneFault) -> str:
    return str(fault.status) if isinstance(fault, Answer) else type(fault).__name__


def need_good_end(peer: FakePeer) -> None:
    """Raise Unseen if a peer that has recovered refused the last upload."""
    if peer.uploads and (status := peer.uploads[-1].answer_status) not in (None, 200):
        raise Unseen(f"{peer.name} answered {status} to the last upload")


@pytest.mark.parametrize(
    "fault",
    [ResetAfter(70_000), CloseWithoutAnswer(), Answer(502), Answer(503), Answer(504)],
    ids=name_of,
)
def test_a_temporary_failure_is_retried(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: OneFault
) -> None:
    """After a temporary failure the relay tries again, and the record is that of the success."""
    peer = cluster.peer(fault=in_turn(fault, fault, None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    with check("RTY-02", "the uploads to a peer that fails the first two uploads"):
        need_mints(peer)
        assert len(peer.uploads) >= 2
    check.need(len(peer.uploads) >= 2, "the relay made no second attempt")
    with check("RES-01", "the status of the record after an attempt that was answered 200"):
        need_good_end(peer)
        assert record.status == "success"
    with check("RES-02", "members of a failed attempt in the record of a success"):
        check.need(record.status == "success", "the record is not that of a success")
        assert sorted({"reason", "statusCode"} & set(record.members)) == []
    with check("RTY-04", "attempts in the record"):
        assert record["attempts"] == len(peer.uploads)


@pytest.mark.parametrize("answer", [Answer(502), Answer(503), Answer(504), None], ids=str)
def test_a_mint_that_fails_temporarily_is_retried(
    cluster: FakeCluster, relay: Relay, check: Checks, answer: Answer | None
) -> None:
    """After a temporary failure of a mint the relay mints again, and uploads with that token."""
    peer = cluster.peer(fault=in_turn(MintAnswer(answer) if answer else MintDropped(), None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    with check("RTY-02", "the mints on a peer that fails the first mint"):
        if len(peer.mints) == 1:
            need_good_end(peer)
        assert len(peer.mints) >= 2
    check.need(len(peer.mints) >= 2, "the relay did not mint again")
    with check("RTY-02", "the uploads after the second mint"):
        assert len(peer.uploads) >= 1
    with check("RES-01", "the status of the record"):
        check.need(len(peer.uploads) == 1, "no upload followed the second mint")
        need_good_end(peer)
        assert record.status == "success"
    with check("RTY-04", "attempts in the record"):
        assert record["attempts"] in range(2, len(peer.mints) + 1)


@pytest.mark.parametrize("fault", [ResetAtAccept(), CloseInHandshake()], ids=name_of)
def test_a_connection_that_fails_is_retried(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: OneFault
) -> None:
    """After a connection that fails the relay tries again."""
    peer = cluster.peer(fault=in_turn(fault, None))
    record = relay.deploy(to=[peer], limits=THRICE)[peer]
    with check("RTY-02", "the uploads to a peer that fails the first connection"):
        assert len(peer.uploads) >= 1
    check.need(len(peer.uploads) == 1, "no upload reached the peer")
    with check("RES-01", "the status of the record"):
        need_good_end(peer)
        assert record.status == "success"
    with check("RTY-04", "attempts in the record"):
        need_good_end(peer)
        assert record["attempts"] != 1


def test_a_connection_that_hangs_is_retried(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After a TLS handshake without an answer in time the relay tries again."""
    peer = cluster.peer(fault=in_turn(HangInHandshake(), None))
    limits = Limits(connect=LIMIT, attempts=3, retry_delay=0.01)
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for a connection"):
        outcome = relay.deploy(to=[peer], limits=limits)
    with check("RTY-02", "the uploads to a peer that does not answer the first handshake"):
        assert len(peer.uploads) >= 1
    check.need(len(peer.uploads) == 1, "no upload reached the peer")
    with check("RES-01", "the status of the record"):
        need_good_end(peer)
        assert outcome[peer].status == "success"
    with check("RTY-04", "attempts in the record"):
        need_good_end(peer)
        assert outcome[peer]["attempts"] != 1


def test_a_refused_connection_is_retried(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """After a refused connection the relay tries again."""
    peer = cluster.peer(fault=Refuse())
    check_unreachable(relay, check, peer, relay.node(peer))


def test_an_unknown_host_is_retried(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """After a host name that is not found the relay tries again."""
    peer = cluster.peer()
    node = relay.node(peer, url="https://no-such-host.invalid:9925/")
    check_unreachable(relay, check, peer, node)


def check_unreachable(relay: Relay, check: Checks, peer: FakePeer, node: DeployNode) -> None:
    """Look at the record of a node that no attempt reaches: nothing else can witness them."""
    record = relay.deploy(to=[node], limits=THRICE)[peer]
    more_than_one = record.members.get("attempts") not in (None, 1)
    with check("RTY-02", "attempts in the record of a node that cannot be reached"):
        assert more_than_one, "expected more than one, got one"
    with check("RTY-04", "attempts in the record, with three allowed"):
        check.need(more_than_one, "the relay made one attempt (RTY-02)")
        assert record["attempts"] == 3
    with check("RES-10", "the status of the record"):
        assert record.status == "failed"


@pytest.mark.parametrize(
    ("status", "uploads", "requirement"), [(503, 2, "RTY-02"), (403, 1, "RTY-04")]
)
def test_a_refusal_during_the_upload_is_retried_like_any_other(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    status: int,
    uploads: int,
    requirement: str,
) -> None:
    """After a refusal during the upload the relay tries again if the status allows it."""
    peer = cluster.peer(fault=AnswerEarly(Answer.error(status, "no"), then="stop"))
    limits = Limits(attempts=2, retry_delay=0.01)
    record = relay.deploy(to=[peer], payload=large.path, limits=limits)[peer]
    with check(requirement, f"the uploads to a peer that answers {status} during the upload"):
        read = record.status == "failed" and record.status_code == status
        if len(peer.uploads) != uploads:
            check.need(read, f"the relay did not read the {status}")
            need_early_refusals(cluster, relay, payload=large.path)
        assert len(peer.uploads) == uploads
    with check("EARLY-01", "the status of the record"):
        assert record.status == "failed"


# -- when ----------------------------------------------------------------------------------------


LATER = (("Retry-After", "1"),)
A_LONG_PAUSE = 0.9  # seconds; far more than a mint takes


def pause_between(requests: Sequence[RequestWitness]) -> float:
    """Seconds from the answer, or else the head, of the first request to the head of the second."""
    if len(requests) != 2:
        raise Unseen(f"the peer saw {len(requests)} attempts, not two")
    times = requests[0].times
    return requests[1].times["head"] - times.get("answer", times["head"])


FAILED_UPLOADS: dict[str, OneFault] = {
    "uploads": Answer(503),
    "uploads at a gateway": Answer(504),
    "uploads that are reset": ResetAfter(70_000),
    "uploads without an answer": CloseWithoutAnswer(),
}


def test_a_pause_is_no_longer_than_the_deploy_names(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Without Retry-After, a pause is no longer than `retry_delay`.

    The shortest of several pauses is looked at, because a loaded machine delays some.
    """
    peers = {
        what: [cluster.peer(fault=in_turn(fault, fault, None)) for _ in range(3)]
        for what, fault in FAILED_UPLOADS.items()
    }
    peers["connections"] = [
        cluster.peer(fault=in_turn(ResetAtAccept(), ResetAtAccept(), None)) for _ in range(3)
    ]
    if "mint.operations" in relay.target.capabilities:
        failed = MintAnswer(Answer(503))
        peers["mints"] = [cluster.peer(fault=in_turn(failed, failed, None)) for _ in range(3)]
    relay.deploy(to=chain(*peers.values()), limits=THRICE)
    pauses = {
        "connections": [
            later.accepted_at - first.accepted_at
            for at in peers["connections"]
            for first, later in pairwise(at.connections[:3])
        ],
        "mints": [pause_between(it) for at in peers.get("mints", ()) for it in pairwise(at.mints)],
    }
    for what in FAILED_UPLOADS:
        pauses[what] = [pause_between(it) for at in peers[what] for it in pairwise(at.uploads)]
    for what in peers:
        check.need(pauses[what], f"no second attempt followed failed {what}")
        shortest = min(pauses[what])
        with check(
            "RTY-02",
            f"the shortest pause after failed {what}, with a retry_delay of "
            f"{THRICE.retry_delay:g} s",
        ):
            shown = f"expected less than {A_LONG_PAUSE:g} s, got {shortest:.3f} s"
            assert shortest < A_LONG_PAUSE, shown


def busy_socket(cluster: FakeCluster, status: int) -> FakeReplicationSocket:
    """A socket that refuses its first upgrade with this status and a Retry-After."""
    refused = f"HTTP/1.1 {status} Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    upgraded = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n"
    )
    heads = chain([refused], repeat(upgraded))
    fault = RawUpgrade(lambda *keys: next(heads).format(*keys).encode())
    return cluster.replication(cluster.peer(), fault=fault)


def test_the_relay_waits_as_long_as_retry_after_says(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After an answer with Retry-After: 1 the relay waits a second before the next attempt."""
    busy = {status: Answer(status, headers=LATER) for status in (502, 503, 504)}
    faults: dict[str, Fault] = {f"a {it}": in_turn(busy[it], None) for it in busy}
    faults["an early 503"] = in_turn(AnswerEarly(busy[503], then="drain"), None)
    faults["a 503 with an error"] = in_turn(Answer.error(503, "busy", headers=LATER), None)
    faults["a second 503"] = in_turn(Answer(503), busy[503], None)
    at_once = Answer(503, headers=(("Retry-After", "0"),))
    faults["a second 503, after another time"] = in_turn(at_once, busy[503], None)
    declared = relay.target.capabilities
    if "mint.operations" in declared:
        faults |= {f"a mint answered {it}": in_turn(MintAnswer(busy[it]), None) for it in busy}
    peers = {what: cluster.peer(fault=fault) for what, fault in faults.items()}
    nodes: list[FakePeer | DeployNode] = [*peers.values()]
    sockets = [busy_socket(cluster, it) for it in busy if "mint.replication" in declared]
    nodes += map(relay.minting_over, sockets, cluster.peers[len(peers) :])
    once = [cluster.peer(fault=in_turn(busy[503], Answer(503), None)) for _ in range(3)]
    relay.deploy(to=[*nodes, *once], limits=THRICE)
    for socket, status in zip(sockets, busy, strict=False):
        with check("RTY-02", f"the requests to a socket that first answers {status}"):
            check.need(socket.requests, "no request reached the socket")
            assert len(socket.requests) == 2
        with check("KIT-04", f"the pause after an upgrade answered {status} with Retry-After: 1"):
            seconds = pause_between(socket.requests)
            assert seconds >= 1.0, f"expected at least 1 s, got {seconds:.3f} s"
    for what, peer in peers.items():
        with check("KIT-04", f"the pause after {what} with Retry-After: 1"):
            requests = peer.mints if "mint" in what else peer.uploads
            seconds = pause_between(requests[1:] if "second" in what else requests)
            assert seconds >= 1.0, f"expected at least 1 s, got {seconds:.3f} s"
    with check(
        "RTY-02", "the shortest pause after a 503 without Retry-After that follows one with it"
    ):
        seconds = min(pause_between(peer.uploads[1:]) for peer in once)
        assert seconds < A_LONG_PAUSE, f"expected less than {A_LONG_PAUSE:g} s, got {seconds:.3f} s"
