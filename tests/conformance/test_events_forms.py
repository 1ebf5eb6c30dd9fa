"""The forms in which peers, proxies and later versions write a stream and its last event."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import pytest

from deploy_relay_kit.harness import (
    Answer,
    CloseWithoutAnswer,
    Event,
    EventStream,
    FakeCluster,
    Slices,
    failure_events,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import Record

RecordsOf = Callable[..., list[Record]]
MESSAGE = "Successfully deployed: demo"
DONE = Event("done", {"result": {"message": MESSAGE}})
PLAIN = EventStream((DONE,))
NOT_READ = "the control, a stream with the event done, is not the success that it reports"


def test_every_attempt_requests_a_stream(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A later attempt has the same Accept as the first."""
    peer = cluster.peer(fault=in_turn(Answer(503), CloseWithoutAnswer(), None))
    relay.deploy(to=[peer], events=True, limits=THRICE)
    check.need(len(peer.uploads) > 1, "the relay made no second attempt (RTY-02)")
    for number, upload in enumerate(peer.uploads, 1):
        with check("SSE-01", f"the Accept of upload {number}"):
            assert "text/event-stream" in (upload.header("accept") or "")


@pytest.mark.parametrize(
    "data",
    [{"message": ""}, {"code": 500}, "no JSON", '"disk full"', '["disk full"]', "null", "0", ""],
    ids=["empty", "none", "text", "quoted", "list", "null", "zero", "no-data"],
)
def test_an_error_event_of_any_form_is_a_failure_with_a_reason(
    records_of: RecordsOf, check: Checks, data: object
) -> None:
    """An error event without a message is a failure, and its record has a reason."""
    record, plain = records_of(EventStream((Event("error", data), DONE)), PLAIN, events=True)
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("KIT-07", "the reason of the record"):
        check.need(record.status == "failed", "the record is not a failure (RES-13)")
        assert record["reason"] != ""


def test_a_message_that_is_an_object_is_readable(records_of: RecordsOf, check: Checks) -> None:
    """An error event whose message is an object has the message of this object as its reason."""
    data = {"message": {"message": "disk full", "errno": 28}}
    record, plain = records_of(EventStream((Event("error", data), DONE)), PLAIN, events=True)
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("RES-08", "the reason of the record"):
        assert "disk full" in record.reason


DONE_DATA = ["no JSON", *({"result": it} for it in (None, ["a"], "deployed", 0, False, []))]


def test_a_done_event_of_any_form_is_a_success(records_of: RecordsOf, check: Checks) -> None:
    """The event done is a success, whatever its data is, and its result is that of the record."""
    streams = [EventStream((Event("done", it),)) for it in DONE_DATA]
    plain, *records = records_of(PLAIN, *streams, events=True)
    check.need(plain.status == "success", NOT_READ)
    for data, record in zip(DONE_DATA, records, strict=True):
        with check("SSE-09", f"the status of the record, with the data {data}"):
            assert record.status == "success"
        if isinstance(data, dict):
            with check("RES-04", f"the result in the record, with the data {data}"):
                check.need(record.status == "success", "the record is not a success (SSE-09)")
                found = record.members.get("result", record.members.get("message"))
                assert (found, type(found)) == (data["result"], type(data["result"]))


def test_a_long_line_of_a_stream_is_read_whole(records_of: RecordsOf, check: Checks) -> None:
    """A line of 72 kB is read, and an error text of this length is the whole reason.

    Some readers of lines give up at 64 KiB.
    """
    text = "npm ERR! " * 8_000 + "the end"
    events = (Event("install", {"line": text}), *failure_events(text))
    record, plain = records_of(
        EventStream(events, chunk_size=5_000), EventStream(failure_events("disk full")), events=True
    )
    check.need(plain.reason == "disk full", "a short error text is not the reason either (SSE-09)")
    with check("SSE-09", "the status of the record"):
        assert record.status == "failed"
    with check("SSE-09", "the reason of the record"):
        is_cut = record.reason != text and text.startswith(record.reason)
        check.need(not is_cut, "the reason is the beginning of the text (RES-07)")
        assert record.reason == text
    with check("RES-07", "the length of the reason, which is no raw body"):
        check.need(text.startswith(record.reason[:99]), "the reason is another text (SSE-09)")
        assert len(record.reason) >= len(text)


