"""Names, texts and JSON on the wire, to the byte: what other senders trim, escape or sort."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    as_utf_8,
    names_of,
    need_field,
    need_upload,
    need_value,
    text_of,
)


@pytest.mark.parametrize("value", ["plain", "", '"in quotes"'], ids=repr)
def test_a_text_is_forwarded_raw(
    cluster: FakeCluster, relay: Relay, check: Checks, value: str
) -> None:
    """A member with a text is forwarded, and its text is not put in quotes."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown": value})
    same = text_of(peer, "unknown", value) == value.encode()
    with check("FLD-04", "the text of the field unknown"):
        assert text_of(peer, "unknown", value) == value.encode()
    with check("WIRE-06", "the form of the text"):
        check.need(same, "another text is sent, or none (FLD-04)")
        assert peer.upload.fields["unknown"] == value.encode()


VALUES = [
    (True, b"true"),
    (False, b"false"),
    (60, b"60"),
    (-1.5, b"-1.5"),
    (0, b"0"),
    (1_234_567, b"1234567"),
    (1_234_567.25, b"1234567.25"),
    (["a", "b"], b'["a","b"]'),
    ({"a": 1, "b": None}, b'{"a":1,"b":null}'),
    (["ü", "☃ 🚀"], '["ü","☃ 🚀"]'.encode()),
    (["\x80\x9f\xa0\xad"], '["\x80\x9f\xa0\xad"]'.encode()),
    ([], b"[]"),
    ({}, b"{}"),
    ({"b": 1, "a": {"Big": [None], "c_d": 2}}, b'{"b":1,"a":{"Big":[null],"c_d":2}}'),
]


def test_any_other_value_is_forwarded_as_compact_json(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A member with a value that is not a text is forwarded, as compact JSON."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={f"unknown-{n}": v for n, (v, _) in enumerate(VALUES)})
    with check("FLD-04", "the uploads of a request with these values"):
        assert len(peer.uploads) == 1
    for number, (_, wire) in enumerate(VALUES):
        name, shown = f"unknown-{number}", wire.decode()
        with check("FLD-04", f"the names of the fields, among them that of the value {shown}"):
            assert name in names_of(peer)
        sent = peer.upload.fields.get(name, b"")
        with check("FLD-04", f"the value {shown}"):
            check.need(meaning(sent), "the value is not JSON (WIRE-06)")
            assert meaning(sent) == meaning(wire)
        with check("WIRE-06", f"the form of the value {shown}"):
            check.need(meaning(sent) in ("", meaning(wire)), "another value is sent (FLD-04)")
            check.need(name in names_of(peer), "the value is not sent (FLD-04)")
            check.need(sent == sent.decode(errors="replace").encode(), "it is not UTF-8 (WIRE-12)")
            assert sent == wire


def meaning(value: bytes) -> str:
    """A JSON value in one form, the members of objects in their order; empty for another text."""
    try:
        return json.dumps(json.loads(value, parse_float=_number), ensure_ascii=False)
    except ValueError:
        return ""


def _number(text: str) -> float:
    """A number in one form: 60.0 and 6e1 are 60."""
    number = float(text)
    return int(number) if number.is_integer() else number


def test_null_is_sent_as_the_text_null(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A member with the value null is sent as the text null."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown": None, "note": "of the request"})
    with check("WIRE-07", "the value of the field unknown"):
        need_field(peer, "note")
        assert peer.upload.fields.get("unknown") == b"null"


