"""The staged payload: missing, odd, deceptive, and changing while it is sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, Held
from harness.faults.kinds import AnswerEarly, MintAnswer, ReadSlowly, ResetAfter
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload, stage_payload
from harness.peer.peer import FakePeer
from harness.peer.triggers import act_when, has_file_part

requirement = pytest.mark.requirement

SLOWLY = ReadSlowly(40_000_000)


@requirement("SEQ-05")
def test_a_missing_payload_fails_every_peer_and_sends_nothing_to_anyone(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peers = [cluster.peer() for _ in range(3)]
    outcome = relay.deploy(to=peers, payload=tmp_path / "never-staged.tar.gz")
    for peer in peers:
        assert outcome[peer].status == "failed"
        assert outcome[peer].reason.startswith("staged payload missing: ")
        assert outcome[peer].status_code is None
        assert peer.requests == []


@requirement("SEQ-05", "AGG-02")
def test_a_directory_is_no_payload(cluster: FakeCluster, relay: Relay, tmp_path: Path) -> None:
    peer = cluster.peer()
    record = relay.deploy(to=[peer], payload=tmp_path)[peer]
    assert record.status == "failed"
    assert record.reason
    assert peer.uploads == []


@requirement("KIT-02")
def test_an_empty_payload_fails_every_peer_and_sends_nothing(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peer = cluster.peer()
    record = relay.deploy(to=[peer], payload=stage_payload(tmp_path / "empty", 0).path)[peer]
    assert record.status == "failed"
    assert peer.uploads == []


@requirement("FLD-08")
@pytest.mark.parametrize("size", [1, 2, 65_535, 65_536, 65_537, 131_072, 262_144, 1_000_003])
def test_a_payload_of_any_size_arrives_whole(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, size: int
) -> None:
    payload = stage_payload(tmp_path / "payload", size)
    peer = cluster.peer()
    assert relay.deploy(to=[peer], payload=payload.path)[peer].status == "success"
    assert peer.upload.file is not None
    assert (peer.upload.file.length, peer.upload.file.sha256) == (size, payload.sha256)


@requirement("FLD-08", "WIRE-02", "WIRE-11")
@pytest.mark.parametrize(
    "content",
    [
        b"\r\n------HarperMultipart0123456789abcdef01234567--\r\n",
        b"--",
        b"\r\n",
        b"\r\n--\r\n--\r\n",
        b"0\r\n\r\n",
        b"\r" * 70_000,
        b"\n--" * 50_000,
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_payload_that_looks_like_its_own_end_arrives_whole(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "payload"
    path.write_bytes(content)
    peer = cluster.peer()
    assert relay.deploy(to=[peer], payload=path)[peer].status == "success"
    assert peer.upload.complete
    assert peer.upload.file is not None
    assert peer.upload.file.length == len(content)


@requirement("FLD-08")
def test_what_is_staged_anew_under_the_same_name_is_sent(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    """A relay that keeps what it has read, by its path and size, would send the old one."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    payload.path.write_bytes(payload.path.read_bytes()[::-1])
    relay.deploy(to=[peer])
    first, other = (upload.file for upload in peer.uploads)
    assert first is not None
    assert other is not None
    assert first.sha256 == payload.sha256
    assert other.sha256 == hashlib.sha256(payload.path.read_bytes()).hexdigest()


@requirement("WIRE-05", "FLD-08")
@pytest.mark.parametrize("name", ["0f3c", 'a b;type=x,"c" %20 ü.tgz'])
def test_the_name_of_the_staged_file_stays_at_home(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, name: str
) -> None:
    """Whoever makes a part of a path sends its last name, and a type that is guessed from it."""
    payload = stage_payload(tmp_path / name, 100_000)
    peer = cluster.peer()
    assert relay.deploy(to=[peer], payload=payload.path)[peer].status == "success"
    assert [str(finding) for finding in peer.upload.findings if finding.id == "WIRE-05"] == []
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == payload.sha256


@requirement("FLD-08", "RES-11")
@pytest.mark.parametrize("bits", [31, 32])
def test_a_size_beyond_what_a_small_number_holds_is_no_smaller_payload(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, bits: int
) -> None:
    """Nobody sends it all: the peer refuses it behind what would be left of such a size."""
    payload = tmp_path / "package.tar.gz"
    payload.touch()
    os.truncate(payload, (1 << bits) + 50_000)
    peer = cluster.peer(fault=AnswerEarly(Answer.error(403, "enough"), 1_000_000, "stop"))
    record = relay.deploy(to=[peer], payload=payload)[peer]
    assert (record.status_code, record.reason) == (403, "enough")
    assert not peer.upload.complete


