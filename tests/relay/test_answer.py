from __future__ import annotations

import pytest

from deploy_relay_kit.relay.answer import (
    Answer,
    failure_reason,
    proxy_without_early_answers,
    readable,
    success_members,
)
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.report import Report, failed_record, success_record


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, '{"error":"boom"}', "boom"),
        (500, '{"message":"mm"}', "mm"),
        (500, '{"error":"e","message":"mm"}', "e"),
        (500, '{"error":null,"message":"mm"}', "mm"),
        (500, '{"error":"","message":"mm"}', "HTTP 500"),
        (500, '{"other":1}', '{"other":1}'),
        (500, "", "HTTP 500"),
        (302, "", "HTTP 302"),
        (408, "", "HTTP 408"),
        (502, "<h1>" + "x" * 300, "<h1>" + "x" * 196),
        (500, "null", "null"),
        (500, '"quoted"', '"quoted"'),
        (500, "[1]", "[1]"),
        (500, '{"error":42}', "42"),
        (500, " \n\t", "HTTP 500"),
        (500, '{"error":" ","message":"x"}', "HTTP 500"),
        (500, '{"error":"half \\ud800 of a pair"}', "half \ufffd of a pair"),
        (500, '{"error":"\\ud83d\\ude80"}', "🚀"),
        (500, '{"error":false}', "false"),
        (500, '{"error":{"message":"inner"}}', "inner"),
        (500, '{"error":{"code":7}}', '{"code":7}'),
        (500, '{"error":["é"]}', '["é"]'),
        (500, '{"error":"' + "long" * 100 + '"}', "long" * 100),
        (500, "🚀" * 150, "🚀" * 100),
        (500, "a" + "🚀" * 150, "a" + "🚀" * 99),
        (500, "[" * 100_000, "[" * 200),
        (500, '{"error":NaN}', '{"error":NaN}'),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_the_reason_of_a_refusal(status: int, body: str, reason: str) -> None:
    assert failure_reason(Answer(status, body.encode())) == reason


def test_a_body_that_is_not_utf_8_is_still_a_reason() -> None:
    assert failure_reason(Answer(500, b"\xff no")) == "\ufffd no"


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b'{"message":"ok","x":[1]}', {"message": "ok", "x": [1]}),
        (b'{"error":"still a success"}', {"error": "still a success"}),
        (b"", {"message": ""}),
        (b"done\n", {"message": "done\n"}),
        (b"[1,2]", {"result": [1, 2]}),
        (b'"text"', {"result": "text"}),
        (b"null", {"result": None}),
        (b"7", {"result": 7}),
        (b"[" * 99 + b"]" * 99, {"result": eval("[" * 99 + "]" * 99)}),
        (b"[" * 500 + b"]" * 500, {"message": "[" * 500 + "]" * 500}),
    ],
)
@pytest.mark.parametrize("status", [200, 204, 299])
def test_the_members_of_a_success(status: int, body: bytes, members: dict[str, object]) -> None:
    assert success_members(Answer(status, body)) == members


@pytest.mark.parametrize("status", [199, 300, 304, 400, 500])
def test_any_other_status_is_a_failure(status: int) -> None:
    with pytest.raises(PeerError) as failure:
        success_members(Answer(status, b'{"error":"no"}'))
    assert failed_record("n", [failure.value]) == {
        "node": "n",
        "status": "failed",
        "reason": "no",
        "statusCode": status,
        "stage": "answer",
    }


def test_no_member_holds_half_a_character() -> None:
    """It cannot be written to a file, with the records of all other nodes."""
    body = b'{"\\uDC00":["a\\udfff",1e3,"\\ud83d\\ude80"],"b":null}'
    members = success_members(Answer(200, body))
    assert members == {"\ufffd": ["a\ufffd", 1e3, "🚀"], "b": None}


def test_values_of_msgpack_are_readable_or_named() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert readable({b"bytes": 1}) == readable(deep) == "a value that is not JSON"


def test_a_success_too_long_to_read_is_uncertain() -> None:
    with pytest.raises(PeerError) as failure:
        success_members(Answer(200, b"x" * 10, cut=True))
    assert failure.value.uncertain


def test_invalid_json_is_text() -> None:
    assert success_members(Answer(200, b'{"n": 1e999}')) == {"message": '{"n": 1e999}'}


def test_a_peer_cannot_set_members_of_the_relay() -> None:
    theirs = {"attempts": 9, "uncertain": True, "stage": "mint", "reason": "x", "statusCode": 1}
    assert success_record("n", {**theirs, "hint": "h", "message": "m", "error": "e"}) == {
        "node": "n", "status": "success", "message": "m", "error": "e",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words"), [(301, "redirects"), (404, "operations API"), (413, "proxy"), (500, None)]
)
def test_a_status_with_a_usual_cause_has_a_hint(status: int, words: str | None) -> None:
    record = failed_record("n", [PeerError("mint", "no", status_code=status)])
    assert ("hint" in record) is bool(words)
    assert words is None or words in record["hint"]


def test_node_and_status_come_from_the_relay() -> None:
    record = success_record("n", {"x": 1, "status": "failed", "node": "other"})
    assert list(record.items()) == [("node", "n"), ("status", "success"), ("x", 1)]


def test_a_report_succeeds_when_every_node_did() -> None:
    good, bad = success_record("a", {}), failed_record("b", [PeerError("connect", "no")])
    assert Report([good]).succeeded
    assert not Report([good, bad]).succeeded
    assert not Report([]).succeeded


@pytest.mark.parametrize(
    ("server", "proxy"),
    [
        ("nginx", "nginx"),
        ("nginx/1.22.1", "nginx"),
        ("openresty/1.21", "openresty"),
        ("Caddy", "caddy"),
        ("Apache/2.4.71", None),
        ("not nginx", None),
        ("", None),
        (None, None),
    ],
)
def test_proxies_that_spoil_early_answers(server: str | None, proxy: str | None) -> None:
    assert proxy_without_early_answers(server) == proxy
