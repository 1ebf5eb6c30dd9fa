"""The header block of one part of a multipart body, judged. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deploy_relay_kit.harness.witness.wire.finding import Findings, Rule, show
from deploy_relay_kit.harness.witness.wire.headers import (
    HeaderLine,
    header_lines,
    lenient_parameters,
)

_NEXT = rb"[ \t]*;[ \t]*"
_FIELD = re.compile(rb'form-data%bname="([^"]*)"' % _NEXT)
_NAME, _FILENAME = rb'name=("?)payload\%d', rb'filename=("?)package\.tar\.gz\%d'
_FILE = re.compile(
    rb"form-data%b(?:%b%b%b|%b%b%b)"
    % (_NEXT, _NAME % 1, _NEXT, _FILENAME % 2, _FILENAME % 3, _NEXT, _NAME % 4)
)
_FILE_TYPE = b"application/gzip"
# With one of these a part is meant as the file, even without a filename: PARSE-03 for the first;
# a compressed payload must be streamed and not kept, whatever its disposition says.
_FILE_TYPES = ("application/octet-stream", "application/gzip", "application/x-gzip")


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part's header block says; `name` is None without a readable Content-Disposition."""

    raw: bytes
    findings: Findings
    name: str | None = None
    is_file: bool = False
    filename: str | None = None
    content_type: str | None = None


def read_part_head(raw: bytes, offset: int) -> PartHead:
    """Judge a part's header block, which starts at `offset` of the body."""
    findings = Findings()
    lines = header_lines(raw, offset)
    for line in lines:
        if line.defect is not None:
            findings.note(line.defect.in_part, line.offset, show(line.raw))
            break  # the same defect in later lines is the same mistake
    disposition = _first(lines, "content-disposition")
    if disposition is None:
        if not findings:  # else the line may be there and could not be read
            findings.note(Rule.DISPOSITION_MISSING, offset, show(raw) or "no header")
        return PartHead(raw, findings)
    options = lenient_parameters(_value(disposition))
    media_type = _first(lines, "content-type")
    content_type = None if media_type is None else _text(_value(media_type))
    is_file = bool({"filename", "filename*"} & options.keys()) or (
        content_type is not None and content_type.partition(";")[0].lower() in _FILE_TYPES
    )
    name = options.get("name", b"")
    others = [line for line in lines if line.name and line is not disposition]
    if is_file:
        _check_file(disposition, media_type, findings)
        _note_all(Rule.FILE_HEADER, [it for it in others if it is not media_type], findings)
    else:
        name = _check_field(disposition, name, findings)
        _note_all(Rule.FIELD_HEADER, others, findings)
    _check_utf8(name, disposition, findings)
    filename = options.get("filename")
    return PartHead(
        raw,
        findings,
        name=_text(name),
        is_file=is_file,
        filename=None if filename is None else _text(filename),
        content_type=content_type,
    )


def _check_field(disposition: HeaderLine, lenient: bytes, findings: Findings) -> bytes:
    """WIRE-04: the disposition of a field, with its name in quotes. Returns the name."""
    match = _FIELD.fullmatch(_value(disposition))
    if match is None:
        findings.note(Rule.FIELD_DISPOSITION, disposition.offset, show(disposition.raw))
        return lenient
    if not match[1]:
        findings.note(Rule.FIELD_NAME_EMPTY, disposition.offset, show(disposition.raw))
    return match[1]


def _check_file(disposition: HeaderLine, media_type: HeaderLine | None, findings: Findings) -> None:
    """WIRE-05: the two headers of the file part.

    Their order, that of the parameters, and quotes around the two names have no meaning.
    """
    if not _FILE.fullmatch(_value(disposition)):
        findings.note(Rule.FILE_DISPOSITION, disposition.offset, show(disposition.raw))
    if media_type is None:
        findings.note(Rule.FILE_TYPE, disposition.offset, "no Content-Type")
    elif _value(media_type) != _FILE_TYPE:
        findings.note(Rule.FILE_TYPE, media_type.offset, show(media_type.raw))


def _note_all(rule: Rule, lines: Sequence[HeaderLine], findings: Findings) -> None:
    for line in lines:
        findings.note(rule, line.offset, show(line.raw))


def _check_utf8(name: bytes, disposition: HeaderLine, findings: Findings) -> None:
    """WIRE-12 for the name; the value is checked at its end."""
    try:
        name.decode()
    except UnicodeDecodeError as error:
        at = disposition.offset + disposition.raw.find(name) + error.start
        findings.note(Rule.NAME_UTF8, at, show(name))


def _first(lines: Sequence[HeaderLine], name: str) -> HeaderLine | None:
    return next((line for line in lines if line.name == name), None)


def _value(line: HeaderLine) -> bytes:
    """The value without the blanks around it, which are no part of it (RFC 9112, 5)."""
    return line.value.strip(b" \t")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
