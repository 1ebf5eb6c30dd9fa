"""WebSocket frames against the examples of RFC 6455, and what a strict server must refuse."""

from __future__ import annotations

import io
from typing import Any

import pytest
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong
from wsproto.utilities import generate_accept_token

from deploy_relay_kit.harness.replication.websocket import ProtocolError, WebSocket, frame_head
from deploy_relay_kit.harness.transport.connection import ConnectionEnded
from tests.websocketclient import BINARY, CLOSE, PING, masked


class Link:
    """A connection with given input; it keeps what was written."""

    def __init__(self, data: bytes, block: int = 1 << 20) -> None:
        self.input = io.BytesIO(data)
        self.written = b""
        self.block = block

    def read_into(self, buffer: memoryview) -> int:
        return self.input.readinto(buffer[: self.block])

    def write(self, data: bytes) -> None:
        self.written += data

    def wait_for_input(self, seconds: float) -> bool:
        del seconds
        return self.input.tell() < len(self.input.getbuffer())


def socket_on(data: bytes, block: int = 1 << 20) -> WebSocket:
    link: Any = Link(data, block)
    return WebSocket(link)


def received(data: bytes, block: int = 1 << 20) -> list[Event]:
    """Every event of these bytes."""
    socket, events = socket_on(data, block), []
    while socket.wait_for_input(0):
        if event := socket.receive():
            events.append(event)
    return events


def sent(event: Event) -> bytes:
    link: Any = Link(b"")
    WebSocket(link).send(event)
    written = link.written
    assert isinstance(written, bytes)
    return written


def test_the_accept_key_of_the_rfc() -> None:
    assert generate_accept_token(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("wire", "event"),
    [
        ("89 85 37fa213d 7f9f4d5158", Ping(b"Hello")),
        ("8a 85 37fa213d 7f9f4d5158", Pong(b"Hello")),
        ("88 80 37fa213d", CloseConnection(1005, "")),
        ("82 83 00000000 616263", BytesMessage(b"abc")),
        ("02 81 00000000 61 80 82 00000000 6263", BytesMessage(b"abc")),
        ("02 81 00000000 61 89 80 00000000 80 82 00000000 6263", Ping()),
    ],
)
def test_frames_of_a_client_are_read(wire: str, event: Event, block: int) -> None:
    events = received(bytes.fromhex(wire) + masked(BINARY, b"next")[:-1], block)
    assert events[0] == event
    assert all(isinstance(it, BytesMessage) and it.data == b"abc" for it in events[1:])


def test_every_event_that_arrives_together_is_received() -> None:
    data = masked(BINARY, b"1") + masked(PING) + masked(BINARY, b"2") + masked(CLOSE)
    kinds = [BytesMessage, Ping, BytesMessage, CloseConnection]
    assert [type(event) for event in received(data)] == kinds


@pytest.mark.parametrize(
    ("wire", "code", "text"),
    [
        ("81 05 48656c6c6f", 1002, "unmasked frame"),
        ("81 85 37fa213d 7f9f4d5158", 1003, "text message"),
        ("01 83 37fa213d 7f9f4d", 1003, "text message"),
        ("c1 80 00000000", 1002, "Reserved bit"),
        ("83 80 00000000", 1002, "Invalid opcode 0x3"),
        ("09 80 00000000", 1002, "fragment control frame"),
        ("89 fe 007e", 1002, "Control frame"),
        ("80 80 00000000", 1002, "unexpected CONTINUATION"),
        ("02 80 00000000 82 80 00000000", 1002, "expected CONTINUATION"),
        ("82 fe 0003 00000000 616263", 1002, "1 would have sufficed"),
        ("82 ff 0000000000000003 00000000 616263", 1002, "2 would have sufficed"),
        ("88 81 00000000 03", 1002, "1 byte"),
        ("88 83 00000000 03e8ff", 1007, "CLOSE reason"),
        ("88 82 00000000 03ed", 1002, "local-only"),
    ],
)
def test_frames_against_the_protocol_are_refused(wire: str, code: int, text: str) -> None:
    with pytest.raises(ProtocolError, match=text) as caught:
        received(bytes.fromhex(wire))
    assert caught.value.code == code


def receive_until_an_error(socket: WebSocket) -> None:
    while True:
        socket.receive()


@pytest.mark.parametrize("head", ["82 ff 0000000000010001", "02 ff 0000000100000000"])
def test_a_message_over_the_limit_is_refused_and_the_rest_is_discarded(head: str) -> None:
    socket = socket_on(bytes.fromhex(head) + bytes(4 + 100_000) + masked(PING))
    with pytest.raises(ProtocolError, match="more than 65536 bytes") as caught:
        receive_until_an_error(socket)
    assert caught.value.code == 1009
    with pytest.raises(ConnectionEnded, match="without a close frame"):
        receive_until_an_error(socket)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths_at_every_edge(size: int) -> None:
    payload = bytes(size)
    assert received(masked(BINARY, payload)) == [BytesMessage(payload)]
    assert sent(BytesMessage(payload)) == frame_head(size) + payload


@pytest.mark.parametrize(
    ("size", "head"),
    [(5, "82 05"), (256, "82 7e 0100"), (65536, "82 7f 0000000000010000")],
)
def test_heads_of_the_rfc(size: int, head: str) -> None:
    assert frame_head(size) == bytes.fromhex(head)


@pytest.mark.parametrize(
    ("payload", "close"),
    [(b"", (1005, "")), (b"\x03\xe8", (1000, "")), (b"\x03\xf0no", (1008, "no"))],
)
def test_close_payloads_both_ways(payload: bytes, close: tuple[int, str]) -> None:
    [event] = received(masked(CLOSE, payload))
    assert event == CloseConnection(*close)
    assert sent(event) == bytes([0x88, len(payload)]) + payload


def test_a_long_reason_is_cut_between_characters() -> None:
    assert sent(CloseConnection(1008, "é" * 100)) == b"\x88\x7c\x03\xf0" + ("é" * 61).encode()