@requirement("SEQ-09")
@pytest.mark.parametrize("fault", [None, ResetAfter(70_000), Answer(500)], ids=str)
def test_the_staged_payload_is_left_as_it_was(
    cluster: FakeCluster, relay: Relay, payload: Payload, fault: Answer | ResetAfter | None
) -> None:
    before = (payload.path.read_bytes(), payload.path.stat())
    relay.deploy(to=[cluster.peer(fault=fault), cluster.peer()])
    assert payload.path.exists()
    after = (payload.path.read_bytes(), payload.path.stat())
    assert after[0] == before[0]
    for what in ("st_ino", "st_mtime_ns", "st_mode", "st_nlink"):
        assert getattr(after[1], what) == getattr(before[1], what)
    assert [path.name for path in payload.path.parent.iterdir()] == [payload.path.name]


# -- while it is sent ----------------------------------------------------------------------------


@requirement("RES-11", "BUG-14", "SEQ-05")
def test_a_payload_that_shrinks_fails_the_records_and_ends_no_body(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peers = [cluster.peer(fault=SLOWLY), cluster.peer(fault=SLOWLY)]
    with act_when(has_file_part, peers[0], lambda: os.truncate(large.path, 15_000_000)):
        outcome = relay.deploy(to=peers, payload=large.path)
    assert outcome.statuses == ["failed", "failed"]
    assert all(record.reason for record in outcome.records)
    assert not any(upload.complete for peer in peers for upload in peer.uploads)


@requirement("RES-11", "BUG-14")
def test_a_payload_that_grows_is_never_sent_as_another_one(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    peer = cluster.peer(fault=SLOWLY)
    with act_when(has_file_part, peer, lambda: os.truncate(large.path, 17_000_000)):
        outcome = relay.deploy(to=[peer], payload=large.path)
    assert outcome[peer].status == "failed"
    assert not peer.upload.complete


@requirement("BUG-14", "AGG-02")
def test_a_payload_that_vanishes_on_the_way_ends_in_a_record(
    cluster: FakeCluster, relay: Relay, large: Payload
) -> None:
    """Where an open file outlives its name the upload may succeed, but then it is whole."""
    peer = cluster.peer(fault=SLOWLY)
    with act_when(has_file_part, peer, large.path.unlink):
        outcome = relay.deploy(to=[peer], payload=large.path)
    if outcome[peer].status == "success":
        assert peer.upload.file is not None
        assert peer.upload.file.sha256 == large.sha256
    else:
        assert outcome[peer].reason
        assert not peer.upload.complete


def minting_after(peer: FakePeer, act: Callable[[], object]) -> MintAnswer:
    """A good mint of this peer, which is answered when something has been done."""
    return MintAnswer(Held(Answer(json=peer.node.issue_tokens(None)), until=act))


@requirement("RES-11", "BUG-14")
def test_a_payload_that_shrinks_before_it_is_opened_is_never_sent_as_another_one(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    """It was looked at when the deploy began, and what was staged then is what was meant."""
    peer = cluster.peer()
    peer.fault = minting_after(peer, lambda: os.truncate(payload.path, 100_000))
    outcome = relay.deploy(to=[peer], payload=payload.path)
    assert outcome[peer].status == "failed"
    assert outcome[peer].reason
    assert not any(upload.complete for upload in peer.uploads)


@requirement("FLD-08", "BUG-14")
def test_a_payload_that_is_replaced_is_never_sent_as_another_one(
    cluster: FakeCluster, relay: Relay, payload: Payload, tmp_path: Path
) -> None:
    """Who opened it before may send it on; of what has taken its place, only the size is right."""
    peer, other = cluster.peer(), tmp_path / "other"
    other.write_bytes(bytes(payload.size))
    peer.fault = minting_after(peer, lambda: other.replace(payload.path))
    outcome = relay.deploy(to=[peer], payload=payload.path)
    if outcome[peer].status == "success":
        assert peer.upload.file is not None
        assert peer.upload.file.sha256 == payload.sha256
    else:
        assert outcome[peer].reason
        assert not any(upload.complete for upload in peer.uploads)
