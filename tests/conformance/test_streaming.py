"""Streaming: the relay sends while it reads, to all peers at the same time, and closes the file."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CertificateFlaw,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    Fault,
    HangInHandshake,
    MintHangs,
    Payload,
    ReadSlowly,
    Refuse,
    ResetAfter,
    StopReadingAfter,
    mint_refused,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import LIMIT, SOON
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_at_neighbour, need_good_upload
from deploy_relay_kit.harness.peer.triggers import (
    act_when,
    cancel_deploy,
    has_file_part,
    has_upload,
)
from deploy_relay_kit.harness.targets import Limits
from deploy_relay_kit.harness.targets.processes import open_files

MEGABYTE = 1_000_000


# -- all peers at the same time ------------------------------------------------------------------


def has_been_served(peer: FakePeer) -> bool:
    return any("answer end" in upload.times for upload in peer.live_uploads)


def need_uploads(check: Checks, peers: Sequence[FakePeer]) -> None:
    """Raise Unseen unless an upload reached each of these peers, however late."""
    for peer in peers:
        check.need(peer.uploads, f"{peer.name} saw no upload")


def wait_for(peers: Sequence[FakePeer], until: Callable[[FakePeer], bool]) -> None:
    """Wait until this holds of all these peers, as long as any of them makes progress."""
    for peer in peers:
        while not until(peer):
            before = list(map(_progress, peers))
            try:
                peer.wait_until(until, SOON)
            except TimeoutError:
                if before == list(map(_progress, peers)):
                    raise


def _progress(peer: FakePeer) -> int:
    """A number that grows with everything that the peer sees."""
    received = sum(upload.reader.received for upload in peer.live_uploads)
    return received + sum(len(seen.moments) for seen in peer.live_connections)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_peer_that_stalls_delays_no_other(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, place: int
) -> None:
    """While one peer stalls, the relay serves the others to their end, each with the same file.

    The stalling peer continues after every other peer was served.
    """
    others = [cluster.peer() for _ in range(3)]
    served = threading.Event()

    def wait_for_others() -> None:
        wait_for(others, has_been_served)
        served.set()

    stalling = cluster.peer(fault=StopReadingAfter(100_000, wait_for_others))
    peers = [*others[:place], stalling, *others[place:]]
    outcome = relay.deploy(to=peers, payload=large.path)
    with check("SEQ-03", "the uploads to three other peers while one stalls"):
        need_uploads(check, others)
        assert served.is_set(), "expected all to end, got at least one that waits"
    for peer in others:
        subject = f"the record of {peer.name}, which does not stall"
        look_at_neighbour(check, relay, outcome, peer, subject=subject)
    whole = [upload for peer in peers for upload in peer.uploads if upload.complete]
    files = {upload.file.sha256 for upload in whole if upload.file}
    with check("SEQ-03", "the different files that the peers received"):
        check.need(len(whole) == 4, f"the peers saw {len(whole)} whole uploads, not four")
        assert len(files) == 1
    with check("FLD-08", "the SHA-256 of the file that all peers received"):
        check.need(len(files) == 1, "the peers received different files (SEQ-03)")
        assert files == {large.sha256}


@pytest.mark.parametrize("count", [2, 101])
def test_all_peers_are_served_at_the_same_time(
    cluster: FakeCluster, relay: Relay, check: Checks, count: int
) -> None:
    """All uploads begin before any of them ends.

    Pools of threads and connections have 8, 10, 32, 50 or 100 places by default, and some have six
    for each host: all peers have one.
    """
    together, waiting, begun = threading.Event(), list[None](), list[int]()

    def wait_for_all() -> None:
        waiting.append(None)
        if (before := len(waiting)) == count:
            together.set()
        while not together.wait(2 * SOON):  # as long as others begin
            if before == (before := len(waiting)):
                begun.append(sum(map(has_upload, peers)))
                together.set()
                raise TimeoutError

    fault = StopReadingAfter(1_000, wait_for_all)
    peers = [cluster.peer(fault=fault, host="127.0.0.1") for _ in range(count)]
    outcome = relay.deploy(to=peers)
    with check("SEQ-03", f"the uploads of {count} that began before one had ended"):
        need_uploads(check, peers)
        assert (begun[0] if begun else count) == count
    with check("RES-01", "the peers without the record of a success"):
        check.need(not begun, "not all uploads began before one had ended (SEQ-03)")
        for peer in peers:
            need_good_upload(peer)
        assert [peer.name for peer in peers if outcome[peer].status != "success"] == []


@pytest.mark.parametrize(
    "fault", [MintHangs(), HangInHandshake()], ids=lambda it: type(it).__name__
)
def test_no_upload_waits_for_a_peer_that_has_not_minted_or_connected(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """An upload begins although other peers have not minted, or not even connected.

    If a relay mints everywhere first, or holds a lock while it mints, the slowest peer delays all
    others.
    """
    peers = [cluster.peer(fault=turn) for turn in (fault, None) * 3]
    lost, healthy = peers[::2], peers[1::2]
    begun = threading.Event()

    def end_the_lost() -> None:
        with contextlib.suppress(TimeoutError):
            wait_for(healthy, has_upload)
            begun.set()
            for peer in lost:  # the relay may come to one of them last
                peer.wait_until(lambda it: it.fault_not_shown is None, SOON)
        for peer in lost:
            peer.kill()

    watcher = threading.Thread(target=end_the_lost)
    watcher.start()
    outcome = relay.deploy(to=peers)
    watcher.join()
    with check("SEQ-03", "the uploads to healthy peers while the others hang"):
        need_uploads(check, healthy)
        assert begun.is_set(), "expected all to begin, got at least one that waits"
    for peer in healthy:
        subject = f"the record of {peer.name}, which is healthy"
        look_at_neighbour(check, relay, outcome, peer, subject=subject)


# -- the file ------------------------------------------------------------------------------------


def test_the_first_bytes_leave_before_the_end_of_the_payload_is_read(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """The first bytes reach a peer before the relay reads the end of the payload.

    The end of the file is overwritten when the first bytes have reached the peer, so a relay that
    sends the old end has read it before.
    """
    relay.need("staged_payload")
    peer = cluster.peer(fault=ReadSlowly(40 * MEGABYTE))

    def change_the_end() -> None:
        with large.path.open("r+b") as file:
            file.seek(-MEGABYTE, os.SEEK_END)
            file.write(bytes(MEGABYTE))

    with act_when(has_file_part, peer, change_the_end):
        relay.deploy(to=[peer], payload=large.path)
    with check("BUG-20", "the end of a payload that changes when its first bytes arrive"):
        file = peer.upload.file
        check.need(file, "the upload has no file part")
        old = peer.upload.complete and file.sha256 == large.sha256
        assert not old, "expected a read after the first bytes left, got the end from before"


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="this system shows no open files"
)


@needs_proc
def test_the_payload_is_closed_on_every_path(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """The relay closes the payload however the upload to a peer ends."""
    faults: list[Fault | None]
    faults = [None, ResetAfter(70_000), CloseWithoutAnswer(), Answer(500), AnswerEarly(Answer(403))]
    faults += [Refuse(), CertificateFlaw.EXPIRED]
    relay.deploy(to=[cluster.peer(fault=fault) for fault in faults])
    with check("EARLY-11", "the descriptors of the payload that are open after the deploy"):
        assert _descriptors(relay, payload) == 0


@needs_proc
@pytest.mark.parametrize(
    ("fault", "how"),
    [
        (mint_refused(), {}),
        (AnswerEarly(Answer(503), then="stop"), {"limits": Limits(attempts=2, retry_delay=0.01)}),
        (AnswerEarly(Answer(403), then="stop"), {}),
        (StopReadingAfter(0), {"limits": Limits(stall=LIMIT)}),
    ],
    ids=["mint", "retried", "refused", "stalled"],
)
def test_the_payload_is_closed_wherever_an_attempt_ends(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    fault: Fault,
    how: dict[str, Any],
) -> None:
    """The relay closes the payload after an attempt that ends before its last byte was read.

    The payload is more than buffers hold.
    """
    relay.deploy(to=[cluster.peer(fault=fault)], payload=large.path, **how)
    look_for_descriptors(relay, check, large)


@needs_proc
def test_the_payload_is_closed_after_a_cancelled_deploy(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """The relay closes the payload after a deploy that was cancelled during the upload."""

    def deploy(after: float) -> FakePeer:
        peer = cluster.peer(fault=ReadSlowly(int(large.size / (4 * after))))
        relay.deploy(to=[peer], payload=large.path, cancel_after=after)
        return peer

    peer = cancel_deploy(deploy, has_file_part)
    check.need(not peer.upload.complete, "the upload was not cancelled (KIT-01)")
    look_for_descriptors(relay, check, large)


def look_for_descriptors(relay: Relay, check: Checks, large: Payload) -> None:
    """Look whether the relay closes a payload soon."""
    deadline = time.monotonic() + SOON
    while _descriptors(relay, large) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    with check("EARLY-11", "the descriptors of the payload that are open after the deploy"):
        assert _descriptors(relay, large) == 0


def _descriptors(relay: Relay, payload: Payload) -> int:
    """The descriptors of a payload that the processes of the relay have open."""
    return open_files(relay.target.pid).count(payload.path)
