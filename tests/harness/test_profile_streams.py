"""The profile `harper-5.1` on the wire: when an answer comes, what becomes of a large upload."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.profiles import Harper51
from deploy_relay_kit.harness.profiles.harper_deploy import Install
from tests.profileclient import (
    DEPLOY,
    EARLY,
    EVENTS,
    FASTIFY_CLOSE,
    FASTIFY_KEEP,
    GZIP,
    ask,
    assert_fastify,
    basic,
    connect,
    deployed,
    form,
    head,
    read_came,
    read_chunks,
    read_head,
)
from tests.rawclient import chunked

LARGE = 64 << 20
"""More than the kernel takes for a peer that does not read."""
NEXT = b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n"


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer(profile="harper-5.1")


# -- event streams -------------------------------------------------------------------------------


def phases(*names: str) -> bytes:
    return b"".join(
        f'event: phase\ndata: {{"phase":"{name}","status":"{status}"}}\n\n'.encode()
        for name in names
        for status in ("start", "done")
    )


OPEN = b": stream open\n\n"
START = b'event: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
NPM = b'event: install\ndata: {"manager":"npm","stream":"stderr","line":"a line"}\n\n'
END = b'event: phase\ndata: {"phase":"success","status":"done"}\n\n'
END += b'event: _recorder_finished\ndata: {"status":"success"}\n\n'
FAILED = b'event: _recorder_finished\ndata: {"status":"failed"}\n\n'


def done(members: str = "", restarting: str = "") -> bytes:
    return (
        END
        + (
            f'event: done\ndata: {{"result":{{"message":"Successfully deployed: demo{restarting}",'
            f'{members}"deployment_id":"<uuid>"}}}}\n\n'
        ).encode()
    )


def error(text: str, phase: str = "prepare") -> bytes:
    return (
        f'event: error\ndata: {{"message":"{text}","code":500,"phase":"{phase}",'
        f'"deployment_id":"<uuid>"}}\n\n'
    ).encode() + FAILED


RESTARTING = ", restarting Harper"
STREAMS: dict[str, tuple[bytes, bytes]] = {
    "success": (form(), phases("prepare", "replicate") + done()),
    "no file": (
        form(payload=None),
        START + error("Either payload or package must be provided"),
    ),
    "restart": (
        form([*DEPLOY, ("restart", "true")]),
        phases("prepare", "replicate", "restart") + done(restarting=RESTARTING),
    ),
    "rolling": (
        form([*DEPLOY, ("restart", "rolling")]),
        phases("prepare", "replicate") + done('"restartJobId":"<uuid>",', RESTARTING),
    ),
    "no archive": (form(payload=b"text"), START + error("Unexpected end of data")),
    "cut": (form()[:-100], error("Unexpected end of form", "pending")),
    "no project": (
        form(DEPLOY[:1]),
        b'event: error\ndata: {"message":"\'project\' is required","code":400}\n\n',
    ),
    "project 123": (
        form([DEPLOY[0], ("project", "123")]),
        (
            b'event: error\ndata: {"message":"The \\"path\\" argument must be of type string. '
            b'Received type number (123)","code":"ERR_INVALID_ARG_TYPE"}\n\n'
        ),
    ),
}


@pytest.mark.parametrize(("body", "events"), STREAMS.values(), ids=STREAMS)
def test_event_streams(peer: FakePeer, cluster: FakeCluster, body: bytes, events: bytes) -> None:
    request = head(peer, Accept=EVENTS, Accept_Encoding="gzip") + chunked(body)
    came = ask(peer, cluster, request)
    assert came.body == OPEN + events
    assert came.status == 200
    assert came.names == [
        *("vary", "content-type", "cache-control", "x-accel-buffering", "server-timing"),
        *("Date", "Connection", "Keep-Alive", "Transfer-Encoding"),
    ]
    assert came.header("content-type") == EVENTS


@pytest.mark.parametrize("exit_code", [0, 1])
def test_an_install_is_told(cluster: FakeCluster, exit_code: int) -> None:
    peer = cluster.peer()
    peer.profile = Harper51(install=Install((("stderr", "a line"),), exit_code))
    came = ask(peer, cluster, head(peer, Accept=EVENTS) + chunked(form()))
    assert came.body.startswith(OPEN + START + NPM)
    assert (b"event: done" in came.body) == (exit_code == 0)
    plain = ask(peer, cluster, head(peer) + chunked(form()))
    if exit_code == 0:
        assert_fastify(plain, 200, deployed())
        return
    line = {"manager": "npm", "stream": "stderr", "line": "a line"}
    failure: dict[str, Any] = {
        "error": "Failed to install dependencies for demo using npm default. Exit code: 1",
        "phase": "prepare",
        "install_output": {"lines": [line], "truncated": False, "dropped_lines": 0},
        "deployment_id": "<uuid>",
    }
    assert_fastify(plain, 500, failure)


def test_a_stream_begins_with_the_file_and_each_line_is_a_chunk(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    body = chunked(form())
    with connect(peer, cluster) as client:
        client.send(head(peer, Accept=EVENTS) + body[:-100])
        read_head(client)
        chunks = read_chunks(client)
        assert [next(chunks), next(chunks)] == [b": stream open\n", b"\n"]
        client.send(body[-100:])
        lines = list(chunks)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


@pytest.mark.parametrize(
    ("given", "text", "head_came"),
    [
        ("Bearer wrong", "invalid token", (EARLY, None)),
        (None, "Must login", (FASTIFY_KEEP, EVENTS)),
    ],
)
def test_a_refusal_before_the_operation_is_one_frame_with_its_status(
    peer: FakePeer,
    cluster: FakeCluster,
    given: str | None,
    text: str,
    head_came: tuple[list[str], str | None],
) -> None:
    came = ask(peer, cluster, head(peer, given, Accept=EVENTS) + chunked(form()))
    assert (came.status, came.body) == (401, f'data: {{"error":"{text}"}}\n\n'.encode())
    assert (came.names, came.header("content-type")) == head_came


def test_a_fault_takes_the_place_of_the_last_word_only(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    peer.fault = Answer(503)
    with connect(peer, cluster) as client:
        client.send(head(peer, Accept=EVENTS) + chunked(form()))
        assert read_came(client).status == 503


# -- large uploads -------------------------------------------------------------------------------


def begin(fields: Sequence[tuple[str, str]] = DEPLOY, name: str = "payload") -> bytes:
    """A chunk with a form up to the first bytes of its file."""
    part = form(fields, b"", name=name).removesuffix(b"\r\n--b--\r\n") + GZIP[:100]
    return b"%x\r\n%b\r\n" % (len(part), part)


def end(size: int) -> bytes:
    """The rest of that form: a chunk of so many bytes, and the end."""
    tail = b"\r\n--b--\r\n"
    return b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size), len(tail), tail)


@pytest.mark.parametrize("given", ["Bearer wrong", "wrong password", "415"])
def test_a_refusal_at_the_head_drains_the_upload(
    peer: FakePeer, cluster: FakeCluster, given: str
) -> None:
    request = head(peer, basic(peer, "wrong") if given == "wrong password" else given)
    if given == "415":
        request = head(peer, Content_Type="application/octet-stream")
    with connect(peer, cluster) as client:
        client.send(request)
        assert read_came(client).status == (415 if given == "415" else 401)
        client.send(begin() + end(8 << 20) + NEXT)
        assert read_came(client).status == 200


STOPS: dict[str, tuple[str | None, list[tuple[str, str]], str]] = {
    "no credential": (None, DEPLOY, ""),
    "empty bearer": ("Bearer ", DEPLOY, ""),
    "unknown operation": ("good", [("operation", "no_such_op")], ""),
    "no operation": ("good", [], ""),
    "no project": ("good", DEPLOY[:1], ""),
    "project 123": ("good", [DEPLOY[0], ("project", "123")], ""),
    "no project, as events": ("good", DEPLOY[:1], EVENTS),
}


@pytest.mark.parametrize(("given", "fields", "accept"), STOPS.values(), ids=STOPS)
def test_a_refusal_at_the_file_says_keep_alive_and_stops_reading_until_a_reset(
    peer: FakePeer,
    cluster: FakeCluster,
    given: str | None,
    fields: list[tuple[str, str]],
    accept: str,
) -> None:
    peer.profile.reset_after = 0.02
    with connect(peer, cluster) as client:
        client.send(head(peer, given, Accept=accept) + begin(fields))
        came = read_came(client)
        assert came.header("Connection") == "keep-alive"
        with contextlib.suppress(ConnectionError):
            client.send(end(LARGE))
        client.read_until_reset()
    assert peer.upload.received_after_answer <= peer.profile.read_ahead
    assert peer.upload.connection.closed_with == "RST"


def test_without_a_reset_the_client_waits(peer: FakePeer, cluster: FakeCluster) -> None:
    peer.profile.reset_after = None
    with connect(peer, cluster) as client:
        client.send(head(peer, None) + begin())
        assert read_came(client).status == 401
        client.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.send(end(LARGE))
    assert peer.upload.received_after_answer == peer.profile.read_ahead


@pytest.mark.parametrize(("unread", "answered"), [(100_000, True), (500_000, False)])
def test_the_next_request_is_answered_only_if_little_was_left(
    peer: FakePeer, cluster: FakeCluster, unread: int, *, answered: bool
) -> None:
    peer.profile.reset_after = 31.0 if answered else 0.02
    with connect(peer, cluster) as client:
        client.send(head(peer, None) + begin())
        assert read_came(client).status == 401
        with contextlib.suppress(ConnectionError):  # of the reset, if it comes this early
            client.send(end(unread) + NEXT)
        if answered:
            assert read_came(client).status == 200
        else:
            client.read_until_reset()


@pytest.mark.parametrize("why", ["file name", "boundary"])
def test_a_refusal_of_the_form_closes_at_once(
    peer: FakePeer, cluster: FakeCluster, why: str
) -> None:
    request = head(peer) + begin(name="file")
    if why == "boundary":
        request = head(peer, Content_Type="multipart/form-data")
    with connect(peer, cluster) as client:
        client.send(request)
        came = read_came(client)
        assert (came.status, came.names) == (400, FASTIFY_CLOSE)
        assert client.read() == b""
    assert peer.upload.connection.closed_with == "FIN"


def test_what_is_no_archive_is_refused_only_after_the_upload(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    payload = bytes(range(256)) * 40_000
    came = ask(peer, cluster, head(peer) + chunked(form(payload=payload)))
    assert came.status == 500
    assert peer.upload.received_after_answer == 0


def test_the_answer_comes_before_the_last_chunk(peer: FakePeer, cluster: FakeCluster) -> None:
    with connect(peer, cluster) as client:
        client.send(head(peer) + chunked(form()).removesuffix(b"0\r\n\r\n"))
        assert_fastify(read_came(client), 200, deployed())
        client.send(b"0\r\n\r\n" + NEXT)
        assert read_came(client).status == 200


# -- time ----------------------------------------------------------------------------------------


def test_a_request_that_takes_too_long(peer: FakePeer, cluster: FakeCluster) -> None:
    peer.profile.request_limit = 0.02
    with connect(peer, cluster) as client:
        client.send(head(peer) + begin())
        answer = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
        assert client.read_to_the_end() == answer
    assert peer.upload.answer_status == 408


def test_a_stream_that_takes_too_long_is_cut(peer: FakePeer, cluster: FakeCluster) -> None:
    peer.profile.request_limit = 0.2
    with connect(peer, cluster) as client:
        client.send(head(peer, Accept=EVENTS) + begin())
        came = client.read_to_the_end()
    assert came.endswith(b"\r\n\r\ne\r\n: stream open\n\r\n1\r\n\n\r\n")
    assert peer.upload.connection.closed_with == "FIN"


def test_a_client_that_goes_in_the_file_gets_nothing(peer: FakePeer, cluster: FakeCluster) -> None:
    with connect(peer, cluster) as client:
        client.send(head(peer) + begin())
        peer.wait_until(lambda peer: any(upload.reader.file for upload in peer.live_uploads))
        client.reset()
    assert peer.upload.connection.closed_with == "RST"
    assert peer.upload.answer_status is None


def test_faults_of_uploads_work_in_every_profile(cluster: FakeCluster) -> None:
    peer = cluster.peer(profile="harper-5.1", fault=faults.ResetAfter(50))
    with connect(peer, cluster) as client:
        client.send(head(peer) + chunked(form()))
        client.read_until_reset()
    assert peer.upload.reader.received == 50
