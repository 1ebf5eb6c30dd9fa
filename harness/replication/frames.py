"""The messages of the replication socket: msgpack arrays that begin with a code (WS-08…15). Pure.

Of all that nodes tell each other there, a mint needs two messages: a request for an operation and
its response.
"""

from __future__ import annotations

import re
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it ships no types

SUBPROTOCOL = "harperdb-replication-v1"
REQUEST = 136
RESPONSE = 137
OTHER_CODES = (129, 130, 132, 133, 134, 140, 141, 142, 143, 144, 145, 146, 147)
"""What else nodes send each other; ignorable for whoever only wants a token (WS-15)."""

_UNDEFINED = 0  # extension type (WS-09)
_BIN32 = b"\xc6"  # and four bytes of length
_MAP16 = b"\xde"
_SECRET = re.compile(r"token|password|secret|authorization", re.IGNORECASE)


class NotAControlMessage(ValueError):  # noqa: N818 - says what it is
    """A message that is no msgpack array beginning with a code."""


def pack(value: Any, *, map16: bool = False) -> bytes:
    """Encode a value; `map16` writes maps as Harper's own encoder does, whatever their size."""
    if map16 and isinstance(value, dict):
        items = b"".join(pack(x, map16=True) for item in value.items() for x in item)
        return _MAP16 + len(value).to_bytes(2) + items
    if map16 and isinstance(value, (list, tuple)):
        head: bytes = msgpack.Packer().pack_array_header(len(value))
        return head + b"".join(pack(item, map16=True) for item in value)
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:
    """Decode a value of any width; extension type 0 is None.

    Raises:
        NotAControlMessage: it is not one whole msgpack value.

    """
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=_extension)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotAControlMessage(
            f"not msgpack: {type(error).__name__} in {len(data)} bytes"
        ) from None


def _extension(kind: int, data: bytes) -> Any:
    return None if kind == _UNDEFINED else msgpack.ExtType(kind, data)


def parse(data: bytes) -> tuple[int, Any]:
    """The code of a control message, and what stands behind it (None for a bare code).

    Raises:
        NotAControlMessage: also for msgpack of another shape.

    """
    value = unpack(data)
    if not isinstance(value, list) or not value or type(value[0]) is not int:
        raise NotAControlMessage(f"not an array with a code but {type(value).__name__}")
    return value[0], value[1] if len(value) > 1 else None


def response(request_id: Any, result: dict[str, Any], *, map16: bool = False) -> bytes:
    """The answer to the request of this id (WS-11, WS-12)."""
    return pack([RESPONSE, {**result, "requestId": request_id}], map16=map16)


def response_before_padding(request_id: Any, result: dict[str, Any], size: int) -> bytes:
    """The same answer up to a last member `padding` of so many bytes, which are left to be sent."""
    packer = msgpack.Packer()
    members = {**result, "requestId": request_id}
    head: bytes = packer.pack_array_header(2) + packer.pack(RESPONSE)
    head += packer.pack_map_header(len(members) + 1)
    head += b"".join(pack(it) for member in members.items() for it in member)
    return head + pack("padding") + _BIN32 + size.to_bytes(4)


def redacted(value: Any) -> Any:
    """The same value without what stands under a name that speaks of a credential."""
    if isinstance(value, dict):
        return {
            key: "(redacted)"
            if isinstance(key, str) and _SECRET.search(key) and isinstance(item, (str, bytes))
            else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return value
