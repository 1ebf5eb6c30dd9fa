"""Every kind of answer on the wire, to the byte."""

from __future__ import annotations

import contextlib
import functools
import gzip
import threading
import time
import tracemalloc
from typing import Any

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import (
    Answer,
    continue_first,
)
from deploy_relay_kit.harness.faults.broken_answers import (
    ContentLengthOff,
    Drip,
    EndlessHead,
    Flood,
    FloodOf,
    HeadThenSilence,
    Held,
    UnfinishedChunks,
)
from deploy_relay_kit.harness.faults.events import EventStream, success_events
from tests.harness.uploading import answer_to_upload, is_silent, upload


@pytest.mark.parametrize(
    ("answer", "content_type"),
    [
        (Answer(json={"message": "é"}), "application/json"),
        (Answer(json=[1, 2]), "application/json"),
        (Answer(json="text"), "application/json"),
        (Answer(json=None), "application/json"),
        (Answer(200, body="{not json", content_type="application/json"), "application/json"),
        (Answer(502, body="<h1>Bad Gateway</h1>", content_type="text/html"), "text/html"),
        (Answer(500), None),
        (Answer(299, body=b"\xff\xfe\x80", content_type="text/plain"), "text/plain"),
        (Answer.redirect("https://elsewhere.invalid/"), None),
    ],
    ids=lambda value: repr(value.content) if isinstance(value, Answer) else "",
)
def test_answers_of_any_status_and_body(
    cluster: FakeCluster, answer: Answer, content_type: str | None
) -> None:
    came = answer_to_upload(cluster.peer(fault=answer), cluster)
    assert (came.status, came.body) == (answer.status, answer.content)
    assert came.header("content-type") == content_type
    assert set(answer.headers) <= set(came.headers)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_announces_none(cluster: FakeCluster, status: int) -> None:
    peer = cluster.peer(fault=faults.in_turn(Answer(status), None))
    with upload(peer, cluster) as client:
        came = client.read_answer()
        assert (came.status, came.body) == (status, b"")
        assert came.header("content-length") is came.header("transfer-encoding") is None
    assert answer_to_upload(peer, cluster).status == 200


def test_a_body_split_inside_a_character(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=Answer(500, json={"error": "☃"}, chunk_size=1))
    with upload(peer, cluster) as client:
        client.send(b"")
        came = b""
        while not came.endswith(b"0\r\n\r\n"):
            came += client.read()
    body = came.partition(b"\r\n\r\n")[2]
    assert b"1\r\n\xe2\r\n1\r\n\x98\r\n1\r\n\x83\r\n" in body


def test_100_mb_of_error_text(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=Answer(500, body="x" * 1000, times=100_000))
    with upload(peer, cluster) as client:
        assert len(client.read_answer().body) == 100_000_000


def test_a_compressed_answer(cluster: FakeCluster) -> None:
    came = answer_to_upload(cluster.peer(fault=Answer(json={"message": "m"}).gzipped()), cluster)
    assert came.header("content-encoding") == "gzip"
    assert gzip.decompress(came.body) == b'{"message":"m"}'


def test_100_continue_before_a_refusal(cluster: FakeCluster) -> None:
    answer = continue_first(Answer.error(401, "Must login"))
    peer = cluster.peer(fault=faults.AnswerEarly(answer, at="head"))
    with upload(peer, cluster, b"") as client:
        assert client.read_answer_head().startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"HTTP/1.1 401 Unauthorized\r\n" in client.read_answer_head()


