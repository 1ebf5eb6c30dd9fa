"""The format of event streams, production by production: what is an event and what is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

import pytest

from deploy_relay_kit.harness import Answer
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import Record

RecordsOf = Callable[..., list[Record]]
MESSAGE = "Successfully deployed: demo"
DONE = f'event: done\ndata: {{"result":{{"message":"{MESSAGE}"}}}}\n\n'
DATA = DONE.partition("\n")[2]
REFUSED = '{"message":"must not count"}'
SEPARATORS = "a\u2028b\u2029c\x85d\ufeffe"
"""What some libraries take for line ends or blanks; JSON and event streams do not."""
NO_REASON = "the error text of a simple refusal is not the reason either (RES-06)"
TOKENS = ["{", '"result"', ":", "{", '"message"', ":", json.dumps(MESSAGE), "}", "}"]


def stream(text: str | bytes, media_type: str = "text/event-stream") -> Answer:
    return Answer(body=text, content_type=media_type, chunk_size=4_000)


def records(records_of: RecordsOf, check: Checks, texts: Iterable[str | bytes]) -> list[Record]:
    """The records of streams with these texts; Unseen if a plain stream is not read."""
    plain, *others = records_of(*map(stream, [DONE, *texts]), events=True)
    read = (plain.status, plain.members.get("message"))
    check.need(read == ("success", MESSAGE), "the record of a plain stream is not its success")
    return others


# -- streams that are read like a plain one ------------------------------------------------------

SKIPPED: Mapping[str, tuple[str, str | bytes]] = {
    "comments of every form": (
        "SSE-03",
        f":\n::\n: \n:event: error\n:data: {REFUSED}\n\n: data: {REFUSED}\n\n",
    ),
    "a comment that looks like the event error": ("SSE-03", f":event: error\ndata: {REFUSED}\n\n"),
    "fields with capitals": ("SSE-06", f"Event: error\nDATA: {REFUSED}\n\n"),
    "fields after a blank": ("SSE-06", f" event: error\n data: {REFUSED}\n\n"),
    "fields before a blank": ("SSE-06", f"event : error\ndata : {REFUSED}\n\n"),
    "fields with longer names": ("SSE-06", f"events: error\ndatas: {REFUSED}\n\n"),
    "the event ERROR": ("SSE-06", f"event: ERROR\ndata: {REFUSED}\n\n"),
    "the event errors": ("SSE-06", f"event: errors\ndata: {REFUSED}\n\n"),
    "the event error after two blanks": ("SSE-06", f"event:  error\ndata: {REFUSED}\n\n"),
    "the event error after a tab": ("SSE-06", f"event:\terror\ndata: {REFUSED}\n\n"),
    "an event whose id is error": ("SSE-06", f"id: error\ndata: {REFUSED}\n\n"),
    "an event with the data error": ("SSE-06", "event: phase\ndata: error\n\n"),
    "events whose data has an error": (
        "SSE-06",
        "".join(
            f'event: {it}\ndata: {{"status":"failed","code":500,"error":"must not count"}}\n\n'
            for it in ("phase", "install", "_recorder_finished", "unknown")
        ),
    ),
    "two names, of which the last counts": (
        "SSE-06",
        f"event: error\nevent: a\ndata: {REFUSED}\n\n",
    ),
    "an event with bytes that are no UTF-8": ("SSE-06", b"event: install\ndata: caf\xe9 \xff\n\n"),
    "an event with a NUL": ("SSE-06", "event: install\ndata: a\0b\n\n"),
    "an event of 5,000 lines": ("SSE-06", "event: install\n" + "data: a line\n" * 5_000 + "\n"),
    "3,000 events": ("SSE-06", 'event: install\ndata: {"line":"added"}\n\n' * 3_000),
    "a name that an empty one follows": ("SSE-06", f"event: error\nevent:\ndata: {REFUSED}\n\n"),
    "an id with a NUL and times of every form": (
        "SSE-06",
        "id: a\0b\nretry: 0\nretry: -1\nretry: soon\nretry: 99999999999\nid\n\n",
    ),
    "events with names of a failure": (
        "SSE-06",
        "".join(
            f"event: {it}\ndata: {REFUSED}\n\n"
            for it in ("failure", "failed", "exception", "fatal", "abort", "warning", "timeout")
        ),
    ),
    "fields of an event of none": ("SSE-06", "id\nretry\nevent\nother\n:\n\n"),
    "empty lines": ("SSE-06", "\n" * 50),
}
"""The requirement, and what stands before `done` in a stream and must change nothing."""


def test_what_is_no_event_of_a_result_changes_nothing(records_of: RecordsOf, check: Checks) -> None:
    """A stream with comments, unknown fields, names and bytes before `done` is read as without."""
    texts = [
        before + DONE.encode() if isinstance(before, bytes) else before + DONE
        for _, before in SKIPPED.values()
    ]
    found = records(records_of, check, texts)
    for (name, (id_, _)), record in zip(SKIPPED.items(), found, strict=True):
        with check(id_, f"the status of the record, with {name}"):
            assert record.status == "success"
        with check(id_, f"the message of the record, with {name}"):
            check.need(record.status == "success", "the record is not a success")
            assert record["message"] == MESSAGE


# -- forms of the event done ---------------------------------------------------------------------

FORMS = {
    "a tab after the colon of its data": ("SSE-17", DONE.replace("data: ", "data:\t"), MESSAGE),
    "a line of one blank": ("SSE-17", DONE.replace("\n", "\n \n", 1), MESSAGE),
    "a line of data without a colon": ("SSE-17", DONE.replace("\n", "\ndata\n", 1), MESSAGE),
    "an id between its lines": ("SSE-06", DONE.replace("\n", "\nid: 7\nretry: 1\nx\n", 1), MESSAGE),
    "a comment between its lines": ("SSE-03", DONE.replace("\n", "\n:\n: c\n", 1), MESSAGE),
    "a line of data for each token": (
        "SSE-04",
        "event: done\n" + "".join(f"data: {it}\n" for it in TOKENS) + "\n",
        MESSAGE,
    ),
    "empty lines of data around": ("SSE-04", f"event: done\ndata:\n{DATA[:-1]}data: \n\n", MESSAGE),
    "characters that end lines elsewhere": (
        "SSE-17",
        DONE.replace(MESSAGE, SEPARATORS),
        SEPARATORS,
    ),
    "data of two lines that is no JSON": (
        "SSE-04",
        "event: done\ndata: one\ndata: two\n\n",
        "one\ntwo",
    ),
    "data with an empty line in its middle": (
        "SSE-04",
        "event: done\ndata: one\ndata:\ndata: \ndata: two\n\n",
        "one\n\n\ntwo",
    ),
    "data with lines without a colon": (
        "SSE-04",
        "event: done\ndata: one\ndata\ndata\ndata: two\n\n",
        "one\n\n\ntwo",
    ),
    "data of a split number": (
        "SSE-04",
        'event: done\ndata: {"message":"split","a":1\ndata: 2}\n\n',
        '{"message":"split","a":1\n2}',
    ),
    "data with other blanks before it": ("SSE-17", "event: done\ndata:\xa0a\n\n", "\xa0a"),
    "data with blanks at both ends": ("SSE-17", "event: done\ndata:  a b \n\n", " a b "),
    "data with colons": ("SSE-17", "event: done\ndata:a: b:c\n\n", "a: b:c"),
    "an event without a name after it": (
        "SSE-06",
        DONE + 'data: {"result":{"message":"other"}}\n\n',
        MESSAGE,
    ),
    "the event install after it": (
        "SSE-06",
        DONE + 'event: install\ndata: {"result":{"message":"other"}}\n\n',
        MESSAGE,
    ),
    "controls in its data": (
        "SSE-17",
        "event: done\ndata: a\x0bb\x0cc\x1cd\n\n",
        "a\x0bb\x0cc\x1cd",
    ),
}
"""The requirement, a stream, and the message of its record."""
TEXTS = [message for _, text, message in FORMS.values() if "{" not in text or "split" in text]


def test_the_event_done_is_read_in_every_form(records_of: RecordsOf, check: Checks) -> None:
    """The event `done` has any lines around its data.

    What becomes of data that is no JSON is left to the relay, but it shows no other text.
    """
    found = records(records_of, check, [text for _, text, _ in FORMS.values()])
    for (name, (id_, _, message)), record in zip(FORMS.items(), found, strict=True):
        with check("SSE-09", f"the status of the record, with {name}"):
            assert record.status == "success"
        with check(id_, f"the message of the record, with {name}"):
            check.need(record.status == "success", "the record is not a success (SSE-09)")
            shown = record.members.get("message", record.members.get("result"))
            assert shown in ((message, None) if message in TEXTS else (message,))


NOT_DONE = {
    "the event DONE": DONE.replace("done", "DONE"),
    "the event done2": DONE.replace("done", "done2"),
    "the event done after two blanks": DONE.replace("done", " done"),
    "the event done after a tab": DONE.replace(" done", "\tdone"),
    "an event without a name": DATA,
    "an event done with a blank after its name": DONE.replace("done\n", "done \n"),
    "an event without a name that has a message": f'data: {{"message":"{MESSAGE}"}}\n\n',
    "the event message": f'event: message\ndata: {{"message":"{MESSAGE}"}}\n\n',
    "the event result": DONE.replace("done", "result"),
    "an event with an empty name": DONE.replace("done", ""),
    "the field Event": DONE.replace("event", "Event"),
    "the field events": DONE.replace("event", "events"),
    "a blank before the field": f" {DONE}",
    "a blank after the field": DONE.replace("event", "event "),
    "a comment": f":{DONE}",
    "the id done": DONE.replace("event", "id"),
    "a later name": DONE.replace("\n", "\nevent: phase\n", 1),
    "a later name that is empty": DONE.replace("\n", "\nevent:\n", 1),
    "a later name without a colon": DONE.replace("\n", "\nevent\n", 1),
    "the data done": "event: phase\ndata: done\n\n",
    "phases that are done": "".join(
        f'event: phase\ndata: {{"phase":"{phase}","status":"{status}","message":"{MESSAGE}"}}\n\n'
        for phase in (
            "install",
            "load",
            "deploy",
            "restart",
            "replicate",
            "finish",
            "complete",
            "done",
        )
        for status in ("done", "success")
    ),
    "events with names of an end": "".join(
        f'event: {name}\ndata: {{"result":{{"message":"{MESSAGE}"}}}}\n\n'
        for name in ("complete", "completed", "end", "finish", "finished", "success", "close")
    ),
    "a peer that succeeded": f'event: peer\ndata: {{"status":"success","message":"{MESSAGE}"}}\n\n',
}


def test_what_only_resembles_the_event_done_is_no_success(
    records_of: RecordsOf, check: Checks
) -> None:
    """A stream whose last event only resembles `done` is a failure."""
    found = records(records_of, check, NOT_DONE.values())
    for name, record in zip(NOT_DONE, found, strict=True):
        with check("SSE-16", f"the status of the record of a stream that ends with {name}"):
            assert record.status == "failed"


# -- the event error -----------------------------------------------------------------------------

NO_STATUS = [0, 7, 99, 600, 999, -500, "500", " 500", "", True, False, None, [500], {"a": 500}]


def test_only_a_number_of_http_is_the_status_of_an_error_event(
    records_of: RecordsOf, check: Checks
) -> None:
    """A `code` of an event `error` from 100 to 599 is its status code, and nothing else is."""
    codes = [100, 200, 204, 299, 302, 404, 503, 599, *NO_STATUS]
    events = [
        f"event: error\ndata: {json.dumps({'message': 'no', 'code': it})}\n\n" for it in codes
    ]
    for code, record in zip(codes, records(records_of, check, events), strict=True):
        with check("SSE-09", f"the reason of the record, with the code {json.dumps(code)}"):
            if record.status == "failed" and record.reason != "no":
                (boom,) = records_of(Answer.error(500, "boom"))
                check.need(boom.reason == "boom", NO_REASON)
            assert (record.status, record.members.get("reason")) == ("failed", "no")
        with check("RES-02", f"the status code of the record, with the code {json.dumps(code)}"):
            check.need(record.status == "failed", "the record is not a failure (SSE-09)")
            allowed = [None, *([code] if code not in NO_STATUS else [])]
            assert record.status_code in allowed


# -- what is a stream ----------------------------------------------------------------------------

NO_STREAMS = [
    *("text/event-streams", "text/event", "text/event-stream-2", "application/event-stream"),
    *("text/plain; is=text/event-stream", 'application/json; note="text/event-stream"'),
]
A_STREAM = [
    *("text/event-stream;charset=utf-8", "TEXT/EVENT-STREAM", "text/event-stream ; charset=UTF-8"),
    *('text/event-stream; charset="utf-8"', "text/event-stream;"),
]


@pytest.mark.parametrize("events", [True, False])
def test_a_stream_is_known_by_its_media_type_alone(
    records_of: RecordsOf, relay: Relay, check: Checks, *, events: bool
) -> None:
    """An answer is a stream if its media type is that of streams, and otherwise is not."""
    reads_streams = "events" in relay.target.capabilities
    plain = '{"message":"no stream"}'
    answers = [stream(plain, it) for it in NO_STREAMS] + [stream(DONE, it) for it in A_STREAM]
    usual, *found = records_of(stream(DONE), *answers, events=events)
    is_read = usual.members.get("message") == MESSAGE
    for media_type, record in zip([*NO_STREAMS, *A_STREAM], found, strict=True):
        if media_type in NO_STREAMS:
            with check("RES-01", f"the message of an answer of the type {media_type}"):
                assert record.members.get("message") == "no stream"
        elif reads_streams:
            with check("RES-13", f"the message of a stream of the type {media_type}"):
                check.need(is_read, "a plain stream is not read")
                assert record.members.get("message") == MESSAGE
