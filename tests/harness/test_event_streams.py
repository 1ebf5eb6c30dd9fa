"""Event streams on the wire, to the byte."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.events import (
    Event,
    EventStream,
    failure_events,
    success_events,
)
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.harness.uploading import BODY, upload


def stream_of(peer: FakePeer, cluster: FakeCluster) -> tuple[bytes, list[bytes]]:
    """The head of a chunked answer, and its chunks."""
    with upload(peer, cluster) as client:
        came = b""
        while not came.endswith(b"0\r\n\r\n"):
            block = client.read()
            if not block:
                break
            came += block
    head, _, body = came.partition(b"\r\n\r\n")
    chunks = []
    while body:
        size, _, body = body.partition(b"\r\n")
        chunks.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return head, chunks


def test_a_successful_event_stream_is_as_recorded(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EventStream(success_events("demo", "an-id")))
    head, chunks = stream_of(peer, cluster)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    assert b"cache-control: no-cache\r\nx-accel-buffering: no\r\n" in head
    assert chunks[:4] == [
        b": stream open\n",
        b"\n",
        b"event: phase\n",
        b'data: {"phase":"prepare","status":"start"}\n',
    ]
    assert b"".join(chunks).endswith(
        b'event: phase\ndata: {"phase":"success","status":"done"}\n\n'
        b'event: _recorder_finished\ndata: {"status":"success"}\n\n'
        b'event: done\ndata: {"result":{"message":"Successfully deployed: demo",'
        b'"deployment_id":"an-id"}}\n\n'
    )
    assert chunks[-1] == b""


def test_an_event_stream_begins_before_the_upload_ends(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EventStream())
    with upload(peer, cluster, BODY[:1000]) as client:
        came = b""
        while b": stream open\n" not in came:
            came += client.read()
        client.send(BODY[1000:])
        while b"event: done\n" not in came:
            came += client.read()
    assert peer.upload.received_at_answer == 1000


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (
            EventStream(failure_events("boom", "ERR_X", "an-id")),
            (
                b': stream open\n\nevent: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: error\ndata: {"message":"boom","code":"ERR_X","phase":"prepare",'
                b'"deployment_id":"an-id"}\n\n'
                b'event: _recorder_finished\ndata: {"status":"failed"}\n\n'
            ),
        ),
        (
            EventStream((Event("note", "two\r\nlines"),), prime=False),
            b"event: note\ndata: two\ndata: lines\n\n",
        ),
        (EventStream((": a comment\n\n",), prime=False), b": a comment\n\n"),
        (
            EventStream((Event("done", {"result": {}}),), line_end="\r\n", prime=False),
            b'event: done\r\ndata: {"result":{}}\r\n\r\n',
        ),
        (
            EventStream((Event("done", {"result": {}}),), prime=False, chunk_size=1),
            b'event: done\ndata: {"result":{}}\n\n',
        ),
        (EventStream((Event("surprise", {}),), prime=False), b"event: surprise\ndata: {}\n\n"),
        (
            EventStream((*failure_events("boom"), *success_events()[-1:]), prime=False),
            (
                b'event: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: error\ndata: {"message":"boom","code":500,"phase":"prepare",'
                b'"deployment_id":"5f0c6a52"}\n\n'
                b'event: _recorder_finished\ndata: {"status":"failed"}\n\n'
                b'event: done\ndata: {"result":{"message":"Successfully deployed: demo",'
                b'"deployment_id":"5f0c6a52"}}\n\n'
            ),
        ),
        (
            EventStream(success_events()[:2], prime=False),
            (
                b'event: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: phase\ndata: {"phase":"prepare","status":"done"}\n\n'
            ),
        ),
        (EventStream(('data: {"error":"no"}\n\n',), prime=False), b'data: {"error":"no"}\n\n'),
    ],
    ids=[
        *("failure", "multi-line data", "comment", "CRLF", "split at every byte", "unknown event"),
        *("both error and done", "end without done", "bare data"),
    ],
)
def test_event_streams(cluster: FakeCluster, stream: EventStream, text: bytes) -> None:
    _, chunks = stream_of(cluster.peer(fault=stream), cluster)
    assert b"".join(chunks) == text
    assert chunks[-1] == b""
    if stream.chunk_size == 1:
        assert {len(chunk) for chunk in chunks[:-1]} == {1}


def test_a_truncated_event_stream(cluster: FakeCluster) -> None:
    _, chunks = stream_of(
        cluster.peer(fault=EventStream(success_events()[:2], truncated=True)), cluster
    )
    assert chunks[-1] != b""
