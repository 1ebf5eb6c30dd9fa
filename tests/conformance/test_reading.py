"""Tables of bodies, each the answer of a peer of its own: what other readers change in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.harness import Answer, Event, EventStream
from deploy_relay_kit.harness.faults.broken_answers import ALMOST_JSON
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.wording import shown
from deploy_relay_kit.harness.targets import Record

RecordsOf = Callable[..., list[Record]]
DONE = Answer(json={"message": "done"})
BOOM = Answer.error(500, "boom")
NO_MEMBERS = "the record of a JSON object has none of its members either (RES-01)"
NO_REASON = "the error text of a simple refusal is not the reason either (RES-06)"

MESSAGES = {
    "nothing": "",
    "a line": "deployed\n",
    "HTML": "<p>fine</p>",
    "blanks": " \n\t ",
    "CRLF": "a\r\nb\r\n",
    "lines": "a\n\nb\n",
    "1,000 characters": "deployed! " * 100,
    "100,000 characters": "deployed! " * 10_000,
    "an object without its end": '{"message":"x"',
    **{f"the word {it}": it for it in ("TRUE", "NULL", "None")},
    **{f"the number {it}": it for it in ("007", "-01", "0x1f")},
    "two lines of JSON": '{"a":1}\n{"b":2}',
    "a name and a value": "message: deployed",
    "a comment": '{"a":1} // done',
    "an object and a NUL": '{"message":"x"}\0',
    "an object and a semicolon": '{"message":"x"};',
    "an object and a byte order mark": '{"message":"x"}\ufeff',
    "an object and a blank that JSON does not have": '{"message":"x"}\x0c\xa0',
    **{f"the word {it}": it for it in ("NaN", "Infinity", "-Infinity", "undefined")},
    **{f"almost JSON, {it}": it for it in ALMOST_JSON},
    **{f"no number, {it}": it for it in ("nan", "-inf", ".5", "5.", "1_000", "1e", "- 1", "1,5")},
    **{f"no list, {it}": it for it in ("[1,]", "[,1]", "[1] [2]", "[1 2]", '["\\x41"]', "['a']")},
}


def test_a_text_of_a_success_is_its_message(records_of: RecordsOf, check: Checks) -> None:
    """A success that is not JSON has the body as its message, unchanged and whole."""
    bodies = [Answer(body=it, content_type="text/plain") for it in MESSAGES.values()]
    control, *records = records_of(DONE, *bodies)
    check.need("message" in control, NO_MEMBERS)
    for (what, body), record in zip(MESSAGES.items(), records, strict=True):
        with check("RES-03", f"the message of a body with {what}"):
            assert record.members.get("message") == body


TYPES = [
    *("text/plain", "text/html; charset=iso-8859-1", "application/json; charset=latin-1"),
    *(
        'application/json; charset="windows-1252"',
        "text/json; charset=utf-16",
        "application/octets",
    ),
    None,
]


def test_a_body_is_utf_8_whatever_its_type_says(records_of: RecordsOf, check: Checks) -> None:
    """A body is UTF-8, also if its Content-Type names another charset."""
    text = "größe ☃"
    body = json.dumps({"message": text}, ensure_ascii=False)
    answers = [Answer(body=body, content_type=it) for it in TYPES]
    texts = [Answer(body=text, content_type=it) for it in TYPES]
    control, *records = records_of(DONE, *answers, *texts)
    check.need("message" in control, NO_MEMBERS)
    for content_type, record in zip([*TYPES, *TYPES], records, strict=True):
        with check("HTTP-05", f"the message of a body of the type {content_type}"):
            assert record.members.get("message") == text


OBJECTS = {
    "blanks around it": ' \r\n\t{"message":"x"} \n',
    "lines": '{\n  "message": "x"\n}\n',
    "100,000 characters": '{"message":"x","more":"%s"}' % ("y" * 100_000),
    "escapes": '{"m\\u0065ssage":"\\u0078"}',
    "every form of an escape": r'{"message":"x","a":"\u00E9\b\f\n\r\t\/\\\"\ud83d\uDE80\u0000"}',
    "every form of a number": '{"message":"x","a":[1E2,1e+2,1e-2,-0,1.50,12345678901234567890]}',
    "characters of every kind": '{"message":"x","a":"\x7f\x80\x9f\u2028\ufeff\uffff\U0001f680"}',
}


def test_an_object_is_read_in_every_layout(records_of: RecordsOf, check: Checks) -> None:
    """An object is read with blanks and line ends around it, of any length, and with escapes."""
    bodies = [Answer(body=it, content_type="application/json") for it in OBJECTS.values()]
    control, *records = records_of(DONE, *bodies)
    check.need("message" in control, NO_MEMBERS)
    for what, record in zip(OBJECTS, records, strict=True):
        with check("RES-01", f"the message of an object with {what}"):
            assert record.members.get("message") == "x"


MEMBERS: dict[str, Any] = {
    "id": 4_294_967_296,
    "when": 1_767_225_600_123,
    "large": 9_007_199_254_740_994,
    "negative": -7,
    "ratio": 0.123456789,
    "price": 12.5,
    "exponent": 1e-7,
    "seventeen digits": [0.30000000000000004, {"a": 1_234_567_890.1234567}],
    "limits of a double": [5e-324, 1.7976931348623157e308],
    **{name: f"of {name!r}" for name in ("Node", "STATUS", "Reason", "statuscode", "node ", "")},
    "deep": json.loads("[" * 40 + '{"a":1}' + "]" * 40),
    "deep objects": json.loads('{"a":' * 40 + "1" + "}" * 40),
    "twenty-one digits": 10**20,
    "own members inside": {"node": "x", "status": "failed", "reason": "r", "list": [{"stage": 1}]},
    "yes": True,
    "digits": "007",
    "text of true": "true",
    "long": "x" * 5_000,
    "success": False,
    "replicated": [{"node": "n9", "status": "failed"}],
    "data": {"message": "inner", "a": 1},
    "result": {"message": "inner", "b": 2},
    "results": {"c": 3},
    "a.b": 1,
    "empty": {},
    "nothing": "",
    "null": None,
    "a text of JSON": '{"a":[1]}',
    "lines": "a\nb",
    "_hidden": 1,
    " blanks ": 1,
    "camelCase": {"innerCase": 1},
    "UPPER": 1,
    "list": list(range(500)),
    "code": "E1",
    "detail": None,
    **{f"more {n}": n for n in range(40)},
}


def test_every_value_of_an_answer_is_kept(records_of: RecordsOf, check: Checks) -> None:
    """Every value and every name of a success is in its record; nothing is added."""
    [record] = records_of(Answer(json=MEMBERS))
    check.need(record.status == "success", "the record is not that of a success")
    for name, value in MEMBERS.items():
        with check("RES-01", f'the member "{name}" of the record'):
            kept = record.members.get(name)
            assert (kept, type(kept) is bool) == (value, type(value) is bool)
    with check("RES-01", "a member that the answer does not have"):
        assert "message" not in record.members


OBJECTS_OF_DONE: list[dict[str, Any]] = [
    {"message": {"a": 1}},
    {"message": 5},
    {"message": None, "more": None},
    {"message": ""},
    {"message": " done\n"},
    {"message": "done", "deployment_id": 5},
    {"message": "done", "error": None},
    {"message": "done", "error": False},
    {"message": "done", "error": ""},
    {"message": "done", "error": {"message": "old"}, "code": 500},
    {"message": "done", "success": False, "ok": False, "failed": True},
    {"message": "done", "failed_peers": ["n1"], "replicated": [{"status": "failed"}]},
    {"message": "done", "result": {"message": "inner"}, "results": []},
    {"message": "done", "inner": {"node": "x", "status": "failed", "reason": "r", "stage": 1}},
    {"message": "done", "no": False, "zero": 0, "list": [], "map": {}, "big": 2**53 + 2},
    {},
]


@pytest.mark.parametrize("events", [False, True])
def test_an_object_of_a_success_is_kept_whatever_it_says(
    records_of: RecordsOf, check: Checks, *, events: bool
) -> None:
    """A success is one whatever its object says, which is kept, also as the result of `done`."""
    objects = [{"message": "x"}, *OBJECTS_OF_DONE]
    answers: list[Answer | EventStream]
    answers = [EventStream((Event("done", {"result": it}),)) for it in objects]
    if not events:
        statuses = itertools.cycle([200, 201, 202, 299])
        answers = [Answer(status, json=it) for status, it in zip(statuses, objects, strict=False)]
    control, *records = records_of(*answers, events=events)
    check.need(control.members.get("message") == "x", NO_MEMBERS)
    for members, record in zip(OBJECTS_OF_DONE, records, strict=True):
        with check("RES-14", f"the status of the record of {json.dumps(members)}"):
            assert record.status == "success"
        with check("SSE-09" if events else "RES-01", f"the members of {json.dumps(members)}"):
            check.need(record.status == "success", "the record is not a success (RES-14)")
            kept = {name: record.members.get(name, "absent") for name in members}
            assert meaning(kept) == meaning(members)


def meaning(value: Any) -> str:
    """A value as JSON in which each number is a double, and members have no order."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)


