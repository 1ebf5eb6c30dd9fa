"""The header block of one part of a multipart body, judged. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.witness.wire.finding import Findings, show
from harness.witness.wire.headers import HeaderLine, LineDefect, header_lines, lenient_parameters

_FIELD = re.compile(rb'form-data; name="([^"]*)"')
_FILE = b'form-data; name="payload"; filename="package.tar.gz"'
_FILE_TYPE = b"application/gzip"
# With one of these a part is meant as the file, even without a filename: PARSE-03 for the first;
# a compressed payload must be streamed and not kept, whatever its disposition says.
_FILE_TYPES = ("application/octet-stream", "application/gzip", "application/x-gzip")


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part's header block says; `name` is None when the part cannot be told."""

    name: str | None
    is_file: bool
    filename: str | None
    content_type: str | None
    raw: bytes
    findings: Findings


def read_part_head(raw: bytes, offset: int) -> PartHead:
    """Judge a part's header block, which starts at `offset` of the body."""
    findings = Findings("body")
    lines = header_lines(raw, offset)
    _check_lines(lines, findings)
    disposition = next((line for line in lines if line.name == "content-disposition"), None)
    if disposition is None:
        if not findings:  # else the line is there and could not be read
            findings.note(
                "WIRE-04",
                offset,
                expected='Content-Disposition: form-data; name="…"',
                came=show(raw) or "no header",
            )
        return PartHead(
            name=None, is_file=False, filename=None, content_type=None, raw=raw, findings=findings
        )
    options = lenient_parameters(_value(disposition))
    media_type = next((line for line in lines if line.name == "content-type"), None)
    content_type = None if media_type is None else _text(_value(media_type))
    is_file = bool({"filename", "filename*"} & options.keys()) or (
        content_type is not None and content_type.partition(";")[0].lower() in _FILE_TYPES
    )
    others = [line for line in lines if line.name and line is not disposition]
    if is_file:
        name = options.get("name", b"")
        _check_file(disposition, others, findings)
    else:
        name = _check_field(disposition, options.get("name", b""), findings)
        _check_others(others, "WIRE-04", "no header but one Content-Disposition", findings)
    _check_utf8(name, disposition, findings)
    filename = options.get("filename")
    return PartHead(
        name=_text(name),
        is_file=is_file,
        filename=None if filename is None else _text(filename),
        content_type=content_type,
        raw=raw,
        findings=findings,
    )


def _check_lines(lines: Sequence[HeaderLine], findings: Findings) -> None:
    """Note the first malformed line: its like in the same block is the same mistake."""
    line = next((line for line in lines if line.defect is not None), None)
    if line is not None and line.defect is not None:
        requirement = "PARSE-21" if line.defect is LineDefect.BARE_LF else "PARSE-20"
        findings.note(requirement, line.offset, expected=line.defect.value, came=show(line.raw))


def _check_field(disposition: HeaderLine, lenient: bytes, findings: Findings) -> bytes:
    """WIRE-04: the one form a field's disposition has. Returns the name."""
    match = _FIELD.fullmatch(_value(disposition))
    if match is None:
        expected = 'Content-Disposition: form-data; name="…"'
        findings.note("WIRE-04", disposition.offset, expected=expected, came=show(disposition.raw))
        return lenient
    if not match[1]:
        findings.note("PARSE-16", disposition.offset, expected="a name", came=show(disposition.raw))
    return match[1]


def _check_file(disposition: HeaderLine, others: Sequence[HeaderLine], findings: Findings) -> None:
    """WIRE-05: the two headers of the file part, to the byte; their order has no meaning."""
    if _value(disposition) != _FILE:
        expected = f"Content-Disposition: {_FILE.decode()}"
        findings.note("WIRE-05", disposition.offset, expected=expected, came=show(disposition.raw))
    types = [line for line in others if line.name == "content-type"]
    if not types or _value(types[0]) != _FILE_TYPE:
        findings.note(
            "WIRE-05",
            types[0].offset if types else disposition.offset,
            expected=f"Content-Type: {_FILE_TYPE.decode()}",
            came=show(types[0].raw) if types else "no Content-Type",
        )
    rest = [line for line in others if line not in types[:1]]
    _check_others(rest, "WIRE-05", "Content-Disposition and Content-Type, once each", findings)


def _check_others(
    others: Sequence[HeaderLine], requirement: str, expected: str, findings: Findings
) -> None:
    for line in others:
        findings.note(requirement, line.offset, expected=expected, came=show(line.raw))


def _check_utf8(name: bytes, disposition: HeaderLine, findings: Findings) -> None:
    """WIRE-12, for the name; the value is checked when it has come."""
    try:
        name.decode()
    except UnicodeDecodeError as error:
        findings.note(
            "WIRE-12",
            disposition.offset + disposition.raw.find(name) + error.start,
            expected="a name in UTF-8",
            came=show(name),
        )


def _value(line: HeaderLine) -> bytes:
    """The value after at most one space, which is the one optional byte of these lines."""
    return line.value.removeprefix(b" ")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
