from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit.relay import formdata

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


def test_the_bytes_around_the_file_are_exactly_these() -> None:
    fields = {"operation": "deploy_component", "restart": True, "note": "a\r\n--b\r\n"}
    form = formdata.encode(fields, boundary="b")
    assert form.content_type == "multipart/form-data; boundary=b"
    assert form.head == (
        b'--b\r\nContent-Disposition: form-data; name="operation"\r\n\r\ndeploy_component\r\n'
        b'--b\r\nContent-Disposition: form-data; name="restart"\r\n\r\ntrue\r\n'
        b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\na\r\n--b\r\n\r\n'
        b'--b\r\nContent-Disposition: form-data; name="payload"; filename="package.tar.gz"\r\n'
        b"Content-Type: application/gzip\r\n\r\n"
    )
    assert form.tail == b"\r\n--b--\r\n"


def test_every_body_has_its_own_boundary() -> None:
    types = {formdata.encode({}).content_type for _ in range(100)}
    assert len(types) == 100
    assert all(
        re.fullmatch(r"multipart/form-data; boundary=-{4}HarperMultipart[0-9a-f]{24}", type_)
        for type_ in types
    )


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("text", b"text"),
        ("", b""),
        ('"quoted"', b'"quoted"'),
        ("naïve 🚀", "naïve 🚀".encode()),
        ("lone \ud83d end", b"lone \xef\xbf\xbd end"),
        ("\ud83d\ude80", "🚀".encode()),
        (None, b"null"),
        (True, b"true"),
        (False, b"false"),
        (1, b"1"),
        (-1.5, b"-1.5"),
        (["a", "é"], '["a","é"]'.encode()),
        ({"a": {"b": None}}, b'{"a":{"b":null}}'),
        (["\ud83d"], b'["\\ud83d"]'),
        (["\x01\n"], b'["\\u0001\\n"]'),
    ],
    ids=ascii,
)
def test_a_value_on_the_wire(value: object, wire: bytes) -> None:
    assert formdata.value_bytes(value) == wire


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("plain", b"plain"),
        ('a"b\r\nc', b"abc"),
        ("a\\b;c", b"a\\b;c"),
        ("é", b"\xc3\xa9"),
        ("\ud800", b"\xef\xbf\xbd"),
    ],
    ids=ascii,
)
def test_a_name_on_the_wire(name: str, wire: bytes) -> None:
    assert formdata.name_bytes(name) == wire


@given(JSON_VALUES)
def test_a_value_that_is_not_text_is_json_that_reads_back(value: object) -> None:
    if not isinstance(value, str):
        assert json.loads(formdata.value_bytes(value)) == value


@given(st.text())
def test_a_name_cannot_leave_its_header(name: str) -> None:
    assert not set(formdata.name_bytes(name)) & set(b'\r\n"')


@given(st.text())
def test_text_goes_raw(text: str) -> None:
    assert formdata.value_bytes(text).decode() == text
