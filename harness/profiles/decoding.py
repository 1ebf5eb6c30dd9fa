"""How Harper decodes a form, with losses (PARSE-03 to PARSE-26). Pure.

The reader of the wire reads and judges the form; this module does not judge.
"""

import json
import math
import re
from typing import Any

from attrs import frozen

from deploy_relay_kit.harness.witness.wire import FilePart, UploadReader

UNNAMED = "undefined"
"""The name of a part without a name (PARSE-16)."""

_FIRST_OF_JSON = frozenset('{["-0123456789')
_LITERALS = frozenset(("true", "false", "null"))
_HEADER = re.compile(rb"([^\r\n:]+):[ \t]*([^\r\n]*)")
_PARAMETER = re.compile(r'\s*;\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)')
_CHARSET = re.compile(r'charset="?([^\s;"]+)', re.IGNORECASE)


def decode_value(text: str) -> Any:
    """Decode one field (PARSE-12); a value that is not JSON stays a text."""
    if text not in _LITERALS and text[:1] not in _FIRST_OF_JSON:
        return text
    try:
        return json.loads(
            text, parse_int=_number, parse_float=_number, parse_constant=_no_such_constant
        )
    except (ValueError, RecursionError):
        return text


def _number(digits: str) -> int | float:
    """A number of JavaScript, an IEEE double (PARSE-14): 1.0 is 1, -0 keeps its sign."""
    value = float(digits)
    if math.isinf(value) or not value.is_integer() or (value == 0 and digits.startswith("-")):
        return value
    return int(value)


def _no_such_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which Python reads although they are not JSON."""
    raise ValueError(name)


@frozen
class Form:
    """An upload as Harper sees it.

    Attributes:
        fields: decoded values by name, of the fields before the file only (PARSE-07); the last
            value of a name counts (PARSE-15). The reader drops fields after the 64th and cuts
            values at 1 MiB (PARSE-18, PARSE-19).
        file: the file of the upload; None when Harper finds none.
    """

    fields: dict[str, Any]
    file: FilePart | None


def read_form(reader: UploadReader) -> Form:
    """The form so far.

    The reader keeps no bytes of a file. A part that is a file to the reader but not to Harper
    (PARSE-03: an empty filename, or the type gzip without a filename) is an empty field here. A
    part that is a file only to Harper (`filename*` alone) is a field.
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


@frozen
class _Part:
    name: str
    is_file: bool
    charset: str


def _read_part(raw_header: bytes) -> _Part | None:
    """The part of a header block; None when Harper skips it (PARSE-17, PARSE-26)."""
    headers = {name.lower(): value for name, value in _HEADER.findall(raw_header)}
    # Harper reads UTF-8 as Latin-1: `é` becomes `Ã©` (PARSE-25).
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
    """The parameters of a `form-data` disposition; None if it is another or malformed."""
    kind, semicolon, rest = disposition.partition(";")
    if kind.strip().lower() != "form-data":
        return None
    rest = semicolon + rest
    parameters: dict[str, str] = {}
    while rest.strip():
        match = _PARAMETER.match(rest)
        if match is None:  # such as an escaped closing quote (PARSE-26)
            return None
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
        parameters.setdefault(match[1].lower(), value)
        rest = rest[match.end() :]
    return parameters


def _decode(value: bytes, charset: str) -> str:
    """Decode by the part's charset, else UTF-8; undecodable bytes become U+FFFD (PARSE-24)."""
    try:
        return value.decode(charset, "replace")
    except (LookupError, ValueError):  # ValueError: a codec that does not decode to text
        return value.decode("utf-8", "replace")
