"""Pure: the bytes of a CBOR body before its file, for nodes older than 5.1 (VER-03).

Such a node takes no forms. It takes a deploy as one CBOR map (RFC 8949), whose last member is the
payload as a byte string. So the body is a short head and then the file as it is.
"""

import struct
from collections.abc import Mapping

from deploy_relay_kit.relay import formdata
from deploy_relay_kit.relay.formdata import Frame
from deploy_relay_kit.relay.request import decoded

CONTENT_TYPE = "application/cbor"
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(6)  # the major types of section 3.1
_SIMPLE = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_IN_HEAD = 24  # values below are in the first byte of a head
_SIZES = ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q"))  # of the value that follows it
_EXACT = 1 << 53  # JavaScript has doubles only


def encode(fields: Mapping[str, object], size: int) -> Frame:
    """Encode the fields in their order; a file of `size` bytes completes the body.

    Each field has the value that a newer node reads from the form: `"true"` is true and `"7"` is 7
    (PARSE-12). So a request means the same to every node.

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold a field (WIRE-09).
    """
    members = [
        (name, decoded(formdata.value_bytes(value).decode())) for name, value in fields.items()
    ]
    head = bytearray(_head(_MAP, len(members) + 1))
    for name, value in members:
        head += _text(name) + encoded(value)
    head += _text(formdata.PART_NAME) + _head(_BYTES, size)
    return Frame(CONTENT_TYPE, bytes(head), b"")


def encoded(value: object) -> bytes:
    """Encode a JSON value; a number is an integer where a double is exact, else a double.

    Raises:
        TypeError: It is not a JSON value.
    """
    out, left = bytearray(), [value]
    while left:  # not recursive: a field may be nested deeper than Python's stack
        match item := left.pop():
            case None | bool():
                out += _SIMPLE[item]
            case str():
                out += _text(item)
            case int() | float():
                out += _number(item)
            case list() | tuple():
                out += _head(_ARRAY, len(item))
                left += reversed(item)
            case dict():
                out += _head(_MAP, len(item))
                for key, member in reversed(item.items()):
                    left += [member, key]
            case _:
                raise TypeError(f"{type(item).__name__} is not a JSON value")
    return bytes(out)


def _number(value: float) -> bytes:
    if abs(value) > _EXACT or value != int(value) or str(value) == "-0.0":
        return b"\xfb" + struct.pack(">d", value)
    whole = int(value)
    return _head(_UNSIGNED, whole) if whole >= 0 else _head(_NEGATIVE, -1 - whole)


def _text(text: str) -> bytes:
    content = formdata.value_bytes(text)  # WIRE-12
    return _head(_TEXT, len(content)) + content


def _head(major: int, value: int) -> bytes:
    """The head of a data item, in its shortest form."""
    if value < _IN_HEAD:
        return bytes([major << 5 | value])
    size, form = next(it for it in _SIZES if value < 1 << 8 * struct.calcsize(it[1]))
    return bytes([major << 5 | size]) + struct.pack(form, value)