def test_a_lone_surrogate_becomes_the_replacement_character(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A lone surrogate in a text is sent as U+FFFD.

    A lone surrogate has no form in UTF-8; a pair of surrogates is one character.
    """
    peer = cluster.peer()
    text = "a\ud800b"
    relay.deploy(to=[peer], request={"note": text})
    need_upload(cluster, relay, {"note": "a character"})
    with check("WIRE-12", "the text of the field note"):
        assert text_of(peer, "note", text) == as_utf_8(text)


def test_a_name_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A name with characters outside ASCII is sent in UTF-8."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"größe": "value", "note": "of the request"})
    with check("WIRE-12", "the names of the fields"):
        need_field(peer, "note")
        assert "größe" in list(peer.upload.fields)


def test_a_lone_surrogate_in_a_name_becomes_the_replacement_character(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A lone surrogate in the name of a field is sent as U+FFFD."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"a\ud800b": "value"})
    need_upload(cluster, relay, {"note": "value"})
    with check("WIRE-12", "the names of the fields"):
        assert "a\ufffdb" in names_of(peer)


NAMES = ["a\\b", "50%20", "a'b;c=d", "<a&b>"]


def test_nothing_in_a_name_is_escaped(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """The other characters in the name of a field are not escaped."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request=dict.fromkeys(NAMES, "value"))
    need_upload(cluster, relay, {"note": "value"})
    with check("WIRE-10", "the names that are not sent as they are"):
        assert [name for name in NAMES if name not in names_of(peer)] == []


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        *(("FLD-04", text) for text in (" in spaces\t", "a\0b", "\ufeffmarked", "e\u0301")),
        *(("FLD-04", text) for text in ("@package.tar.gz", "2026-01-02T03:04:05Z")),
        *(("WIRE-11", text) for text in ("a line\n", "\r\n")),
        *(("WIRE-11", text) for text in ("<b>&amp;</b>", "a%20b+c", "$HOME `id` \\n")),
    ],
    ids=lambda it: it if it in {"FLD-04", "WIRE-11"} else ascii(it),
)
def test_a_text_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay, check: Checks, requirement: str, text: str
) -> None:
    """A text arrives unchanged: with its spaces and line breaks, and without escapes."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": text})
    need_upload(cluster, relay, {"note": "plain"})
    if not text.isascii():
        need_value(cluster, relay, "☃", "☃")
    with check(requirement, "the text of the field note"):
        assert text_of(peer, "note", text) == text.encode()


def test_json_means_what_the_request_said(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The texts inside JSON arrive unchanged.

    The relay may escape characters of ASCII there, as JSON allows.
    """
    escaped, texts = ["<b>&amp;</b>", "a/b", 'say "no"'], ["2026-01-02T03:04:05Z", " x\n"]
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"notes": [*escaped, *texts]})
    value = peer.upload.fields["notes"]
    with check("WIRE-06", "the value of the field notes"):
        assert meaning(value), f"expected JSON, got {value.decode(errors='replace')}"
    arrived = json_list(check, value)
    with check("FLD-04", "the number of texts in the field notes"):
        assert len(arrived) == 5
    with check("WIRE-11", "the texts that other senders escape"):
        assert arrived[:3] == escaped
    with check("FLD-04", "the texts that other senders change"):
        check.need(len(arrived) == 5, "the value has not five texts")
        assert arrived[3:] == texts


UNESCAPED = [*"\ufeff\u200b\u200d\u2060\xad\ue000\ufffd\uffff\U000e0067\U0010ffff"]


def test_line_separators_in_json_are_not_escaped(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No character outside ASCII is escaped in JSON, as U+2028 is by some."""
    peer = cluster.peer()
    others = {f"note-{n}": [f"x{it}"] for n, it in enumerate(UNESCAPED)}
    relay.deploy(to=[peer], request={"notes": ["a\u2028b\u2029c", "\xfc"], **others})
    value = peer.upload.fields["notes"]
    with check("WIRE-06", "the line separators in the field notes"):
        check.need("\xfc".encode() in value, "every character outside ASCII is escaped")
        assert "a\u2028b\u2029c".encode() in value, "expected them as they are, got escapes"
    for number, character in enumerate(UNESCAPED):
        with check("WIRE-06", f"the character {character!a} in JSON"):
            sent = peer.upload.fields[f"note-{number}"]
            check.need(json_list(check, sent) == [f"x{character}"], "it is another text (FLD-04)")
            assert sent == f'["x{character}"]'.encode()


def json_list(check: Checks, value: bytes) -> list[Any]:
    """A value that is a list in JSON; Unseen when it is not."""
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    check.need(isinstance(read, list), "the value is not a list in JSON (WIRE-06)")
    return read if isinstance(read, list) else []


def test_a_lone_surrogate_inside_json_is_sent_as_an_escape_or_replaced(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A lone surrogate inside JSON is sent as an escape or as U+FFFD.

    To send nothing to any peer is as good.
    """
    peer = cluster.peer()
    text = "a\ud800b"
    outcome = relay.deploy(to=[peer], request={"notes": [text]})
    need_upload(cluster, relay, {"notes": ["a character"]})
    with check("WIRE-12", "the texts in the field notes"):
        check.need(peer.requests or outcome.fails(peer), f"{peer.name} saw no request")
        if peer.requests:
            value = peer.upload.fields["notes"]
            assert json_list(check, value) in ([text], [as_utf_8(text).decode()])
