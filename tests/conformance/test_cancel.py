"""A cancelled deploy, and a peer that the relay gives up: nothing continues behind the records."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Drip,
    FakeCluster,
    FakePeer,
    Fault,
    HangInHandshake,
    MintAnswer,
    MintHangs,
    OneFault,
    Payload,
    ReadSlowly,
    SilentAfterAccept,
    StopReadingAfter,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT, SOON, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_good_upload, need_retry, temporary
from deploy_relay_kit.harness.peer.triggers import (
    cancel_deploy,
    has_connection,
    has_file_part,
    has_request,
    has_upload,
    open_connections,
    wait_for_closing,
)
from deploy_relay_kit.harness.targets import Limits

A_WHILE = 0.5  # seconds in which another attempt would be seen
A_MOMENT = 0.5  # seconds in which the head of an answer arrives
AT_ONCE = 2.0  # seconds; a TLS connection may be closed in both directions
TRIES = 3  # of which the quickest counts, because a loaded machine delays some
CANCELLED_AFTER = (0.2, 1, 4)  # seconds
NO_ANSWER = StopReadingAfter(1_000_000_000)


def half(status: int, content_type: str = "application/json") -> Drip:
    """An answer whose head arrives soon, and whose body takes most of a minute."""
    return Drip(Answer(status, body=" " * 200_000 + "{}", content_type=content_type), 5_000)


HALF_A_MINT = MintAnswer(half(200))
HALF_ANSWERS: dict[str, Fault] = {
    "half-a-mint": HALF_A_MINT,
    "half-an-answer": half(200),
    "half-a-stream": half(200, "text/event-stream"),
    "half-a-refusal": half(500),
}


def answers_at(peer: FakePeer) -> Iterator[float]:
    """When the peer began its answers to uploads, or to mints if it has the fault of a mint."""
    requests = [request for seen in peer.live_connections for request in seen.requests]
    is_of_mints = HALF_A_MINT in peer.faults
    for request in requests if is_of_mints else peer.live_uploads:
        if "answer" in request.times:
            yield request.times["answer"]


def cancel(relay: Relay, check: Checks, peers: list[FakePeer], after: float, **how: Any) -> float:
    """Deploy to peers that do not answer, and cancel that after so many seconds.

    Returns:
        seconds from then to the end of the deploy.
    """
    due = time.monotonic() + after
    with check("KIT-01", f"the end of a deploy that is cancelled after {after:g} s"):
        outcome = relay.deploy(to=peers, cancel_after=after, deadline=after + IN_TIME, **how)
    ended = time.monotonic()
    for peer in peers:
        with check("KIT-01", f"the outcome of the cancelled deploy for {peer.name}"):
            failed = outcome.cancelled or outcome.fails(peer)
            assert failed, "expected a cancelled deploy or a failed record, got a success"
    return ended - due


def check_at_once(check: Checks, late: float, again: Callable[[], float]) -> None:
    """Look at how late the quickest of some cancelled deploys ended; `again` makes another."""
    for _ in range(TRIES - 1):
        if late > AT_ONCE:
            late = min(late, again())
    with check("KIT-01", f"the end of the quickest of {TRIES} cancelled deploys"):
        assert late <= AT_ONCE, f"expected at once, got {late:.1f} s after it was cancelled"


def has_second_upload(peer: FakePeer) -> bool:
    return len(peer.live_uploads) > 1


# -- cancelled deploys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "is_far_enough"),
    [
        (SilentAfterAccept(), has_connection),
        (HangInHandshake(), has_connection),
        (MintHangs(), has_request),
        (NO_ANSWER, has_upload),
        (in_turn(Answer(503), NO_ANSWER), has_second_upload),
    ],
    ids=["SilentAfterAccept", "HangInHandshake", "MintHangs", "StopReadingAfter", "in_turn"],
)
def test_a_cancelled_deploy_closes_its_connections_at_every_stage(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    fault: Fault,
    is_far_enough: Callable[[FakePeer], bool],
) -> None:
    """A cancelled deploy ends at once and closes its connections, whatever the relay waits for."""
    limits = Limits() if is_far_enough is not has_second_upload else THRICE

    def deploy(after: float) -> tuple[FakePeer, float, float]:
        peer = cluster.peer(fault=fault)
        return peer, cancel(relay, check, [peer], after, limits=limits), after

    peer, late, after = cancel_deploy(deploy, lambda it: is_far_enough(it[0]))
    assert_closed(peer, check)
    check_at_once(check, late, lambda: deploy(after)[1])


def assert_closed(peer: FakePeer, check: Checks) -> None:
    wait_for_closing(peer, SOON)
    with check("KIT-01", "the connections that are open after the deploy was cancelled"):
        assert len(open_connections(peer)) == 0
    with check("KIT-01", "the connections that the relay closed"):
        check.need(not open_connections(peer), "not every connection was closed")
        closed = [seen for seen in peer.live_connections if seen.closed_by == "client"]
        assert len(closed) >= 1


@pytest.mark.parametrize("fault", HALF_ANSWERS.values(), ids=HALF_ANSWERS)
def test_a_deploy_that_is_cancelled_amid_an_answer_closes_its_connections(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """A deploy that is cancelled while an answer arrives ends at once, with its connections."""

    def deploy(after: float) -> tuple[FakePeer, float, float, float]:
        peer = cluster.peer(fault=fault)
        latest = time.monotonic() + after - A_MOMENT
        return peer, latest, cancel(relay, check, [peer], after), after

    peer, _, late, after = cancel_deploy(
        deploy, lambda it: any(at < it[1] for at in answers_at(it[0]))
    )
    assert_closed(peer, check)
    check_at_once(check, late, lambda: deploy(after)[2])


def test_no_peer_sees_a_complete_body_of_a_cancelled_deploy(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A deploy that is cancelled during its uploads completes none of them."""

    def deploy(after: float) -> list[FakePeer]:
        slowly = ReadSlowly(int(large.size / (4 * after)))
        peers = [cluster.peer(fault=slowly) for _ in range(3)]
        cancel(relay, check, peers, after, payload=large.path)
        return peers

    peers = cancel_deploy(deploy, lambda peers: any(map(has_upload, peers)))
    for peer in peers:
        wait_for_closing(peer, SOON)
        with check("KIT-01", f"the connections to {peer.name} that are open after the deploy"):
            assert len(open_connections(peer)) == 0
        with check("KIT-01", f"the complete uploads to {peer.name}"):
            check.need(peer.live_uploads, f"{peer.name} saw no upload")
            assert sum(upload.complete for upload in peer.live_uploads) == 0


