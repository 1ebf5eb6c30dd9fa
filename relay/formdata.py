"""Pure: the bytes of a multipart/form-data body around its file (WIRE-01…12).

The file itself is streamed between `head` and `tail`.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

BOUNDARY_PREFIX = "----HarperMultipart"
PART_NAME = "payload"
FILENAME = "package.tar.gz"
FILE_TYPE = "application/gzip"
_DELETED_IN_NAMES = re.compile(r'[\r\n"]')


@dataclass(frozen=True)
class Frame:
    """The bytes before and after one streamed file, and the value of the Content-Type header."""

    content_type: str
    head: bytes
    tail: bytes


def encode(fields: Mapping[str, object], boundary: str | None = None) -> Frame:
    """Encode the fields in their order, and the frame of one file part (WIRE-03…05).

    Args:
        fields: Values by name; `None` is sent as `null` (WIRE-07).
        boundary: For tests; by default every body has a new random boundary (WIRE-02, WIRE-11).
    """
    boundary = boundary or BOUNDARY_PREFIX + secrets.token_hex(12)
    delimiter = f"--{boundary}".encode()
    field_parts = b"".join(
        b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (delimiter, name_bytes(name), value_bytes(value))
        for name, value in fields.items()
    )
    file_part = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{PART_NAME}"; filename="{FILENAME}"\r\n'
        f"Content-Type: {FILE_TYPE}\r\n\r\n"
    )
    return Frame(
        content_type=f"multipart/form-data; boundary={boundary}",  # unquoted, no charset: WIRE-01
        head=field_parts + file_part.encode(),
        tail=b"\r\n%b--\r\n" % delimiter,
    )


def name_bytes(name: str) -> bytes:
    """A field name without quotes and line ends (WIRE-10)."""
    return _utf8(_DELETED_IN_NAMES.sub("", name))


def value_bytes(value: object) -> bytes:
    """A string raw, anything else as compact JSON (WIRE-06).

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold it (WIRE-09), such as NaN.
    """
    if isinstance(value, str):
        return _utf8(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A lone surrogate inside JSON text becomes its escape, as in JavaScript.
    return text.encode("utf-8", "backslashreplace")


def _utf8(text: str) -> bytes:
    """WIRE-12: a lone surrogate becomes U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.encode()
