"""The reader of a deploy in CBOR, against the library cbor2."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit.harness.witness.wire import LegacyReader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip

HEAD = b"POST / HTTP/1.1\r\nHost: p\r\nContent-Length: %d\r\n\r\n"


def read(body: bytes, cuts: int = 1 << 20) -> LegacyReader:
    reader = LegacyReader(HEAD % len(body))
    for start in range(0, len(body), cuts):
        reader.feed(body[start : start + cuts])
    reader.close()
    return reader


@given(
    fields=st.dictionaries(st.text(max_size=9), VALUES, max_size=9),
    payload=st.binary(max_size=900),
    cuts=st.integers(1, 50),
    first=st.booleans(),
)
def test_members_and_file_are_read_in_any_blocks(
    fields: dict[str, object], payload: bytes, cuts: int, *, first: bool
) -> None:
    fields.pop("payload", None)
    file = {"payload": payload}
    reader = read(cbor2.dumps({**file, **fields} if first else {**fields, **file}), cuts)
    assert reader.whole
    assert reader.members == fields
    assert reader.file is not None
    assert reader.file.complete
    assert reader.file.sha256 == hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"\xa1\x1c", b"\xbf\xff", b"\x81\x01", b"\xa1\x61a\xf8", b"\xa1" + b"\x81" * 200],
)
def test_no_map_of_definite_length_is_malformed(body: bytes) -> None:
    assert read(body).malformed


@pytest.mark.parametrize("end", [-1, -10])
def test_a_cut_map_is_not_whole(end: int) -> None:
    assert not read(cbor2.dumps({"a": 1, "payload": b"x" * 50})[:end]).whole


def test_bytes_after_the_map_make_it_not_whole() -> None:
    assert not read(cbor2.dumps({"payload": b"x"}) + b"y").whole