def test_a_cancelled_deploy_does_not_wait_for_a_peer_that_stopped_reading(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A deploy ends although a peer takes no more bytes, and the peer never gets the rest."""

    def deploy(after: float) -> FakePeer:
        goes_on = threading.Event()
        until = partial(goes_on.wait, after + IN_TIME)
        peer = cluster.peer(fault=StopReadingAfter(100_000, until))
        try:
            cancel(relay, check, [peer], after, payload=large.path)
        finally:
            goes_on.set()
        return peer

    peer = cancel_deploy(deploy, has_file_part)
    wait_for_closing(peer, SOON)
    with check("KIT-01", "the connections that are open after the deploy was cancelled"):
        assert len(open_connections(peer)) == 0
    with check("KIT-01", "the complete uploads"):
        assert sum(upload.complete for upload in peer.live_uploads) == 0


def test_a_deploy_that_ends_earlier_is_not_cancelled(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A deploy that ends before the time at which it would be cancelled is a success."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], cancel_after=20)
    with check("KIT-01", "the outcome of a deploy that would be cancelled after 20 s"):
        if not outcome.cancelled:
            need_good_upload(peer)
        assert not outcome.cancelled, "expected records, got a cancelled deploy"
        assert not outcome.fails(peer), f"expected a success, got {outcome}"


@pytest.mark.parametrize(
    ("first", "pause"),
    [(Answer(503), 1_000), (NO_ANSWER, 0.01)],
    ids=["in-a-pause", "in-an-attempt"],
)
def test_nothing_is_retried_after_a_deploy_was_cancelled(
    cluster: FakeCluster, relay: Relay, check: Checks, first: OneFault, pause: float
) -> None:
    """No attempt begins after the deploy was cancelled.

    A relay that makes no pause, or a short one, makes its second attempt before the deploy is
    cancelled; if it is slow as well, it gets more time.
    """
    limits = Limits(attempts=3, retry_delay=pause)
    for after in CANCELLED_AFTER:
        peer = cluster.peer(fault=in_turn(first, None))
        late = partial(an_upload_begins_after, time.monotonic() + after)
        with check("KIT-01", f"the end of a deploy that is cancelled after {after:g} s"):
            relay.deploy(to=[peer], cancel_after=after, deadline=after + IN_TIME, limits=limits)
        with contextlib.suppress(TimeoutError):
            peer.wait_until(late, A_WHILE)
        if peer.live_uploads and not late(peer):
            break
    check.need(peer.live_uploads, f"the relay began no upload in {after:g} s")
    began_late = late(peer)
    relay.deploy(to=[again := temporary(cluster)], limits=THRICE)
    need_retry(again)
    with check("KIT-01", "the uploads that began after the deploy was cancelled"):
        assert not began_late, "expected none, got one"


def an_upload_begins_after(when: float, peer: FakePeer) -> bool:
    return any(upload.times["head"] > when for upload in peer.live_uploads)


# -- peers that the relay gives up ---------------------------------------------------------------


@pytest.mark.parametrize("fault", [MintHangs(), NO_ANSWER], ids=lambda fault: type(fault).__name__)
def test_the_connection_to_a_peer_that_is_given_up_is_closed(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """The relay closes the connection to a peer that it gives up.

    A relay that only stops waiting may deploy behind the record of a failure.
    """
    peer = cluster.peer(fault=fault)
    # A healthy mint may take longer than that on a loaded machine.
    limits = Limits(mint=LIMIT) if isinstance(fault, MintHangs) else Limits(answer=LIMIT)
    with check(
        "HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for what is not answered"
    ):
        outcome = relay.deploy(to=[peer], limits=limits)
    with check("HTTP-03", "the status of the record"):
        assert outcome[peer].status == "failed"
    wait_for_closing(peer, IN_TIME)
    with check("KIT-08", "the connections that are open behind the record of a failure"):
        assert len(open_connections(peer)) == 0


def test_an_upload_that_is_given_up_is_never_completed(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """The relay completes no upload behind the record of its failure."""
    goes_on = threading.Event()
    peer = cluster.peer(fault=StopReadingAfter(1_000_000, partial(goes_on.wait, IN_TIME)))
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s without progress"):
        outcome = relay.deploy(to=[peer], payload=large.path, limits=Limits(stall=LIMIT))
    goes_on.set()
    with check("HTTP-03", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("HTTP-03", "the complete uploads behind the record of a failure"):
        assert sum(upload.complete for upload in peer.uploads) == 0