def test_a_stream_has_any_status_of_a_success(records_of: RecordsOf, check: Checks) -> None:
    """An error event is a failure also in a stream with the status 201, 203 or 299."""
    heads = [Answer(it, content_type="text/event-stream", chunk_size=1) for it in (201, 203, 299)]
    streams = [EventStream(failure_events("disk full"), head=head) for head in heads]
    plain, *records = records_of(EventStream((DONE,), head=heads[0]), *streams, events=True)
    check.need(plain.status == "success", NOT_READ)
    for head, record in zip(heads, records, strict=True):
        with check("RES-13", f"the status of the record of a stream with {head.status}"):
            assert record.status == "failed"
        with check("SSE-09", f"the reason of the record of a stream with {head.status}"):
            assert record.reason == "disk full"


def test_data_of_several_lines_is_joined(records_of: RecordsOf, check: Checks) -> None:
    """The lines of the data of one event are joined with LF."""
    error = 'event: error\ndata: {"message":\ndata: "npm failed",\ndata: "code": 500}\n\n'
    one_line = 'event: error\ndata: {"message": "npm failed", "code": 500}\n\n'
    record, plain = records_of(EventStream((error,)), EventStream((one_line,)), events=True)
    check.need(plain.reason == "npm failed", "the reason is not the message of the error (SSE-09)")
    with check("SSE-04", "the reason of the record"):
        assert record.reason == "npm failed"


@pytest.mark.parametrize("outcome", ["success", "failed"])
def test_a_stream_is_read_the_same_way_however_it_is_split(
    records_of: RecordsOf, check: Checks, outcome: str
) -> None:
    """A stream makes the same record with LF or CRLF, and split at any byte."""
    text = "line one ☃\nline two 🚀"
    last = Event("done", {"result": {"message": text}})
    events = (last,) if outcome == "success" else failure_events(text)
    ends: tuple[Literal["\n", "\r\n"], ...] = ("\n", "\r\n")
    forms = [(end, size) for end in ends for size in (None, 1, 7, 100_000)]
    streams = [EventStream(events, end, size) for end, size in forms]
    plain, *records = records_of(EventStream(events), *streams, events=True)
    check.need(plain.status == outcome, f"the control, with LF and not split, is not {outcome}")
    member = "message" if outcome == "success" else "reason"
    words = str(plain.members.get(member))
    check.need(words.startswith("line one"), f"the {member} of the control is not its text")
    with check("HTTP-05", f"the {member} of the control"):
        assert "☃" in words
    for (end, size), record in zip(forms, records, strict=True):
        chunks = f"{size:,} bytes in a chunk" if size else "no chunks"
        form = f"with {'LF' if len(end) == 1 else 'CRLF'} and {chunks}"
        with check("SSE-17", f"the status of the record, {form}"):
            assert record.status == outcome
        with check("SSE-17", f"the {member} of the record, {form}"):
            assert record[member] == plain[member]


