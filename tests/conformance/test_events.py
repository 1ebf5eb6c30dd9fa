"""Event streams: asked for, read however they are split, and judged by their last event."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.events import Event, EventStream, failure_events, success_events
from harness.faults.kinds import Fault
from harness.judge.cases.relay import Relay
from harness.targets import GivenToken, Limits, Record

requirement = pytest.mark.requirement

DONE = Event("done", {"result": {"message": "Successfully deployed: demo"}})


def record_of(cluster: FakeCluster, relay: Relay, fault: Fault) -> Record:
    peer = cluster.peer(fault=fault)
    return relay.deploy(to=[peer], events=True)[peer]


@requirement("SSE-01")
def test_a_stream_is_asked_for_by_its_media_type(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], events=True)
    assert "text/event-stream" in (peer.upload.header("accept") or "").lower()


@requirement("SSE-09", "SSE-10", "RES-01")
def test_the_result_of_done_makes_the_success(cluster: FakeCluster, relay: Relay) -> None:
    record = record_of(cluster, relay, EventStream(success_events(deployment_id="5f0c")))
    assert record.status == "success"
    assert record["message"] == "Successfully deployed: demo"
    assert record["deployment_id"] == "5f0c"


@requirement("RES-02", "SSE-09")
def test_a_result_with_node_and_status_does_not_change_them(
    cluster: FakeCluster, relay: Relay
) -> None:
    told = Event("done", {"result": {"node": "another", "status": "failed", "message": "done"}})
    record = record_of(cluster, relay, EventStream((told,)))
    assert (record["node"], record.status, record["message"]) == ("node-1", "success", "done")


@requirement("SSE-02", "SSE-09", "RES-13")
@pytest.mark.parametrize("code", [500, 400, 7, "ERR_INVALID_ARG_TYPE"])
def test_an_error_event_is_a_failure_with_its_message(
    cluster: FakeCluster, relay: Relay, code: int | str
) -> None:
    record = record_of(cluster, relay, EventStream(failure_events("disk full", code)))
    assert (record.status, record.reason) == ("failed", "disk full")
    assert record.status_code in (code if code in {400, 500} else None, None)


@requirement("RES-13")
@pytest.mark.parametrize(
    "events", [failure_events("disk full"), (*failure_events("disk full"), DONE)]
)
def test_an_error_event_that_nobody_asked_for_is_a_failure(
    cluster: FakeCluster, relay: Relay, events: tuple[Event, ...]
) -> None:
    peer = cluster.peer(fault=EventStream(events))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record.reason) == ("failed", "disk full")


@requirement("SSE-03", "SSE-10", "SSE-06", "SSE-20", "SSE-17")
@pytest.mark.parametrize(
    "noise",
    [
        ": a comment\n\n",
        ": a comment\n",
        "id: 5\n\n",
        "retry: 100\n\n",
        "event: heartbeat\ndata: \n\n",
        "event: heartbeat\ndata\n\n",
        "event: heartbeat\n\n",
        'event: _recorder_finished\ndata: {"status":"failed"}\n\n',
        'event: phase\ndata: {"phase":"upload","status":"progress"}\n\n',
        "event: phase\ndata: not json\n\n",
        'event: peer\ndata: {"node":"node-9","status":"failed","error":"no"}\n\n',
        'event: install\ndata: {"line":"error: \\u2603"}\n\n',
    ],
)
def test_what_a_stream_tells_beside_its_end_changes_nothing(
    cluster: FakeCluster, relay: Relay, noise: str
) -> None:
    record = record_of(cluster, relay, EventStream((noise, *success_events())))
    assert (record.status, record["message"]) == ("success", "Successfully deployed: demo")


@requirement("SSE-10")
def test_what_comes_behind_an_error_does_not_take_it_back(
    cluster: FakeCluster, relay: Relay
) -> None:
    finished = Event("_recorder_finished", {"status": "success"})
    record = record_of(cluster, relay, EventStream((*failure_events("disk full"), finished)))
    assert (record.status, record.reason) == ("failed", "disk full")


@requirement("SSE-04")
def test_data_of_several_lines_is_joined(cluster: FakeCluster, relay: Relay) -> None:
    text = 'event: error\ndata: {"message":\ndata: "npm failed",\ndata: "code": 500}\n\n'
    assert record_of(cluster, relay, EventStream((text,))).reason == "npm failed"


@requirement("SSE-17", "SSE-04", "HTTP-05")
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("chunk_size", [None, 1, 7, 100_000])
@pytest.mark.parametrize("outcome", ["success", "failed"])
def test_a_stream_reads_the_same_however_it_is_split(
    cluster: FakeCluster, relay: Relay, line_end: str, chunk_size: int | None, outcome: str
) -> None:
    text = "line one ☃\nline two 🚀"
    last = Event("done", {"result": {"message": text}})
    events = (last,) if outcome == "success" else failure_events(text)
    stream = EventStream(events, "\n" if line_end == "\n" else "\r\n", chunk_size)
    record = record_of(cluster, relay, stream)
    assert record.status == outcome
    assert (record["message"] if outcome == "success" else record.reason) == text


@requirement("SSE-17")
def test_the_last_event_needs_no_empty_line_behind_it(cluster: FakeCluster, relay: Relay) -> None:
    record = record_of(cluster, relay, EventStream((DONE.record().rstrip("\n"),)))
    assert (record.status, record["message"]) == ("success", "Successfully deployed: demo")


@requirement("SSE-09", "SSE-17")
@pytest.mark.parametrize(
    "text",
    [
        "event:done\ndata:{data}\n\n",
        "data: {data}\nevent: done\n\n",
        "id: 7\nevent: done\nretry: 5\n: still here\ndata: {data}\n\n",
    ],
    ids=["no-space", "name-last", "more-lines"],
)
def test_an_event_is_read_in_every_form_that_streams_have(
    cluster: FakeCluster, relay: Relay, text: str
) -> None:
    text = text.replace("{data}", '{"result":{"message":"done"}}')
    record = record_of(cluster, relay, EventStream((text,)))
    assert (record.status, record["message"]) == ("success", "done")


@requirement("RES-13", "SSE-02")
@pytest.mark.parametrize("of", ["text/event-stream; charset=utf-8", "Text/Event-Stream"])
def test_a_stream_is_known_by_its_media_type_however_it_is_written(
    cluster: FakeCluster, relay: Relay, of: str
) -> None:
    head = Answer(content_type=of, chunk_size=1)
    record = record_of(cluster, relay, EventStream(failure_events("disk full"), head=head))
    assert (record.status, record.reason) == ("failed", "disk full")


@requirement("SSE-03")
def test_a_stream_without_its_first_comment_is_read_alike(
    cluster: FakeCluster, relay: Relay
) -> None:
    assert record_of(cluster, relay, EventStream(prime=False)).status == "success"


@requirement("SSE-16", "SSE-02")
@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("events", [(), success_events()[:-1]], ids=["nothing", "all-but-done"])
def test_a_stream_that_ends_without_done_or_error_is_a_failure(
    cluster: FakeCluster, relay: Relay, events: tuple[Event, ...], *, truncated: bool
) -> None:
    record = record_of(cluster, relay, EventStream(events, truncated=truncated))
    assert record.status == "failed"
    assert record.reason


def silent_for(seconds: float) -> Iterator[Event]:
    """The events of a success, behind a silence."""
    threading.Event().wait(seconds)
    yield from success_events()


@requirement("SSE-14")
def test_a_stream_may_be_silent_for_longer_than_an_upload_may_stall(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=EventStream(silent_for(1.2)))
    limits = Limits(connect=0.8, mint=0.8, stall=0.8)
    assert relay.deploy(to=[peer], events=True, limits=limits)[peer].status == "success"


@requirement("SSE-18", "RES-05")
@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(401, "token expired"),
        Answer(401, body='data: {"error":"token expired"}\n\n'),
        Answer(401, body='data: {"error":"token expired"}\n\n', content_type="text/event-stream"),
    ],
    ids=["json", "event-without-a-type", "event"],
)
def test_a_refusal_in_the_place_of_a_stream_has_its_reason(
    cluster: FakeCluster, relay: Relay, answer: Answer
) -> None:
    record = record_of(cluster, relay, answer)
    assert (record.status, record.status_code) == ("failed", 401)
    assert record.reason == "token expired"


@requirement("SSE-18")
def test_a_plain_answer_in_the_place_of_a_stream_is_read_as_one(
    cluster: FakeCluster, relay: Relay
) -> None:
    record = record_of(cluster, relay, Answer(json={"message": "an older peer"}))
    assert (record.status, record["message"]) == ("success", "an older peer")


@requirement("SSE-18", "MINT-12")
def test_a_real_peer_frames_its_refusal_as_an_event(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(profile="harper-5.1")
    node = relay.node(peer, mint=GivenToken("made-up"))
    record = relay.deploy(to=[node], events=True)[peer]
    assert (record.status_code, record.reason) == (401, "invalid token")


@requirement("SSE-02", "SSE-09")
def test_a_real_peer_fails_inside_of_its_stream(cluster: FakeCluster, relay: Relay) -> None:
    """Seeded bytes are no tar file."""
    peer = cluster.peer(profile="harper-5.1")
    record = relay.deploy(to=[peer], events=True)[peer]
    assert record.status == "failed"
    assert record.reason
    assert peer.upload.answer_status == 200
