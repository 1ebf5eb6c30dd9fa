"""The staged payload: missing, empty, of any size, content and name."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    FakeCluster,
    Payload,
    ResetAfter,
    stage_payload,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import file_of, need_upload, whole_uploads
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import TargetBrokeError

MISSING = "staged payload missing: "


def test_a_missing_payload_fails_every_peer_and_sends_nothing(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A missing payload is a failed record of every peer with that reason, and nothing is sent."""
    relay.need("staged_payload")
    peers = [cluster.peer() for _ in range(3)]
    need_upload(cluster, relay, {})
    with check("AGG-02", "the deploy of a missing payload"):
        outcome = relay.deploy(to=peers, payload=tmp_path / "never-staged.tar.gz")
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    for peer in peers:
        with check("SEQ-05", f"the status of the record of {peer.name}"):
            assert outcome[peer].status == "failed"
        with check("SEQ-05", f"the beginning of the reason in the record of {peer.name}"):
            assert outcome[peer].reason[: len(MISSING)] == MISSING
        with check("SEQ-05", f"the number of requests to {peer.name}"):
            assert len(peer.requests) == 0
        with check("RES-10", f"the record of {peer.name}, which answered nothing"):
            assert outcome[peer].status_code is None


def test_a_directory_is_no_payload(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A directory instead of a payload is a failed record, and no complete body is sent."""
    relay.need("staged_payload")
    peer = cluster.peer()
    need_upload(cluster, relay, {})
    with check("AGG-02", "the deploy of a directory"):
        outcome = relay.deploy(to=[peer], payload=tmp_path)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    with check("RES-11", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("RES-11", "the number of complete bodies at the peer"):
        assert len(whole_uploads(peer)) == 0


def test_an_empty_payload_fails_every_peer_and_sends_nothing(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """An empty payload is a failed record, and nothing is sent."""
    peer = cluster.peer()
    empty = stage_payload(tmp_path / "empty", 0)
    need_upload(cluster, relay, {})
    with check("AGG-02", "the deploy of an empty payload"):
        outcome = relay.deploy(to=[peer], payload=empty.path)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    with check("KIT-02", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("KIT-02", "the number of requests"):
        assert len(peer.requests) == 0


AT_A_MEBIBYTE = (1_048_575, 1_048_576, 1_048_577, 4_194_303, 4_194_304, 8_388_609, 10_240_000)
"""Sizes at a block of buffers and files, where a loop ends late or early."""


@pytest.mark.parametrize(
    "size", [1, 2, 65_535, 65_536, 65_537, 131_072, 262_144, 1_000_003, *AT_A_MEBIBYTE]
)
def test_a_payload_of_any_size_arrives_whole(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, size: int
) -> None:
    """A payload of any size arrives whole."""
    payload = stage_payload(tmp_path / "payload", size)
    peer = cluster.peer()
    relay.deploy(to=[peer], payload=payload.path)
    check_arrives(check, peer, payload.sha256)


PADDED = b"\xef\xbb\xbf\x1a" + b"PK\x03\x04" * 20_000 + b"\x1a\0\0\n" + bytes(100_000)
"""What some readers skip: a byte order mark, an end of a text, zeros at the end."""


def check_arrives(check: Checks, peer: FakePeer, sha256: str) -> None:
    """Look at the upload to a peer and at the bytes of its file part."""
    with check("FLD-08", "the number of uploads"):
        assert len(peer.uploads) > 0
    with check("FLD-08", "the SHA-256 of the payload"):
        assert file_of(peer.upload).sha256 == sha256


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
        PADDED,
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_payload_that_looks_like_its_own_end_arrives_whole(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, content: bytes
) -> None:
    """A payload with bytes that look like a delimiter or a last chunk arrives whole."""
    path = tmp_path / "payload"
    path.write_bytes(content)
    peer = cluster.peer()
    relay.deploy(to=[peer], payload=path)
    check_arrives(check, peer, hashlib.sha256(content).hexdigest())


def test_another_payload_under_the_same_name_is_read_anew(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """A second deploy sends the payload that is staged then, under the same name.

    A relay that keeps a payload by its path and size sends the first one again.
    """
    peer = cluster.peer()
    relay.deploy(to=[peer])
    content = payload.path.read_bytes()[::-1]
    payload.path.write_bytes(content)
    relay.deploy(to=[peer])
    check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
    first, second = peer.uploads
    with check("FLD-08", "the SHA-256 of the first payload"):
        assert file_of(first).sha256 == payload.sha256
    with check("FLD-08", "the SHA-256 of the second payload"):
        assert file_of(second).sha256 == hashlib.sha256(content).hexdigest()


ODD_NAME = ' $HOME a b;type=x,"c" %20 #1? ü.tgz '


@pytest.mark.parametrize("name", ["0f3c", ODD_NAME])
def test_the_name_of_the_staged_file_is_not_sent(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, name: str
) -> None:
    """The file part has its fixed filename and type, whatever the name of the staged file is.

    Some senders take both from the path.
    """
    payload = stage_payload(tmp_path / name, 100_000)
    peer = cluster.peer()
    relay.deploy(to=[peer], payload=payload.path)
    with check("WIRE-05", "the filename of the file part"):
        assert file_of(peer.upload).filename == "package.tar.gz"
    with check("WIRE-05", "the type of the file part"):
        assert file_of(peer.upload).content_type == "application/gzip"
    check_arrives(check, peer, payload.sha256)


@pytest.mark.parametrize("bits", [31, 32])
def test_a_size_of_more_than_32_bits_is_not_cut(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, bits: int
) -> None:
    """A payload whose size needs more than 31 or 32 bits is not sent as a smaller one.

    A size that is cut leaves 50,000 bytes. The peer refuses the upload after 1,000,000 bytes, so
    that no relay sends it all.
    """
    relay.need("staged_payload")
    payload = tmp_path / "package.tar.gz"
    payload.touch()
    os.truncate(payload, (1 << bits) + 50_000)
    peer = cluster.peer(fault=AnswerEarly(Answer.error(403, "enough"), 1_000_000, "stop"))
    with contextlib.suppress(TargetBrokeError):  # a relay that does not read on: EARLY-04
        relay.deploy(to=[peer], payload=payload, deadline=IN_TIME)
    cut = whole_uploads(peer)
    if cut:
        peer.fault = None  # the upload ended before the peer could refuse it
    with check("FLD-08", f"the bytes of the payload, of {payload.stat().st_size:,}"):
        assert peer.uploads, "expected an upload, got none"
        assert not cut, f"expected more than 1,000,000, got {file_of(cut[0]).length:,} and the end"


@pytest.mark.parametrize("fault", [None, ResetAfter(70_000), Answer(500)], ids=str)
def test_the_staged_payload_is_left_as_it_was(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    payload: Payload,
    fault: Answer | ResetAfter | None,
) -> None:
    """The staged payload is not changed, not replaced, not deleted, and has no new neighbours."""
    path, before = payload.path, state_of(payload.path)
    peer = cluster.peer()
    relay.deploy(to=[cluster.peer(fault=fault), peer])
    check.need(peer.upload.complete, "no whole upload reached the healthy peer")
    with check("SEQ-09", "the files in the directory of the staged payload"):
        assert sorted(it.name for it in path.parent.iterdir()) == [path.name]
    with check("SEQ-09", "the staged payload"):
        check.need(path.exists(), "the staged payload is gone")
        assert state_of(path) == before


def state_of(path: Path) -> dict[str, object]:
    """Everything about a file that a relay could change."""
    status = path.stat()
    return {
        "SHA-256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "inode": status.st_ino,
        "modification time in ns": status.st_mtime_ns,
        "mode": oct(status.st_mode),
        "links": status.st_nlink,
    }