def test_a_large_chunked_answer_is_never_in_memory() -> None:
    answer = Answer(body=b"x" * 999, times=50_000, chunk_size=1000)
    tracemalloc.start()
    length = sum(len(block) - len(b"3e8\r\n\r\n") for block in answer.blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == answer.length == 49_950_000
    assert peak < 1_000_000


def test_chunks_go_on_from_one_repetition_to_the_next() -> None:
    blocks = list(Answer(body=b"12345", times=3, chunk_size=7).blocks())
    assert blocks == [b"7\r\n1234512\r\n", b"7\r\n3451234\r\n", b"1\r\n5\r\n"]


@pytest.mark.parametrize("by", [10, -2])
def test_content_length_off(cluster: FakeCluster, by: int) -> None:
    peer = cluster.peer(fault=ContentLengthOff(Answer(body="12345"), by))
    with upload(peer, cluster) as client:
        head, _, body = client.read_to_the_end().partition(b"\r\n\r\n")
    assert f"content-length: {5 + by}".encode() in head
    assert body == b"12345"


@pytest.mark.parametrize("end", ["close", "reset"])
def test_unfinished_chunks(cluster: FakeCluster, end: Any) -> None:
    peer = cluster.peer(fault=UnfinishedChunks(Answer(json={"message": "m"}), end))
    with upload(peer, cluster) as client:
        came = client.read_to_the_end() if end == "close" else client.read_until_reset()
    assert came.endswith(b'f\r\n{"message":"m"}\r\n')
    assert peer.upload.connection.closed_with == {"close": "FIN", "reset": "RST"}[end]


@pytest.mark.parametrize(
    "fault",
    [
        ContentLengthOff(Answer(body="12345"), 1),
        UnfinishedChunks(Answer(body="12345")),
        UnfinishedChunks(Answer(body="12345"), "reset"),
        EventStream(success_events(), truncated=True),
        HeadThenSilence(Answer(body="12345")),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_ends_before_its_connection(cluster: FakeCluster, fault: faults.Fault) -> None:
    peer = cluster.peer(fault=fault)
    with upload(peer, cluster) as client:
        client.read_answer_head()
        if isinstance(fault, HeadThenSilence):
            assert is_silent(client)
        else:
            with contextlib.suppress(ConnectionError):
                client.read_to_the_end()
    seen = peer.upload
    assert seen.last_byte_at is not None
    assert seen.last_byte_at <= seen.times["body end"] <= seen.times["answer end"]
    peer.wait_until(lambda _: seen.connection.closed_at is not None)
    assert seen.times["answer end"] <= (seen.connection.closed_at or 0)


def test_a_head_that_never_ends(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EndlessHead())
    with upload(peer, cluster) as client:
        came = b""
        while len(came) < 1_000_000:
            came += client.read()
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in came


@pytest.mark.parametrize(
    ("of", "begin"),
    [
        ("comments", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n:\n"),
        ("events", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: install\n"),
        ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\nx"),
        ("interim answers", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_flood_never_ends(cluster: FakeCluster, of: FloodOf, begin: bytes) -> None:
    peer = cluster.peer(fault=Flood(of))
    with upload(peer, cluster) as client:
        came = b""
        while len(came) < 1_000_000:
            came += client.read()
    assert came.startswith(begin)


def test_head_then_silence(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=HeadThenSilence(Answer(json={"message": "m"})))
    with upload(peer, cluster) as client:
        assert b"content-length: 15\r\n" in client.read()
        assert is_silent(client)


def test_held(cluster: FakeCluster) -> None:
    happened = threading.Event()
    answer = Held(Answer.error(507, "full"), until=functools.partial(happened.wait, 5))
    peer = cluster.peer(fault=answer)
    with upload(peer, cluster) as client:
        peer.wait_until(lambda peer: [it.complete for it in peer.live_uploads] == [True])
        assert is_silent(client)
        happened.set()
        assert client.read_answer().status == 507
    assert peer.upload.answer_status == 507


def test_nobody_is_answered_who_has_gone_meanwhile(cluster: FakeCluster) -> None:
    gone = threading.Event()
    peer = cluster.peer(fault=Held(Answer(), until=functools.partial(gone.wait, 5)))
    with upload(peer, cluster):
        peer.wait_until(lambda peer: [it.complete for it in peer.live_uploads] == [True])
    gone.set()
    assert "answer" not in peer.upload.times
    assert peer.upload.connection.closed_by == "client"


def test_drip(cluster: FakeCluster) -> None:
    rate = 1000
    peer = cluster.peer(fault=Drip(Answer(json={"message": "m"}), rate))
    started = time.monotonic()
    came = answer_to_upload(peer, cluster)
    assert came.json == {"message": "m"}
    assert time.monotonic() - started > 100 / rate


def test_headers_are_a_mapping_or_pairs() -> None:
    pairs = (("Retry-After", "5"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
    assert Answer(503, headers=pairs).headers == pairs
    assert Answer(503, headers=dict(pairs[:2])) == Answer(503, headers=list(pairs[:2]))
    assert b"Retry-After: 5\r\n" in Answer(503, headers={"Retry-After": "5"}).head(keep_alive=True)


def test_an_answer_shows_what_it_was_made_of() -> None:
    assert repr(Answer()) == "Answer(200)"
    assert repr(Answer.error(503, "busy")) == "Answer(503, json={'error': 'busy'})"
    assert repr(Answer(500, body="x", headers={"A": "b"})) == (
        "Answer(500, body='x', headers=(('A', 'b'),))"
    )
