"""Event streams: the parser, the outcome of a stream, and deploys that are answered in events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import events as fake
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import Event, EventStream
from deploy_relay_kit.harness.faults.kinds import AnswerEarly, CloseWithoutAnswer, StopReadingAfter
from deploy_relay_kit.relay.answer import Answer as Answered
from deploy_relay_kit.relay.answer import StreamedAnswer, failure_reason, is_event_stream
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser
from tests.relay.driving import deploy, node_of

VECTORS = [
    ("event: a\ndata: 1\n\n", [("a", "1")]),
    ("event:a\ndata:1\n\n", [("a", "1")]),
    ("event: a\r\ndata: 1\r\n\r\n", [("a", "1")]),
    ("data: 1\nevent: a\n\n", [("a", "1")]),
    (": stream open\n\nevent: a\ndata: 1\n\n", [("a", "1")]),
    ("event: a\n: a comment\ndata: 1\n\n", [("a", "1")]),
    ("event: a\ndata: 1\n", [("a", "1")]),
    ("event: a\ndata: 1", [("a", "1")]),
    ("event: a\ndata: 1\ndata: 2\n\n", [("a", "1\n2")]),
    ("event: a\ndata: 1\ndata:\ndata: 2\n\n", [("a", "1\n\n2")]),
    ("data: 1\n\n", [("message", "1")]),
    ("event: a\n\n", [("a", "")]),
    ("event: a\ndata\n\n", [("a", "")]),
    ("id: 7\n\nretry: 3\n\n", []),
    ("event: a\ndata:  two spaces\n\n", [("a", " two spaces")]),
    ("event: a\ndata: x: y\n\n", [("a", "x: y")]),
    ("event: ü\ndata: 🚀é\n\n", [("ü", "🚀é")]),
    ("event: a\ndata: 1\n\n\n\nevent: b\ndata: 2\n\n", [("a", "1"), ("b", "2")]),
    ("", []),
    ("\n\n\n", []),
]


def parsed(blocks: Iterable[bytes]) -> list[tuple[str, str]]:
    parser = EventParser()
    found = [record for block in blocks for record in parser.feed(block)]
    return [*found, *parser.end()]


@pytest.mark.parametrize(("text", "records"), VECTORS, ids=lambda value: ascii(value)[:30])
def test_records_whole_and_byte_by_byte(text: str, records: list[tuple[str, str]]) -> None:
    data = text.encode()
    assert parsed([data]) == records
    assert parsed(data[at : at + 1] for at in range(len(data))) == records
    for at in range(len(data)):
        assert parsed([data[:at], data[at:]]) == records


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.text())),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_what_a_peer_writes_is_read_back_at_any_split(
    written: list[tuple[str, str]], line_end: str, choice: st.DataObject
) -> None:
    written = [(name, text.replace("\r", "")) for name, text in written]
    data = "".join(Event(name, text).record() for name, text in written)
    wire = data.replace("\n", line_end).encode("utf-8", "replace")
    cuts = sorted(choice.draw(st.lists(st.integers(0, len(wire)))))
    blocks = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert parsed(blocks) == [
        (name, text.encode("utf-8", "replace").decode()) for name, text in written
    ]


def test_invalid_utf_8_is_replaced() -> None:
    assert parsed([b"event: a\ndata: \xff\n\n"]) == [("a", "\ufffd")]


def outcome(*events: Event | str, longest: int = 1_000) -> Any:
    """The members of a stream's success, or what was raised."""
    stream = StreamedAnswer(longest)
    text = "".join(event if isinstance(event, str) else event.record() for event in events)
    try:
        list(stream.feed(text.encode()))
        return stream.end()
    except PeerError as failure:
        return failure.reason, failure.status_code, failure.uncertain


