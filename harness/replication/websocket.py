"""WebSocket frames (RFC 6455), the side of a server. Pure, but for the `read` that is handed in."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTROL_LIMIT = 125
_CODE_SIZE = 2

NO_CODE = 1005
"""Stands for a close frame that carries no code (RFC 6455 §7.4.1); never on the wire."""


class Opcode(IntEnum):
    """What a frame is (§5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def is_control(self) -> bool:
        return self >= Opcode.CLOSE


class ProtocolError(Exception):
    """The client broke the protocol; `code` is what a server closes with."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, unmasked."""

    opcode: Opcode
    payload: bytes = field(repr=False)
    final: bool = True


def accept_key(key: str) -> str:
    """`Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (§4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode()


def frame_head(opcode: Opcode, length: int, *, final: bool = True) -> bytes:
    """The head of an unmasked frame with a payload of `length` bytes."""
    first = (0x80 if final else 0) | opcode
    if length <= _CONTROL_LIMIT:
        return bytes([first, length])
    if length < 1 << 16:
        return bytes([first, 126]) + length.to_bytes(2)
    return bytes([first, 127]) + length.to_bytes(8)


def encode(opcode: Opcode, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame as a server sends it: unmasked (§5.1)."""
    return frame_head(opcode, len(payload), final=final) + payload


def fragments(message: bytes, size: int) -> Iterator[bytes]:
    """A binary message as frames of at most so many bytes each (§5.4)."""
    for start in range(0, len(message) or 1, size):
        opcode = Opcode.CONTINUATION if start else Opcode.BINARY
        end = start + size
        yield encode(opcode, message[start:end], final=end >= len(message))


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a close frame; empty for `NO_CODE`; the reason cut at 123 bytes (WS-05)."""
    if code == NO_CODE:
        return b""
    cut = reason.encode()[: _CONTROL_LIMIT - _CODE_SIZE].decode(errors="ignore")
    return code.to_bytes(2) + cut.encode()


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame.

    Raises:
        ProtocolError: half a code, or a reason that is not UTF-8.

    """
    if not payload:
        return NO_CODE, ""
    if len(payload) < _CODE_SIZE:
        raise ProtocolError(1002, "a close frame with half a code")
    try:
        return int.from_bytes(payload[:2]), payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(1007, "the reason of a close is not UTF-8") from None


def read_frame(read: Callable[[int], bytes], limit: int) -> Frame:
    """Read one frame of a client.

    Args:
        read: gives exactly so many bytes, or raises.
        limit: longest payload, in bytes.

    Raises:
        ProtocolError: an unmasked frame, a reserved bit or opcode, a control frame that is too long
            or fragmented (1002); a payload over the limit (1009).

    """
    first, second = read(2)
    if first & 0x70:
        raise ProtocolError(1002, "a reserved bit is set, and no extension was agreed upon")
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError:
        raise ProtocolError(1002, f"reserved opcode {first & 0x0F}") from None
    if not second & 0x80:
        raise ProtocolError(1002, "a client's frame that is not masked")
    length, final = second & 0x7F, bool(first & 0x80)
    if opcode.is_control and (length > _CONTROL_LIMIT or not final):
        raise ProtocolError(1002, f"{opcode.name} is fragmented or too long")
    if length > _CONTROL_LIMIT:
        length = int.from_bytes(read(2 if length == _CONTROL_LIMIT + 1 else 8))
    if length > limit:
        raise ProtocolError(1009, f"a frame of {length} bytes is over the limit of {limit}")
    mask = read(4)
    return Frame(opcode, _unmask(read(length), mask), final)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    stream = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(size)