RESULTS: list[Any] = [
    *(["a", 1], [], "text", 5, 0, True, False, None, [["a"]], [{"a": 1}], [1, [2, [3]]], ["a"]),
    *("{}", 0.5, -1, [None], [[]]),
]


def test_a_success_that_is_no_object_is_the_result(records_of: RecordsOf, check: Checks) -> None:
    """A success whose JSON is no object is the result, as deep as it is."""
    control, *records = records_of(DONE, *(Answer(json=it) for it in RESULTS))
    check.need("message" in control, NO_MEMBERS)
    for value, record in zip(RESULTS, records, strict=True):
        with check("RES-04", f"the result of a body {json.dumps(value)}"):
            result = record.members.get("result", "no result")
            is_same = result == value and (type(result) is bool) == (type(value) is bool)
            got = shown(result) if "result" in record.members else "no member result"
            assert is_same, f"expected {json.dumps(value)} as the result, got {got}"


REASONS: list[tuple[str, str, str]] = [
    ("RES-06", "", "HTTP 500"),
    ("RES-06", '{"error":"boom"}', "boom"),
    ("RES-06", '{"error":" b&amp;w\\n","message":"m"}', " b&amp;w\n"),
    ("RES-06", '{"error":"é☃🚀 \\"q\\" <b>"}', 'é☃🚀 "q" <b>'),
    ("RES-06", '{"error":"","message":"m"}', "HTTP 500"),
    ("RES-06", '{"message":"mm"}', "mm"),
    ("RES-06", '{"error":null,"message":null}', '{"error":null,"message":null}'),
    ("RES-06", "<h1>Bad\nGateway</h1>\n", "<h1>Bad\nGateway</h1>\n"),
    ("RES-09", "null", "null"),
    ("RES-09", '{"error":42}', "42"),
    ("RES-06", '{"error":"e","message":"m"}', "e"),
    ("RES-06", '{"message":"m","error":"e"}', "e"),
    ("RES-06", '{"Error":"e","MESSAGE":"m"}', '{"Error":"e","MESSAGE":"m"}'),
    ("RES-06", '{"title": "t", "detail": "d"}', '{"title": "t", "detail": "d"}'),
    ("RES-06", '{"error_description": "d"}', '{"error_description": "d"}'),
    ("RES-06", '{"description": "d"}', '{"description": "d"}'),
    ("RES-06", '{"errors": ["e"]}', '{"errors": ["e"]}'),
    ("RES-06", '{"reason": "r", "status": 400}', '{"reason": "r", "status": 400}'),
    ("RES-06", '{ "b" : 1,\n"a":2 }', '{ "b" : 1,\n"a":2 }'),
    ("RES-06", '{"error":"\\u001b[31mred\\u001b[0m  wide"}', "\x1b[31mred\x1b[0m  wide"),
    ("RES-06", '{"error":"x","code":400}', "x"),
    ("RES-06", '{"error":"x","statusCode":400,"status":401}', "x"),
    ("RES-07", '{"other":"' + "o" * 300 + '"}', '{"other":"' + "o" * 190),
    ("RES-07", '["' + "o" * 300 + '"]', '["' + "o" * 198),
    ("RES-07", "word " * 39 + "a word over the end", "word " * 39 + "a wor"),
    ("RES-07", "first\nsecond\n" * 9, "first\nsecond\n" * 9),
    ("RES-07", "x" * 199, "x" * 199),
    ("RES-07", "x" * 200, "x" * 200),
    ("RES-07", '{"message":"' + "m" * 3_000 + '"}', "m" * 3_000),
    ("RES-08", '{"error":{"message":"' + "d" * 3_000 + '"}}', "d" * 3_000),
    ("RES-07", '{"error":"' + "long " * 4_000 + '"}', "long " * 4_000),
    ("RES-07", '{"error":{"a":"' + "e" * 3_000 + '"}}', '{"a":"' + "e" * 3_000 + '"}'),
    ("RES-08", '{"error":{"b":1,"a":"ü"}}', '{"b":1,"a":"ü"}'),
    ("RES-08", '{"error":{"message":5}}', '{"message":5}'),
    ("RES-08", '{"error":{"message":null,"code":7}}', '{"message":null,"code":7}'),
    ("RES-08", '{"error":{}}', "{}"),
    ("RES-08", '{"error":[]}', "[]"),
    ("RES-08", '{"error":{"error":"e"}}', '{"error":"e"}'),
    ("RES-08", '{"error":{"detail":"d","code":7}}', '{"detail":"d","code":7}'),
    ("RES-08", '{"error":[{"message":"m"}]}', '[{"message":"m"}]'),
    ("RES-08", '{"message":{"message":"deep"}}', "deep"),
    ("RES-09", '{"error":false}', "false"),
    ("RES-09", '{"error":true}', "true"),
    ("RES-09", '{"error":-1.5}', "-1.5"),
    ("RES-09", '[{"error":"e"}]', '[{"error":"e"}]'),
    ("RES-09", '"in \\"quotes\\""', '"in \\"quotes\\""'),
    ("RES-09", "false", "false"),
]


def test_the_reason_of_a_refusal_is_that_of_its_body(records_of: RecordsOf, check: Checks) -> None:
    """The reason is the error, else the message, else the body; the status is not in the body."""
    bodies = [Answer(500, body=it, content_type="application/json") for _, it, _ in REASONS]
    control, *records = records_of(BOOM, *bodies)
    check.need(control.reason == "boom", NO_REASON)
    for (requirement, body, reason), record in zip(REASONS, records, strict=True):
        with check(requirement, f"the reason of a refusal with the body {body[:60]!r}"):
            if requirement == "RES-07":
                other = "another text is the reason, not only more or less of it (RES-06)"
                check.need(record.reason[:20] == reason[:20], other)
            assert record.reason == reason
    with check("RES-05", "the status codes of the records"):
        assert {record.status_code for record in records} == {500}
