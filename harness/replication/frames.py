"""The messages of the replication socket: msgpack arrays that begin with a code (WS-08 to WS-15).

Nodes send each other many kinds of messages; a mint needs a request for an operation and its
response. Pure.
"""

import json
import re
import struct
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it ships no types

SUBPROTOCOL = "harperdb-replication-v1"
REQUEST = 136
RESPONSE = 137
OTHER_CODES = (129, 130, 132, 133, 134, 140, 141, 142, 143, 144, 145, 146, 147)
"""The other codes; a client that wants a token skips their messages (WS-15)."""

_UNDEFINED = 0  # extension type (WS-09)
_MAP16 = b"\xde"
_EMPTY_BIN = b"\xc4\x00"
_BIN32 = b"\xc6"  # and four bytes of length
_LONGEST = 400  # characters of a message that is shown
_SECRET = re.compile(r"token|password|secret|authorization", re.IGNORECASE)


class NotAControlMessage(ValueError):  # noqa: N818 - the name of the problem
    """A message that is not a msgpack array with a code."""


def pack(value: Any, *, map16: bool = False) -> bytes:
    """Encode a value; `map16` writes every map in the wide form of Harper's encoder."""
    if map16 and isinstance(value, dict):
        items = b"".join(pack(x, map16=True) for item in value.items() for x in item)
        return _MAP16 + len(value).to_bytes(2) + items
    if map16 and isinstance(value, (list, tuple)):
        head: bytes = msgpack.Packer().pack_array_header(len(value))
        return head + b"".join(pack(item, map16=True) for item in value)
    packed: bytes = msgpack.packb(value)
    return packed


_SIZES = {1: "!B", 2: "!H", 4: "!I", 8: "!Q"}


def pack_wide(value: Any, width: int) -> bytes:
    """A value whose numbers and lengths have this many bytes, if there is such a form."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return bytes([{1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}[width]]) + struct.pack(
            _SIZES[width], value
        )
    if isinstance(value, str):
        data = value.encode()
        size = min(width if len(data) < 1 << 8 * width else 2, 4)
        return (
            bytes([{1: 0xD9, 2: 0xDA, 4: 0xDB}[size]]) + struct.pack(_SIZES[size], len(data)) + data
        )
    size = min(max(width, 2), 4)
    parts = [it for item in value.items() for it in item] if isinstance(value, dict) else value
    heads = {2: 0xDE, 4: 0xDF} if isinstance(value, dict) else {2: 0xDC, 4: 0xDD}
    items = b"".join(pack_wide(it, width) for it in parts)
    return bytes([heads[size]]) + struct.pack(_SIZES[size], len(value)) + items


def pack_signed(number: int, width: int) -> bytes:
    """A number in a signed form of this many bytes."""
    return bytes([0xD0 + {1: 0, 2: 1, 4: 2, 8: 3}[width]]) + number.to_bytes(width, signed=True)


def parse(data: bytes) -> tuple[int, Any]:
    """The code of a control message, and its body; None without a body.

    Raises:
        NotAControlMessage: the bytes are not msgpack, or not an array with a code.
    """
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=_extension)
    except (ValueError, TypeError, RecursionError):
        text = f"not msgpack, in {len(data)} bytes"
        raise NotAControlMessage(text) from None
    if not isinstance(value, list) or not value or type(value[0]) is not int:
        raise NotAControlMessage("not an array that begins with a code")
    return value[0], value[1] if len(value) > 1 else None


def _extension(kind: int, data: bytes) -> Any:
    return None if kind == _UNDEFINED else msgpack.ExtType(kind, data)


def response(request_id: Any, result: dict[str, Any], *, map16: bool = False) -> bytes:
    """The answer to a request (WS-11, WS-12)."""
    return pack([RESPONSE, {**result, "requestId": request_id}], map16=map16)


def response_before_padding(request_id: Any, result: dict[str, Any], size: int) -> bytes:
    """The same answer with a last member `padding` of `size` bytes, which do not follow."""
    whole = pack([RESPONSE, {**result, "requestId": request_id, "padding": b""}])
    return whole.removesuffix(_EMPTY_BIN) + _BIN32 + size.to_bytes(4)


def redacted(value: Any) -> Any:
    """The same value without texts under a name such as `token` or `password`."""
    if isinstance(value, dict):
        return {
            key: "(redacted)" if _is_secret(key, item) else redacted(item)
            for key, item in value.items()
        }
    return [redacted(item) for item in value] if isinstance(value, (list, tuple)) else value


def as_text(value: Any) -> str:
    """The body of a message as JSON without credentials, cut when it is long."""
    text = json.dumps(_named(redacted(value)), ensure_ascii=False, default=_as_json)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _named(value: Any) -> Any:
    """The same value with texts as the names of every map, as JSON has them."""
    if isinstance(value, dict):
        return {_name(name): _named(item) for name, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value


def _name(name: object) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)


def _as_json(value: object) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


def _is_secret(key: object, value: object) -> bool:
    named = isinstance(key, str) and _SECRET.search(key) is not None
    return named and isinstance(value, (str, bytes))


def closing_frame(code: int, *_: object) -> bytes:
    """A close frame with this code and without a reason, whatever was asked."""
    return b"\x88\x02" + code.to_bytes(2)
