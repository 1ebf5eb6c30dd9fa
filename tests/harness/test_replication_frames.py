"""The messages of the replication socket as bytes: the example of WS-21, and every width."""

from __future__ import annotations

import json

import pytest

from deploy_relay_kit.harness.replication.frames import (
    NotAControlMessage,
    as_text,
    pack,
    parse,
    redacted,
    response,
)
from tests.websocketclient import REQUEST, REQUEST_MAP16


@pytest.mark.parametrize(("map16", "wire"), [(False, REQUEST), (True, REQUEST_MAP16)])
def test_the_bytes_of_ws_21_are_made(*, map16: bool, wire: bytes) -> None:
    message = [136, {"operation": "create_authentication_tokens", "requestId": 1}]
    assert pack(message, map16=map16) == wire


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("92 cc88 df00000001 a161 01", {"a": 1}),  # map32
        ("dc0002 cc88 81 a161 01", {"a": 1}),  # array16
        ("92 cd0088 81 a161 cf0000000000000001", {"a": 1}),  # uint16, uint64
        ("92 cc88 81 a161 d40000", {"a": None}),  # undefined
        ("92 cc88 81 01 c0", {1: None}),
        ("92 cc88 81 a161 cb4200000000000000", {"a": 8589934592.0}),
        ("91 cc88", None),
    ],
)
def test_any_width_is_read(wire: str, value: object) -> None:
    assert parse(bytes.fromhex(wire)) == (136, value)


def test_nested_maps_are_wide_too() -> None:
    wire = response(1, {"results": [{"a": {}}]}, map16=True)
    assert parse(wire) == (137, {"results": [{"a": {}}], "requestId": 1})
    assert wire.count(b"\xde\x00") == 3


@pytest.mark.parametrize(
    "wire", ["", "c1", "92cc88", "91cc8800", "93", "80", "88", "90", "91a161", "91c3", "81a1ff01"]
)
def test_what_is_no_control_message(wire: str) -> None:
    with pytest.raises(NotAControlMessage):
        parse(bytes.fromhex(wire))


def test_credentials_are_cut_out_at_any_depth() -> None:
    body = {"Password": "p", "results": [{"operation_token": "t", "n": 1}], "token": 7, 3: "x"}
    shown = {
        "Password": "(redacted)",
        "results": [{"operation_token": "(redacted)", "n": 1}],
        "token": 7,
        3: "x",
    }
    assert redacted(body) == shown
    assert json.loads(as_text(body)) == {str(name): it for name, it in shown.items()}


def test_a_message_is_shown_as_bounded_json() -> None:
    assert as_text({"a": b"\0" * 1_500, b"n": None, "t": True}) == (
        '{"a": "1,500 bytes", "n": null, "t": true}'
    )
    assert len(as_text({"a": "x" * 60_000})) < 1_000
