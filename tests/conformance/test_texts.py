"""One table of texts through each place of an answer and of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deploy_relay_kit.harness import Answer, EventStream, FakeCluster
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.faults.events import Event
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_field, text_of
from deploy_relay_kit.harness.targets import Record

TEXTS = {
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "beyond the basic plane": "\U0001f680\U0010fffd",
    "joined": "\U0001f468\u200d\U0001f469",
    "from right to left": "\u202eabc\u05d0",
    "line separators": "a\u2028b\u2029c\u0085d",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "nul": "a\0b",
    "blanks at both ends": " \t\u00a0\u3000text\u3000\u00a0\t ",
    "byte order mark": "\ufefftext",
    "no characters": "\ufffd\ufffe\uffff\U0001fffe\ufdd0",
    "private characters and tags": "\ue000\U000f0000\U000e0067\U000e007f",
    "colours": "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "escapes": "\\u0041 \\n %41 &amp; \\ / \"'`",
    "looks like json": '{"a":[1,null]}',
    "looks like null": "null",
    "looks like a number": "1e3",
    "empty": "",
}
MORE_TEXTS = {
    "runs of blanks": "a  b\t\tc   ",
    "a path": "<package.tar.gz",
    "an option": "--data @-",
    "a media type": "a;type=text/plain",
    "a date": "2026-01-02T03:04:05Z",
    "line ends": "a\r\nb\nc\rd",
    "300 characters": "0123456789" * 30,
    "200,001 characters": "0123456789" * 20_000 + "x",
    "a date with an offset": "2026-01-02T03:04:05+00:00",
    "a list": '["a", 1.50]',
    "an object": '{"b": 1, "a": "\\u00e9"}',
    "true": "true",
    "a number": "007",
    "signs": "a+b%20c $HOME ~ #x ?y &z",
    "quotes": '"a"',
    "half of a quote": '"a',
}
"""More texts of a request, which senders with a command line, a form or a cache change."""
NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "length", "0", " a ", "A", "a"]
MEMBERS = {"texts": TEXTS, **{name: f"value of {name}" for name in NAMES}}
RecordsOf = Callable[..., list[Record]]


OF_BYTES = {"RES-01": "HTTP-05", "SSE-09": "HTTP-05", "FLD-04": "WIRE-12"}
"""The requirement about characters outside ASCII, beside that of any text."""


def check_members(check: Checks, requirement: str, members: Any) -> None:
    """Look at each text and each name apart, so that a failure names what was changed."""
    texts = members.get("texts")
    check.need(isinstance(texts, dict), "the object in the answer is not in the record")
    composed = texts.get("composed")
    is_garbled = composed not in (TEXTS["composed"], TEXTS["decomposed"])
    for name, text in TEXTS.items():
        with check(requirement, f"a text with {name}"):
            if other := not text.isascii() and is_garbled and OF_BYTES.get(requirement):
                raise Unseen(f"every character outside ASCII is another one ({other})")
            assert texts.get(name) == text
    for name in NAMES:
        with check(requirement, f'the member "{name}"'):
            assert members.get(name) == MEMBERS[name]


def test_texts_and_names_of_an_answer_are_kept(records_of: RecordsOf, check: Checks) -> None:
    """Every text and every name of an answer is in the record, unchanged."""
    [record] = records_of(Answer(json=MEMBERS))
    check.need(record.status == "success", "the record is not that of a success")
    check_members(check, "RES-01", record.members)


def test_texts_and_names_of_a_result_are_kept(records_of: RecordsOf, check: Checks) -> None:
    """Every text and every name in the result of the event done is in the record, unchanged."""
    [record] = records_of(EventStream((Event("done", {"result": MEMBERS}),)), events=True)
    check.need(record.status == "success", "the event done is not read (SSE-09)")
    check_members(check, "SSE-09", record.members)


def test_escaped_texts_of_an_answer_are_kept(records_of: RecordsOf, check: Checks) -> None:
    """An answer in ASCII, with every other character escaped, is read the same way."""
    body = json.dumps(MEMBERS)
    [record] = records_of(Answer(body=body, content_type="application/json"))
    check.need(record.status == "success", "the record is not that of a success")
    check_members(check, "RES-01", record.members)


def test_a_text_of_a_refusal_is_its_reason(records_of: RecordsOf, check: Checks) -> None:
    """The error of a refusal is the reason, unchanged; an empty one gives the status."""
    refusals = [Answer.error(500, text) for text in TEXTS.values()]
    plain, *records = records_of(Answer.error(500, "pl\u00e4in"), *refusals)
    for (name, text), record in zip(TEXTS.items(), records, strict=True):
        with check("RES-06", f"the reason of a refusal with a text with {name}"):
            check.need(plain.reason == "pl\u00e4in", "that of a simple refusal is not its text")
            assert record.reason == (text or "HTTP 500")


def test_a_text_of_an_error_event_is_its_reason(records_of: RecordsOf, check: Checks) -> None:
    """The message of the event error is the reason, unchanged."""
    texts = {**TEXTS, "lines": " first\nsecond \n"}
    events = [
        EventStream((Event("error", {"message": it}),)) for it in ["pl\u00e4in", *texts.values()]
    ]
    plain, *records = records_of(*events, events=True)
    for (name, text), record in zip(texts.items(), records, strict=True):
        with check("SSE-09", f"the reason of an error event with a text with {name}"):
            check.need(plain.reason == "pl\u00e4in", "that of a simple one is not its message")
            assert record.status == "failed"
            assert record.reason == text or not text
    with check("RES-02", "the status code of an error event that names one beside its code"):
        data = {"message": "no", "code": "E1", "status": 503, "statusCode": 418}
        (record,) = records_of(EventStream((Event("error", data),)), events=True)
        assert record.status_code is None


def test_texts_in_nested_json_of_a_request_are_kept(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Every text and every name inside a member with an object arrives unchanged."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": MEMBERS})
    need_field(peer, "note")
    try:
        sent = json.loads(peer.upload.fields["note"])
    except ValueError:
        sent = None
    check.need(isinstance(sent, dict), "the member is not sent as a JSON object (WIRE-06)")
    check_members(check, "FLD-04", sent)


def test_every_text_arrives_as_it_is(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Every text arrives unchanged, whatever it looks like."""
    texts, peer = {**TEXTS, **MORE_TEXTS}, cluster.peer()
    relay.deploy(to=[peer], request={f"text {n}": it for n, it in enumerate(texts.values())})
    with check("FLD-04", "the uploads of a request with these texts"):
        assert len(peer.uploads) == 1
    for number, (what, text) in enumerate(texts.items()):
        with check("FLD-04", f"a text with {what}"):
            assert text_of(peer, f"text {number}", text) == text.encode()
