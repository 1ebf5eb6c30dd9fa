"""The forms in which peers, and later versions of them, write the last event of a stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import Answer, Event, EventStream, failure_events
from harness.judge.cases.checks import Checks
from harness.targets import Record

RecordsOf = Callable[..., list[Record]]
DONE = Event("done", {"result": {"message": "Successfully deployed: demo"}})
PLAIN = EventStream((DONE,))
NOT_READ = "the control, a stream with the event done, is not a success either"


@pytest.mark.parametrize(
    "data", [{"message": ""}, {"code": 500}, "no JSON"], ids=["empty", "none", "text"]
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
        assert record.reason != ""


def test_a_message_that_is_an_object_is_readable(records_of: RecordsOf, check: Checks) -> None:
    """An error event whose message is an object has the message of this object as its reason."""
    data = {"message": {"message": "disk full", "errno": 28}}
    record, plain = records_of(EventStream((Event("error", data), DONE)), PLAIN, events=True)
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("RES-08", "the reason of the record"):
        assert "disk full" in record.reason


@pytest.mark.parametrize(
    "data", ["no JSON", {"result": None}, {"result": ["a"]}, {"result": "deployed"}], ids=str
)
def test_a_done_event_of_any_form_is_a_success(
    records_of: RecordsOf, check: Checks, data: object
) -> None:
    """The event done is a success, whatever its data is."""
    record, plain = records_of(EventStream((Event("done", data),)), PLAIN, events=True)
    check.need(plain.status == "success", NOT_READ)
    with check("SSE-09", "the status of the record"):
        assert record.status == "success"


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


def test_a_stream_has_any_status_of_a_success(records_of: RecordsOf, check: Checks) -> None:
    """An error event is a failure also in a stream with the status 201."""
    head = Answer(201, content_type="text/event-stream", chunk_size=1)
    plain_stream = EventStream((DONE,), head=head)
    record, plain = records_of(
        EventStream(failure_events("disk full"), head=head), plain_stream, events=True
    )
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("SSE-09", "the reason of the record"):
        assert record.reason == "disk full"