DONE = Event("done", {"result": {"message": "fine", "x": 1}})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((DONE,), {"message": "fine", "x": 1}),
        ((Event("done", {"result": [1]}),), {"result": [1]}),
        ((Event("done", {"message": "bare"}),), {"message": "bare"}),
        ((Event("done", "in words"),), {"message": "in words"}),
        ((Event("done", ""),), {"message": ""}),
        (("event: done\ndata: {}",), {}),
        ((Event("unknown", {"error": "of no concern"}), "data: x\n\n", DONE), DONE.data["result"]),
        ((Event("error", {"message": "no", "code": 409}),), ("no", 409, False)),
        ((Event("error", {"message": "no", "code": "ERR_X"}),), ("no", None, False)),
        ((Event("error", {"message": "no", "code": 7}),), ("no", None, False)),
        ((Event("error", {"message": "no", "code": True}),), ("no", None, False)),
        ((Event("error", {"message": {"message": "in"}}),), ("in", None, False)),
        ((Event("error", "in words"),), ("in words", None, False)),
        ((Event("error", ""),), ("the peer reported an error without a text", None, False)),
        (("data: bare\n\n", 'data: {"error":"old peer"}\n\n'), ("old peer", None, False)),
        ((DONE, Event("error", {"message": "after all"})), ("after all", None, False)),
        ((Event("error", {"message": "no"}), DONE), ("no", None, False)),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_the_outcome_of_a_stream(events: tuple[Event | str, ...], expected: Any) -> None:
    assert outcome(*events) == expected


@pytest.mark.parametrize("events", [(), (Event("phase", {"phase": "success"}),), (": open\n\n",)])
def test_a_stream_without_an_outcome_is_an_uncertain_failure(events: tuple[Event, ...]) -> None:
    reason, status, uncertain = outcome(*events)
    assert "ended without a result" in reason
    assert (status, uncertain) == (None, True)


def test_an_endless_event_is_a_failure() -> None:
    reason, *_ = outcome("data: " + "x" * 2_000)
    assert "longer than 1000 bytes" in reason
    for line in ("data: xxxxxxxxxx\n", "data:\n", "event: x\n"):
        reason, _, uncertain = outcome(*[line] * 200)
        assert "longer than 1000 bytes" in reason
        assert uncertain


def test_comments_and_complete_events_have_no_limit() -> None:
    assert outcome(*[": alive\n"] * 200, *[Event("x", "y" * 800)] * 200, DONE) == {
        "message": "fine",
        "x": 1,
    }


@pytest.mark.parametrize("early", [True, False])
def test_an_event_too_long_is_uncertain_when_all_was_sent(
    cluster: FakeCluster, package: Path, *, early: bool
) -> None:
    os.truncate(package, 16_000_000)
    stream = EventStream((Event("x", "y" * 1_000_000),), after_upload=not early)
    cluster.peer(fault=AnswerEarly(stream) if early else stream)
    [record] = deploy(cluster, package, limits=relay.Limits(answer_bytes=10_000)).records
    assert "longer than 10000 bytes" in str(record["reason"])
    assert record.get("uncertain", False) is not early


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('data: {"error":"invalid token"}\n\n', "invalid token"),
        ('data: {"error":{"message":"deep"}}', "deep"),
        ('event: error\ndata: {"message":"mm","code":400}\n\n', "mm"),
        (': stream open\n\ndata: {"error":"late"}\n\n', "late"),
        ("data: in words\n\n", "in words"),
        ("data:\n\n", "data:\n\n"),
    ],
)
def test_a_refusal_in_a_frame_is_readable(body: str, reason: str) -> None:
    assert failure_reason(Answered(401, body.encode())) == reason


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, "text/event-stream", True),
        (200, "Text/Event-Stream; charset=utf-8", True),
        (200, "application/json", False),
        (200, "", False),
        (401, "text/event-stream", False),
    ],
)
def test_which_answers_are_event_streams(status: int, content_type: str, *, expected: bool) -> None:
    assert is_event_stream(status, content_type) is expected


# -- whole deploys -------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("chunk_size", [None, 1])
def test_a_success_in_events(
    cluster: FakeCluster, package: Path, line_end: Any, chunk_size: int | None, *, ask: bool
) -> None:
    peer = cluster.peer(fault=EventStream(line_end=line_end, chunk_size=chunk_size))
    received: list[relay.Event] = []
    [record] = deploy(cluster, package, ask_for_events=ask, on_event=received.append).records
    assert record["status"] == "success"
    assert record["message"] == "Successfully deployed: demo"
    assert peer.upload.complete
    assert (peer.upload.header("accept") == "text/event-stream") is ask
    phases = [event.data for event in received if event.name == "phase"]
    assert phases[0] == {"phase": "prepare", "status": "start"}
    assert len(phases) == 5


