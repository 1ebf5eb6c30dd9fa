from __future__ import annotations

import json
import math
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit.relay import cbor
from deploy_relay_kit.relay.request import decoded
from tests.relay.test_formdata import JSON_VALUES

DEEP = 5_000


def test_the_bytes_before_the_file_are_exactly_these() -> None:
    frame = cbor.encode({"operation": "deploy_component", "replicated": False}, 70_000)
    assert frame.content_type == "application/cbor"
    assert frame.head == (
        b"\xa3\x69operation\x70deploy_component\x6areplicated\xf4\x67payload\x5a\x00\x01\x11\x70"
    )
    assert frame.tail == b""


@pytest.mark.parametrize(
    ("value", "wire"),
    [  # from RFC 8949 appendix A
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (100, "1864"),
        (1000, "1903e8"),
        (1_000_000, "1a000f4240"),
        (1_000_000_000_000, "1b000000e8d4a51000"),
        (-1, "20"),
        (-1000, "3903e7"),
        (1.1, "fb3ff199999999999a"),
        (-4.1, "fbc010666666666666"),
        (1.0e300, "fb7e37e43c8800759c"),
        (math.inf, "fb7ff0000000000000"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        ("", "60"),
        ("IETF", "6449455446"),
        ("ü", "62c3bc"),
        ([], "80"),
        ([1, [2, 3]], "8201820203"),
        ({}, "a0"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        # of our own
        (1.0, "01"),
        (-0.0, "fb8000000000000000"),
        (1 << 53, "1b0020000000000000"),
        ((1 << 53) + 2, "fb4340000000000001"),
        ("\ud83d", "63efbfbd"),
    ],
)
def test_values_and_their_bytes(value: object, wire: str) -> None:
    assert cbor.encoded(value).hex() == wire


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not a JSON value"):
        cbor.encoded({"a": {1}})


def test_a_value_nested_deeper_than_the_stack_of_python_is_encoded() -> None:
    value: Any = 1
    for _ in range(DEEP):
        value = [value]
    assert cbor.encoded(value) == b"\x81" * DEEP + b"\x01"


@pytest.mark.parametrize("size", [1, 23, 24, 255, 256, 65_535, 65_536])
def test_the_file_is_the_last_member(size: int) -> None:
    frame = cbor.encode({"project": "demo"}, size)
    read = cbor2.loads(frame.head + b"x" * size)
    assert read == {"project": "demo", "payload": b"x" * size}
    assert list(read)[-1] == "payload"


def test_a_file_over_four_gibibytes_has_a_longer_head() -> None:
    assert cbor.encode({}, 1 << 32).head.endswith(bytes.fromhex("5b0000000100000000"))


@given(st.dictionaries(st.text(max_size=30), JSON_VALUES, max_size=9))
def test_a_field_means_what_a_newer_node_reads_from_a_form(fields: dict[str, object]) -> None:
    fields.pop("payload", None)
    read = cbor2.loads(cbor.encode(fields, 3).head + b"abc")
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
    }
    assert read == {**{name: decoded(text) for name, text in texts.items()}, "payload": b"abc"}


@given(JSON_VALUES)
def test_another_library_reads_what_was_encoded(value: object) -> None:
    read = cbor2.loads(cbor.encoded(value))
    assert read == json.loads(json.dumps(value), parse_int=float)
