"""How peers, and later ones, may write the end of an event stream: it is one in every form."""

from __future__ import annotations

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.events import Event, EventStream, failure_events
from harness.faults.kinds import Fault
from harness.judge.cases.relay import Relay
from harness.targets import Record

requirement = pytest.mark.requirement

DONE = Event("done", {"result": {"message": "Successfully deployed: demo"}})


def record_of(cluster: FakeCluster, relay: Relay, fault: Fault) -> Record:
    peer = cluster.peer(fault=fault)
    return relay.deploy(to=[peer], events=True)[peer]


@requirement("SSE-09", "RES-08", "RES-13")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"message": {"message": "disk full", "errno": 28}}, "disk full"),
        ({"message": ""}, ""),
        ({"code": 500}, ""),
        ("no JSON", ""),
    ],
    ids=["object", "empty", "none", "text"],
)
def test_an_error_event_of_any_form_is_a_failure_with_a_reason(
    cluster: FakeCluster, relay: Relay, data: object, words: str
) -> None:
    record = record_of(cluster, relay, EventStream((Event("error", data), DONE)))
    assert record.status == "failed"
    assert record.reason
    assert words in record.reason


@requirement("SSE-09", "SSE-20")
@pytest.mark.parametrize(
    "data", ["no JSON", {"result": None}, {"result": ["a"]}, {"result": "deployed"}], ids=str
)
def test_a_done_event_of_any_form_is_a_success(
    cluster: FakeCluster, relay: Relay, data: object
) -> None:
    assert record_of(cluster, relay, EventStream((Event("done", data),))).status == "success"


@requirement("SSE-17", "SSE-09")
def test_a_long_line_of_a_stream_is_read_whole(cluster: FakeCluster, relay: Relay) -> None:
    """Some readers of lines give up at 64 KiB."""
    text = "npm ERR! " * 8_000 + "the end"
    events = (Event("install", {"line": text}), *failure_events(text))
    record = record_of(cluster, relay, EventStream(events, chunk_size=5_000))
    assert (record.status, record.reason) == ("failed", text)


@requirement("SSE-02", "RES-13")
def test_a_stream_has_any_status_of_a_success(cluster: FakeCluster, relay: Relay) -> None:
    head = Answer(201, content_type="text/event-stream", chunk_size=1)
    record = record_of(cluster, relay, EventStream(failure_events("disk full"), head=head))
    assert (record.status, record.reason) == ("failed", "disk full")