def test_phases_arrive_during_the_upload(cluster: FakeCluster, package: Path) -> None:
    os.truncate(package, 16_000_000)
    line = {"manager": "npm", "stream": "stderr", "line": "naïve 🚀"}
    events = (Event("install", line), *fake.success_events())
    # Events during the upload must not end it.
    cluster.peer(fault=EventStream((events[0], *events[1:])))
    received: list[relay.Event] = []
    [record] = deploy(cluster, package, on_event=received.append).records
    assert record["status"] == "success"
    assert relay.Event("node-1", "install", line) in received


@pytest.mark.parametrize("then", ["drain", "stop", "close"])
def test_an_error_in_the_stream_ends_the_upload(
    cluster: FakeCluster, package: Path, then: Any
) -> None:
    os.truncate(package, 64_000_000)
    events = (Event("error", {"message": "'project' is required", "code": 400}),)
    stream = EventStream(events, after_upload=False)
    peer = cluster.peer(fault=AnswerEarly(stream, then=then))
    [record] = deploy(cluster, package, ask_for_events=True).records
    assert (record["reason"], record["statusCode"]) == ("'project' is required", 400)
    assert not peer.upload.complete


def test_done_before_the_upload_finished_is_a_failure(cluster: FakeCluster, package: Path) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=AnswerEarly(EventStream(after_upload=False), then="stop"))
    [record] = deploy(cluster, package, ask_for_events=True).records
    assert (record["status"], record["uncertain"]) == ("failed", True)


@pytest.mark.parametrize("truncated", [True, False])
def test_a_stream_without_a_result_is_an_uncertain_failure(
    cluster: FakeCluster, package: Path, *, truncated: bool
) -> None:
    cluster.peer(fault=EventStream(fake.success_events()[:-1], truncated=truncated))
    [record] = deploy(cluster, package).records
    assert (record["status"], record["uncertain"]) == ("failed", True)


def test_a_cut_after_done_changes_nothing(cluster: FakeCluster, package: Path) -> None:
    cluster.peer(fault=EventStream(truncated=True))
    assert deploy(cluster, package).succeeded


def test_a_refusal_of_a_deploy_that_asked_for_events_keeps_its_reason(
    cluster: FakeCluster, package: Path
) -> None:
    cluster.peer(fault=Answer(401, body='data: {"error":"invalid token"}\n\n'))
    cluster.peer(fault=Answer.error(403, "not you"))
    framed, plain = deploy(cluster, package, ask_for_events=True).records
    assert (framed["reason"], framed["statusCode"]) == ("invalid token", 401)
    assert (plain["reason"], plain["statusCode"]) == ("not you", 403)


def test_a_deploy_in_events_reaches_its_limits(cluster: FakeCluster, package: Path) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=StopReadingAfter(100_000))
    cluster.peer(fault=CloseWithoutAnswer())
    limits = relay.Limits(stall=0.5)
    stuck, gone = deploy(cluster, package, ask_for_events=True, limits=limits).records
    assert (stuck["stage"], gone["stage"]) == ("upload", "answer")


def test_the_token_is_in_no_event(cluster: FakeCluster, package: Path) -> None:
    token = 'a-"token"\\to-be-quoted'
    line = {"manager": "npm", "line": f"sent {token}", token: [token, json.dumps(token)]}
    stream = EventStream((Event("install", line), Event("done", {"result": line})))
    peer = cluster.peer(fault=AnswerEarly(stream, at="head"))
    received: list[relay.Event] = []
    nodes = [node_of(peer, mint=relay.GivenToken(token))]
    deploy(cluster, package, nodes, on_event=received.append)
    assert [event.name for event in received if event.name == "install"]
    for text in (str(received), json.dumps([str(event.data) for event in received])):
        assert "to-be-quoted" not in text
