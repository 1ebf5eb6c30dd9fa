"""Streaming: the payload is read while it is sent, to all peers at once, and held by nobody."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.kinds import (
    AnswerEarly,
    CertificateFlaw,
    CloseWithoutAnswer,
    Fault,
    HangInHandshake,
    MintHangs,
    ReadSlowly,
    Refuse,
    ResetAfter,
    StopReadingAfter,
    mint_refused,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.peer.peer import FakePeer
from harness.peer.triggers import act_when, has_file_part, has_upload
from harness.targets import Limits
from harness.targets.processes import open_files

requirement = pytest.mark.requirement

MEGABYTE = 1_000_000
SOON = 5.0  # seconds in which whoever is served at all gets on, on a machine however loaded


def has_been_served(peer: FakePeer) -> bool:
    return any("answer end" in upload.times for upload in peer.live_uploads)


def wait_for(peers: Sequence[FakePeer], until: Callable[[FakePeer], bool]) -> None:
    """Wait for all of these peers to have come so far, as long as any of them gets on."""
    for peer in peers:
        while not until(peer):
            before = list(map(_how_far, peers))
            try:
                peer.wait_until(until, SOON)
            except TimeoutError:
                if before == list(map(_how_far, peers)):
                    raise


def _how_far(peer: FakePeer) -> int:
    """A number that grows with all that the peer sees."""
    received = sum(upload.reader.received for upload in peer.live_uploads)
    return received + sum(len(seen.moments) for seen in peer.live_connections)


@requirement("SEQ-03", "AGG-04")
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_peer_that_stalls_delays_no_other(
    cluster: FakeCluster, relay: Relay, large: Payload, place: int
) -> None:
    """The stalling peer goes on only when every other one has been served to its end."""
    others = [cluster.peer() for _ in range(3)]
    stalling = cluster.peer(
        fault=StopReadingAfter(100_000, partial(wait_for, others, has_been_served))
    )
    peers = [*others[:place], stalling, *others[place:]]
    assert relay.deploy(to=peers, payload=large.path).statuses == ["success"] * 4
    assert {peer.upload.file and peer.upload.file.sha256 for peer in peers} == {large.sha256}


@requirement("SEQ-03")
@pytest.mark.parametrize("count", [2, 20])
def test_all_peers_are_served_at_once(cluster: FakeCluster, relay: Relay, count: int) -> None:
    """None goes on before all have begun.

    Pools of threads and of connections have 8 or 16 of them where nobody sets a number.
    """
    together = threading.Barrier(count)
    begun: list[int] = []

    def wait_for_all() -> None:
        try:
            together.wait(2 * SOON)
        except threading.BrokenBarrierError as error:  # for all of them, when it is for one
            begun.append(sum(map(has_upload, peers)))
            raise TimeoutError from error

    peers = [cluster.peer(fault=StopReadingAfter(1_000, wait_for_all)) for _ in range(count)]
    outcome = relay.deploy(to=peers)
    had_begun = begun[0] if begun else count
    assert had_begun == count, f"{had_begun} of {count} uploads began before one had ended"
    assert outcome.statuses == ["success"] * count


@requirement("AGG-04", "SEQ-03")
@pytest.mark.parametrize(
    "fault", [MintHangs(), HangInHandshake()], ids=lambda it: type(it).__name__
)
def test_no_upload_waits_for_a_peer_that_has_not_got_so_far(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    """To mint everywhere first, and only then upload, lets the slowest peer hold up all others.

    So does a lock that is held while a token is minted, whoever comes to it first.
    """
    peers = [cluster.peer(fault=turn) for turn in (fault, None) * 3]
    lost, healthy = peers[::2], peers[1::2]
    begun = threading.Event()

    def end_the_lost() -> None:
        with contextlib.suppress(TimeoutError):
            wait_for(healthy, has_upload)
            begun.set()
        for peer in lost:
            peer.kill()

    watcher = threading.Thread(target=end_the_lost)
    watcher.start()
    outcome = relay.deploy(to=peers)
    watcher.join()
    assert begun.is_set(), "an upload began only when the lost peers had been given up"
    assert outcome.statuses == ["failed", "success"] * 3


@requirement("BUG-20", "SEQ-03")
def test_the_first_bytes_leave_before_the_end_of_the_payload_is_read(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    """The end is written over when the first bytes have come: nobody can have read it before."""
    peer = cluster.peer(fault=ReadSlowly(40 * MEGABYTE))

    def change_the_end() -> None:
        with large.path.open("r+b") as file:
            file.seek(-MEGABYTE, os.SEEK_END)
            file.write(bytes(MEGABYTE))

    with act_when(has_file_part, peer, change_the_end):
        relay.deploy(to=[peer], payload=large.path)
    assert peer.upload.file is not None
    assert not (peer.upload.complete and peer.upload.file.sha256 == large.sha256)


@requirement("EARLY-11")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system shows no open files")
def test_the_payload_is_closed_on_every_path(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    faults: list[Fault | None]
    faults = [None, ResetAfter(70_000), CloseWithoutAnswer(), Answer(500), AnswerEarly(Answer(403))]
    faults += [Refuse(), CertificateFlaw.EXPIRED]
    relay.deploy(to=[cluster.peer(fault=fault) for fault in faults])
    still_open = _descriptors(relay, payload)
    assert still_open == 0, f"{still_open} descriptors of the payload are open after the deploy"


@requirement("EARLY-11")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system shows no open files")
@pytest.mark.parametrize(
    ("fault", "how"),
    [
        (mint_refused(), {}),
        (AnswerEarly(Answer(503), then="stop"), {"limits": Limits(attempts=2, retry_delay=0.01)}),
        (AnswerEarly(Answer(403), then="stop"), {}),
        (StopReadingAfter(0), {"limits": Limits(stall=0.4)}),
        (ReadSlowly(2 * MEGABYTE), {"cancel_after": 0.2}),
    ],
    ids=["mint", "retried", "refused", "stalled", "given-up"],
)
def test_the_payload_is_closed_wherever_an_attempt_ends(
    cluster: FakeCluster, relay: Relay, large: Payload, fault: Fault, how: dict[str, Any]
) -> None:
    """More than buffers hold: where it has been read to its end, it is easily closed."""
    relay.deploy(to=[cluster.peer(fault=fault)], payload=large.path, **how)
    deadline = time.monotonic() + SOON
    while (still_open := _descriptors(relay, large)) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert still_open == 0, f"{still_open} descriptors of the payload are open after the deploy"


def _descriptors(relay: Relay, payload: Payload) -> int:
    """The descriptors of a payload that the processes of the relay have open."""
    return open_files(relay.target.pid).count(payload.path)
