"""How Harper decodes a form: lossy, and unlike any sender means it (PARSE-03 to PARSE-26). Pure.

The reader of the wire says what came; this says what a peer makes of it. Nothing here judges.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from harness.witness.wire import FilePart, UploadReader

UNNAMED = "undefined"
"""The key under which a part without a name lands (PARSE-16)."""

_FIRST_OF_JSON = frozenset('{["-0123456789')
_LITERALS = frozenset(("true", "false", "null"))
_HEADER = re.compile(rb"([^\r\n:]+):[ \t]*([^\r\n]*)")
_PARAMETER = re.compile(r'\s*;\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)')
_CHARSET = re.compile(r'charset="?([^\s;"]+)', re.IGNORECASE)


def decode_value(text: str) -> Any:
    """Decode one field as PARSE-12 says; what is no JSON stays text."""
    if text not in _LITERALS and text[:1] not in _FIRST_OF_JSON:
        return text
    try:
        return json.loads(
            text, parse_int=_number, parse_float=_number, parse_constant=_no_such_constant
        )
    except (ValueError, RecursionError):
        return text


def _number(digits: str) -> int | float:
    """An IEEE double, as every number of JavaScript is (PARSE-14): 1.0 is 1, -0 keeps its sign."""
    value = float(digits)
    if math.isinf(value) or not value.is_integer() or (value == 0 and digits.startswith("-")):
        return value
    return int(value)


def _no_such_constant(name: str) -> Any:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(name)


@dataclass(frozen=True, slots=True)
class Form:
    """An upload as Harper sees it.

    Attributes:
        fields: decoded values by name, of the fields before the file only (PARSE-07); the last of
            one name wins (PARSE-15); those past the 64th are not here, and no value is longer than
            1 MiB (PARSE-18, PARSE-19: the reader has cut them so).
        file: what Harper takes for a file; None when there is none.

    """

    fields: dict[str, Any]
    file: FilePart | None


def read_form(reader: UploadReader) -> Form:
    """The form so far.

    The reader keeps no bytes of what *it* takes for a file. A part that only the reader takes for
    one (PARSE-03: an empty filename, or a type of gzip without a filename) is an empty field here;
    one that only Harper takes for a file (`filename*` alone) is a field.
    """
    file, fields = reader.file, {}
    for field in reader.fields:
        part = _read_part(field.raw_header)
        if part is not None and (file is None or field.offset < file.offset):
            fields[part.name] = decode_value(_decode(field.value, part.charset))
    if file is not None:
        part = _read_part(file.raw_header)
        if part is None:
            file = None
        elif not part.is_file:
            fields[part.name] = ""
            file = None
    return Form(fields, file)


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    is_file: bool
    charset: str


def _read_part(raw_header: bytes) -> _Part | None:
    """What a header block says; None when the part is skipped (PARSE-17, PARSE-26)."""
    headers = {name.lower(): value for name, value in _HEADER.findall(raw_header)}
    # Latin-1, although senders write UTF-8: that is how `é` becomes `Ã©` (PARSE-25).
    disposition = headers.get(b"content-disposition", b"").decode("latin-1")
    media_type = headers.get(b"content-type", b"").decode("latin-1")
    parameters = _parameters(disposition)
    if parameters is None:
        return None
    charset = _CHARSET.search(media_type)
    is_octets = media_type.partition(";")[0].strip().lower() == "application/octet-stream"
    return _Part(
        name=parameters.get("name") or UNNAMED,
        is_file=bool(parameters.get("filename*") or parameters.get("filename")) or is_octets,
        charset=charset[1] if charset else "utf-8",
    )


def _parameters(disposition: str) -> dict[str, str] | None:
    """The parameters of a `form-data` disposition; None of any other, and of a malformed one."""
    kind, semicolon, rest = disposition.partition(";")
    if kind.strip().lower() != "form-data":
        return None
    rest = semicolon + rest
    parameters: dict[str, str] = {}
    while rest.strip():
        match = _PARAMETER.match(rest)
        if match is None:  # as where a backslash takes the closing quote away (PARSE-26)
            return None
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
        parameters.setdefault(match[1].lower(), value)
        rest = rest[match.end() :]
    return parameters


def _decode(value: bytes, charset: str) -> str:
    """PARSE-24: the part's own charset, else UTF-8; what cannot be decoded becomes U+FFFD."""
    try:
        return value.decode(charset, "replace")
    except (LookupError, ValueError):  # ValueError: a codec that does not decode like this
        return value.decode("utf-8", "replace")