def test_a_character_may_arrive_in_parts(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A character whose bytes arrive one after another is read whole, in a stream and in JSON."""
    text = "\u2603\U0001f680" * 5
    answers: dict[str, Answer | EventStream] = {
        "a stream": EventStream((Event("done", {"result": {"message": text}}),)),
        "JSON": Answer(body=json.dumps({"message": text}, ensure_ascii=False)),
        "a text": Answer(body=text, content_type="text/plain"),
    }
    events = "events" in relay.target.capabilities
    if not events:
        del answers["a stream"]
    whole = [cluster.peer(fault=answer) for answer in answers.values()]
    parts = [cluster.peer(fault=(it, Slices(5, pause=0.003))) for it in answers.values()]
    outcome = relay.deploy(to=[*whole, *parts], events=events)
    for what, control, peer in zip(answers, whole, parts, strict=True):
        with check("SSE-17" if what == "a stream" else "HTTP-05", f"the message of {what}"):
            check.need(outcome[control].members.get("message") == text, f"{what} is not read")
            assert outcome[peer].members.get("message") == text


def test_the_last_event_needs_no_blank_line_after_it(records_of: RecordsOf, check: Checks) -> None:
    """The last event of a stream counts also without a blank line after it."""
    record, plain = records_of(EventStream((DONE.record().rstrip("\n"),)), PLAIN, events=True)
    check.need(plain.members.get("message") == MESSAGE, NOT_READ)
    with check("SSE-17", "the status of the record"):
        assert record.status == "success"
    with check("SSE-17", "the message of the record"):
        assert record["message"] == MESSAGE


@pytest.mark.parametrize(
    "form",
    [
        "event:done\ndata:{data}\n\n",
        "data: {data}\nevent: done\n\n",
        "id: 7\nevent: done\nretry: 5\n: still here\ndata: {data}\n\n",
        "event: phase\nevent: done\ndata: {data}\n\n",
        "other: 1\nother\n:\nevent: done\ndata: {data}\ndata-of: 1\n\n",
        "\n\n\nevent: done\ndata: {data}\n\n\n\n",
        "event: done\r\ndata: {data}\r\n\r\n",
        "event: done\r\ndata: {data}\n\r\n",
    ],
    ids=[
        *("no-space", "name-last", "more-lines", "two-names", "unknown-fields", "empty-lines"),
        *("crlf", "both-line-ends"),
    ],
)
def test_an_event_is_read_in_every_form_of_a_stream(
    records_of: RecordsOf, check: Checks, form: str
) -> None:
    """An event is read without a space after its colons, with its name last, or with more lines."""
    event = form.replace("{data}", '{"result":{"message":"Successfully deployed: demo"}}')
    record, plain = records_of(EventStream((event,)), PLAIN, events=True)
    check.need(plain.members.get("message") == MESSAGE, NOT_READ)
    with check("SSE-09", "the status of the record"):
        assert record.status == "success"
    with check("SSE-09", "the message of the record"):
        assert record["message"] == MESSAGE


@pytest.mark.parametrize(
    "header",
    [
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Content-Type", "Text/Event-Stream"),
        ("content-type", "text/event-stream;charset=UTF-8"),
        ("CONTENT-TYPE", "text/event-stream"),
    ],
    ids=": ".join,
)
def test_the_media_type_of_a_stream_may_have_parameters_and_capitals(
    records_of: RecordsOf, check: Checks, header: tuple[str, str]
) -> None:
    """A stream is recognised by its media type, with parameters and in any case."""
    head = Answer(headers=(header,), chunk_size=1)
    record, plain = records_of(
        EventStream(failure_events("disk full"), head=head), PLAIN, events=True
    )
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("SSE-09", "the reason of the record"):
        assert record.reason == "disk full"


REFUSALS = {
    "usual": 'data: {"error":"token expired"}\n\n',
    "no space": 'data:{"error":"token expired"}\n\n',
    "CRLF": 'data: {"error":"token expired"}\r\n\r\n',
    "two lines of data": 'data: {"error":\ndata: "token expired"}\n\n',
    "no end": 'data: {"error":"token expired"}',
}


def test_a_refusal_as_an_event_is_read_in_every_form(records_of: RecordsOf, check: Checks) -> None:
    """The reason of a refusal that is written as an event is its text, in any form of events."""
    others = (400, 403, 413, 500, 503)
    answers = [Answer(401, body=it) for it in REFUSALS.values()]
    answers += [Answer(status, body=REFUSALS["usual"]) for status in others]
    answers += [Answer(403, body='data: {"message":"token expired"}\n\n')]
    usual, *records = records_of(*answers, events=True)
    check.need(usual.reason == "token expired", "a refusal as an event is not read (SSE-18)")
    forms = [*REFUSALS][1:] + [f"the status {it}" for it in others] + ["a message alone"]
    for what, record in zip(forms, records, strict=True):
        with check("SSE-18", f"the reason of a refusal as an event with {what}"):
            assert record.reason == "token expired"
