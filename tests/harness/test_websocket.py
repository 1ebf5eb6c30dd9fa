"""WebSocket frames against the examples of RFC 6455, and what a strict server must refuse."""

from __future__ import annotations

import io

import pytest

from harness.replication.websocket import (
    NO_CODE,
    Frame,
    Opcode,
    ProtocolError,
    accept_key,
    close_payload,
    encode,
    frame_head,
    parse_close,
    read_frame,
)
from tests.websocketclient import masked


def test_the_accept_key_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("wire", "frame"),
    [
        ("81 85 37fa213d 7f9f4d5158", Frame(Opcode.TEXT, b"Hello")),
        ("01 83 37fa213d 7f9f4d", Frame(Opcode.TEXT, b"Hel", final=False)),
        ("8a 85 37fa213d 7f9f4d5158", Frame(Opcode.PONG, b"Hello")),
        ("88 80 37fa213d", Frame(Opcode.CLOSE, b"")),
        ("82 fe 0003 00000000 616263", Frame(Opcode.BINARY, b"abc")),
        ("82 ff 0000000000000003 00000000 616263", Frame(Opcode.BINARY, b"abc")),
    ],
)
def test_frames_of_a_client_are_read(wire: str, frame: Frame) -> None:
    stream = io.BytesIO(bytes.fromhex(wire) + b"next")
    assert read_frame(stream.read, limit=100) == frame
    assert stream.read() == b"next"


@pytest.mark.parametrize(
    ("wire", "code", "text"),
    [
        ("81 05 48656c6c6f", 1002, "not masked"),
        ("c1 80 00000000", 1002, "reserved bit"),
        ("83 80 00000000", 1002, "reserved opcode 3"),
        ("09 80 00000000", 1002, "PING"),
        ("89 fe 007e", 1002, "PING"),
        ("82 fe 0065", 1009, "101 bytes"),
        ("82 ff 0000000100000000", 1009, "4294967296 bytes"),
    ],
)
def test_frames_against_the_protocol_are_refused(wire: str, code: int, text: str) -> None:
    with pytest.raises(ProtocolError, match=text) as caught:
        read_frame(io.BytesIO(bytes.fromhex(wire)).read, limit=100)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths_at_every_edge(size: int) -> None:
    payload = bytes(size)
    stream = io.BytesIO(masked(Opcode.BINARY, payload))
    assert read_frame(stream.read, limit=size).payload == payload
    assert encode(Opcode.BINARY, payload) == frame_head(Opcode.BINARY, size) + payload


@pytest.mark.parametrize(
    ("size", "head"),
    [(5, "82 05"), (256, "82 7e 0100"), (65536, "82 7f 0000000000010000")],
)
def test_heads_of_the_rfc(size: int, head: str) -> None:
    assert frame_head(Opcode.BINARY, size) == bytes.fromhex(head)


@pytest.mark.parametrize(
    ("payload", "close"),
    [(b"", (NO_CODE, "")), (b"\x03\xe8", (1000, "")), (b"\x03\xf0no", (1008, "no"))],
)
def test_close_payloads_both_ways(payload: bytes, close: tuple[int, str]) -> None:
    assert parse_close(payload) == close
    assert close_payload(*close) == payload


def test_a_long_reason_is_cut_between_characters() -> None:
    payload = close_payload(1008, "é" * 100)
    assert parse_close(payload) == (1008, "é" * 61)


@pytest.mark.parametrize(("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007)])
def test_broken_close_payloads(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_close(payload)
    assert caught.value.code == code
