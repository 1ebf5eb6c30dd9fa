"""Faults of uploads on the wire: what a raw client meets when a peer shows them."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any, Literal

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.witness.wire import UploadReader
from tests.harness.uploading import BODY, LARGE, answer_to_upload, is_silent, upload
from tests.rawclient import chunked, mint_request, upload_body


@pytest.mark.parametrize("received", [1, 100, 65_536, 250_000])
def test_reset_after(cluster: FakeCluster, received: int) -> None:
    peer = cluster.peer(fault=faults.ResetAfter(received))
    with upload(peer, cluster) as client:
        client.read_until_reset()
    assert peer.upload.reader.received == received
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "RST")


@pytest.mark.parametrize("received", [0, 70_000])
def test_stop_reading_after(cluster: FakeCluster, received: int) -> None:
    peer = cluster.peer(fault=faults.StopReadingAfter(received))
    with upload(peer, cluster, BODY[:1000] + BODY[1000:]) as client:
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):  # the kernel takes a few MB, and then no more
            client.send(bytes(LARGE))
    assert peer.upload.reader.received == received
    assert peer.upload.answer_status is None


def test_stop_reading_until_something_has_happened(cluster: FakeCluster) -> None:
    happened = threading.Event()
    held = faults.StopReadingAfter(70_000, until=functools.partial(happened.wait, 5))
    peer = cluster.peer(fault=held)
    with upload(peer, cluster) as client:
        peer.wait_until(lambda peer: [it.reader.received for it in peer.live_uploads] == [70_000])
        assert is_silent(client)
        assert peer.live_uploads[0].reader.received == 70_000
        happened.set()
        assert client.read_answer().status == 200
    assert peer.upload.complete
    assert peer.upload.findings == []


def never() -> None:
    raise TimeoutError


@pytest.mark.parametrize(
    "fault", [faults.StopReadingAfter(70_000, until=never), Held(Answer(), until=never)]
)
def test_what_has_not_happened_in_time_is_a_reset(
    cluster: FakeCluster, fault: faults.Fault
) -> None:
    peer = cluster.peer(fault=fault)
    with upload(peer, cluster) as client, pytest.raises(ConnectionResetError):
        client.read()
    assert peer.upload.connection.closed_by == "peer"
    assert "answer" not in peer.upload.times


def test_read_slowly(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = 400_000
    reads: list[int] = []
    feed = UploadReader.feed

    def timed(reader: UploadReader, data: bytes, start: int, end: int) -> None:
        reads.append(end - start)
        feed(reader, data, start, end)

    monkeypatch.setattr(UploadReader, "feed", timed)
    peer = cluster.peer(fault=faults.ReadSlowly(rate))
    assert answer_to_upload(peer, cluster).status == 200
    seen = peer.upload.times
    seconds = len(BODY) / rate
    assert seen["body end"] - seen["head"] >= 0.95 * seconds
    assert peer.upload.findings == []
    assert max(reads) <= rate // 20, "evenly: never more than a twentieth of a second's worth"


def test_close_without_answer(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.CloseWithoutAnswer())
    with upload(peer, cluster) as client:
        assert client.read_to_the_end() == b""
    assert peer.upload.complete
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


REFUSAL = Answer.error(400, "no")


@pytest.mark.parametrize("at", ["head", "file", 10_000])
def test_answer_early_then_drain(cluster: FakeCluster, at: Any) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at=at))
    # The rest of the body is sent only when the answer is here.
    sent_first = {"head": 0, "file": 600, 10_000: 10_000}[at]
    with upload(peer, cluster, BODY[:sent_first]) as client:
        answer = client.read_answer()
        client.send(BODY[sent_first:])
        client.send(mint_request(peer))  # the connection is still good
        assert client.read_answer().status == 200
    assert (answer.status, answer.json) == (400, {"error": "no"})
    assert answer.header("connection") == "keep-alive"
    assert peer.upload.received_at_answer == sent_first
    assert peer.upload.received_after_answer == len(BODY) - sent_first
    assert peer.upload.findings == []


def test_answer_early_at_the_file_is_early_for_whoever_sends_all_at_once(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file"))
    with upload(peer, cluster, chunked(upload_body(bytes(200_000)))) as client:
        assert client.read_answer().status == 400
    assert (peer.upload.received_at_answer or 0) < 5000
    assert peer.upload.complete


def test_answer_early_then_stop(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="stop"))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.send(bytes(LARGE))
    assert peer.upload.received_after_answer == 0


def test_answer_early_then_close(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="close"))
    with upload(peer, cluster, BODY[:1000]) as client:
        answer = client.read_answer()
        assert answer.header("connection") == "close"
        assert client.read() == b""  # FIN, at once
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


def test_answer_early_then_close_resets_nobody(cluster: FakeCluster) -> None:
    """With megabytes on their way, a mere close would make the kernel send a reset."""
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="close"))
    with upload(peer, cluster, BODY[:1000]) as client:
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):  # neither read nor reset
            client.send(bytes(LARGE))
        client.sock.settimeout(5)
        assert client.read_answer().status == 400
        assert client.read() == b""
    seen = peer.upload
    assert (seen.connection.closed_by, seen.connection.closed_with) == ("peer", "FIN")
    assert seen.received_after_answer == 0
    assert seen.times["answer end"] <= (seen.connection.closed_at or 0)


def test_answer_early_then_grace(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="grace", grace=0.1))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.send(BODY[1000:2000])
        started = time.monotonic()
        client.read_until_reset()
        assert time.monotonic() - started > 0.05
    assert peer.upload.received_after_answer == 1000
    assert peer.upload.connection.closed_with == "RST"


@pytest.mark.parametrize("then", ["drain", "close", "grace"])
def test_a_client_that_asks_for_a_close_gets_it_behind_an_early_answer(
    cluster: FakeCluster, then: Literal["drain", "close", "grace"]
) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then=then))
    with upload(peer, cluster, BODY[:1000], Connection="close") as client:
        assert client.read_answer().status == 400
        assert client.read() == b""
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


def test_so_does_one_that_is_refused_by_a_real_peer_which_reads_no_more(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer(profile="harper-5.1", fault=faults.TokensExpire())
    with upload(peer, cluster, BODY[:1000], Connection="close") as client:
        assert client.read_answer().status == 401
        assert client.read() == b""
    assert peer.upload.connection.closed_by == "peer"


def test_an_upload_that_ends_within_the_grace_keeps_its_connection(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="grace", grace=5))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.send(BODY[1000:] + mint_request(peer))
        assert client.read_answer().status == 200


def test_in_turn(cluster: FakeCluster) -> None:
    busy = Answer(503, headers=(("Retry-After", "1"),))
    peer = cluster.peer(fault=faults.in_turn(busy, None))
    answers = [answer_to_upload(peer, cluster) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 200, 200]
    assert answers[0].header("retry-after") == "1"
