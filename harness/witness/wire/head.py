"""The head of an upload request, checked line by line. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.witness.wire.finding import Finding, Findings, show
from harness.witness.wire.headers import HeaderLine, header_lines, lenient_parameters, raw_lines

FramingKind = Literal["chunked", "length", "none"]

_REQUEST_LINE = re.compile(rb"POST [!\"$-~]+ HTTP/1\.1\r\n")
_FRAGMENT = re.compile(rb"POST [!-~]*#[!-~]* HTTP/1\.1\r?\n")
_BEARER = re.compile(rb"Bearer [0-9A-Za-z._~+/-]+=*")  # RFC 6750 section 2.1
_CONTENT_TYPE = re.compile(rb'(?i:multipart/form-data[ \t]*;[ \t]*boundary)=([^\s";]+)')
# RFC 2046 section 5.1.1, without the characters that must be quoted (RFC 2045 section 5.1):
# WIRE-01 has no quotes.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'+_.-]{1,70}")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_KNOWN_SCHEMES = (b"basic", b"bearer", b"digest")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a request head says about the bytes that follow it.

    Attributes:
        framing: How the end of the body is found (RFC 9112 section 6.3).
        content_length: In bytes; 0 unless `framing` is "length".
        boundary: Of the multipart body; empty when there is none to read it with.
        findings: The rules that the head breaks.
    """

    framing: FramingKind
    content_length: int
    boundary: bytes
    findings: Findings


def check_head(head: bytes) -> list[Finding]:
    """Return the rules that a raw request head (with its empty line) breaks."""
    return list(read_head(head).findings)


def read_head(raw: bytes) -> RequestHead:
    """Read a raw request head, from its request line to its empty line."""
    findings = Findings("head")
    lines = list(raw_lines(raw, 0))
    if lines and lines[0][1] in (b"\r\n", b"\n") and len(lines) > 1:
        findings.note("HTTP-01", 0, expected="the request line first", came="an empty line")
        while len(lines) > 1 and lines[0][1] in (b"\r\n", b"\n"):
            del lines[0]
    start, request_line = lines[0] if lines else (0, b"")
    if lines and lines[-1][1] in (b"\r\n", b"\n"):
        end, empty_line = lines.pop()
        if empty_line == b"\n":
            _note_bare_lf(findings, end)
    else:
        end = len(raw)
        findings.note("HTTP-01", end, expected="an empty line after the head", came="its end")
    start += len(request_line)
    headers = header_lines(raw[start:end], start)
    checks = _HeadChecks(headers, end, findings)
    _check_request_line(request_line, findings)
    checks.lines()
    checks.host()
    checks.authorization()
    checks.unwanted()
    boundary = checks.boundary()
    framing, length = checks.framing()
    return RequestHead(framing, length, boundary, findings)


def read_framing(raw: bytes) -> RequestHead:
    """Read the head of any request for its framing; only what HTTP forbids is a finding.

    Transfer-Encoding is chunked and stands alone, Content-Length is one number (RFC 9112 §6).
    """
    findings = Findings("head")
    lines = list(raw_lines(raw.lstrip(b"\r\n"), len(raw) - len(raw.lstrip(b"\r\n"))))
    request_line = lines[0][1] if lines else b""
    start = lines[0][0] + len(request_line) if lines else 0
    checks = _HeadChecks(header_lines(raw[start:].removesuffix(b"\r\n"), start), start, findings)
    framing, length = checks.legal_framing()
    return RequestHead(framing, length, b"", findings)


def _check_request_line(line: bytes, findings: Findings) -> None:
    """POST over HTTP/1.1 (HTTP-01). The target is not shown: a query may hold a credential."""
    if _REQUEST_LINE.fullmatch(line):
        return
    if line.endswith(b"\n") and _REQUEST_LINE.fullmatch(line[:-1] + b"\r\n"):
        _note_bare_lf(findings, len(line) - 1)
        return
    if _FRAGMENT.match(line):
        findings.note("HTTP-01", 0, expected="no fragment in the target", came="POST …#… HTTP/1.1")
        return
    method, _, rest = line.partition(b" ")
    version = rest.rpartition(b" ")[2]
    came = f"{show(method[:20])} … {show(version[:20])}"
    findings.note("HTTP-01", 0, expected="POST <target> HTTP/1.1", came=came)


def _note_bare_lf(findings: Findings, offset: int) -> None:
    findings.note("HTTP-01", offset, expected="CRLF at the end of each line", came="LF alone")


class _HeadChecks:
    """The rules for the header lines of one request."""

    def __init__(self, headers: Sequence[HeaderLine], end: int, findings: Findings) -> None:
        self._headers = headers
        self._end = end  # where a missing header is noted
        self._findings = findings

    def _named(self, name: str) -> list[HeaderLine]:
        return [line for line in self._headers if line.name == name]

    def _exactly_one(self, requirement: str, name: str) -> HeaderLine | None:
        """The first header of that name; a finding unless it is the only one."""
        named = self._named(name)
        if len(named) != 1:
            offset = named[1].offset if named else self._end
            came = f"{len(named)} of them" if named else "none"
            self._findings.note(requirement, offset, expected=f"one {name} header", came=came)
        return named[0] if named else None

    def lines(self) -> None:
        """RFC 9112 section 5: one header per line, no control bytes, CRLF."""
        for line in self._headers:
            if line.defect is not None:
                self._findings.note(
                    "HTTP-01", line.offset, expected=line.defect.value, came=line.redacted
                )

    def host(self) -> None:
        self._exactly_one("HTTP-01", "host")

    def authorization(self) -> None:
        """HTTP-01: one bearer token. Nothing of a credential is ever shown."""
        line = self._exactly_one("HTTP-01", "authorization")
        if line is None or _BEARER.fullmatch(_trimmed(line)):
            return
        scheme = _trimmed(line).partition(b" ")[0]
        shown = show(scheme) if scheme.lower() in _KNOWN_SCHEMES else ""
        self._findings.note(
            "HTTP-01",
            line.offset,
            expected="Authorization: Bearer <token>",
            came=f"Authorization: {shown} …",
        )

    def unwanted(self) -> None:
        """No Expect (WIRE-13); the body is sent as it is (HTTP-01 has no Content-Encoding)."""
        for requirement, name in (("WIRE-13", "expect"), ("HTTP-01", "content-encoding")):
            for line in self._named(name):
                self._findings.note(
                    requirement, line.offset, expected=f"no {name} header", came=show(line.raw)
                )

    def boundary(self) -> bytes:
        """WIRE-01 and WIRE-02; the boundary to read the body with, read leniently."""
        line = self._exactly_one("WIRE-01", "content-type")
        if line is None:
            return b""
        value = _trimmed(line)
        match = _CONTENT_TYPE.fullmatch(value)
        if match is None:
            self._findings.note(
                "WIRE-01",
                line.offset,
                expected="Content-Type: multipart/form-data; boundary=<unquoted>",
                came=show(line.raw),
            )
            boundary = lenient_parameters(value).get("boundary", b"")
        else:
            boundary = match[1]
            if not _BOUNDARY.fullmatch(boundary):
                self._findings.note(
                    "WIRE-02",
                    line.offset,
                    expected="a boundary of 1 to 70 letters, digits and '+_.-",
                    came=f"{len(boundary)} bytes: {show(boundary)}",
                )
        return b"" if b"\r" in boundary else boundary

    def framing(self) -> tuple[FramingKind, int]:
        """WIRE-13: chunked and nothing else; how to read on, and the length."""
        codings = self._named("transfer-encoding")
        lengths = self._named("content-length")
        if [_trimmed(line).lower() for line in codings] != [b"chunked"]:
            seen = codings or lengths
            self._findings.note(
                "WIRE-13",
                seen[0].offset if seen else self._end,
                expected="one Transfer-Encoding: chunked",
                came=show(b"".join(line.raw for line in seen)) if seen else "no framing header",
            )
        if codings and lengths:
            self._findings.note(
                "WIRE-13",
                lengths[0].offset,
                expected="no Content-Length beside Transfer-Encoding",
                came=show(lengths[0].raw),
            )
        return self._framing_of(codings, lengths)

    def legal_framing(self) -> tuple[FramingKind, int]:
        """How to read on, and the length; findings only where HTTP itself is broken."""
        codings = self._named("transfer-encoding")
        lengths = self._named("content-length")
        framing, length = self._framing_of(codings, lengths)
        is_chunked = [_trimmed(line).lower() for line in codings] == [b"chunked"]
        if (not codings and not lengths) or (is_chunked and not lengths) or framing == "length":
            return framing, length
        expected = "one framing: Transfer-Encoding: chunked, or a number as Content-Length"
        came = show(b"".join(line.raw for line in (*codings, *lengths)))
        at = (codings or lengths)[0].offset
        self._findings.note("WIRE-13", at, expected=expected, came=came)
        return framing, length

    @staticmethod
    def _framing_of(
        codings: Sequence[HeaderLine], lengths: Sequence[HeaderLine]
    ) -> tuple[FramingKind, int]:
        if codings:
            last = _trimmed(codings[-1]).lower().rpartition(b",")[2].strip()
            return ("chunked" if last == b"chunked" else "none"), 0
        if len({_trimmed(line) for line in lengths}) == 1 and _LENGTH.fullmatch(
            _trimmed(lengths[0])
        ):
            return "length", int(_trimmed(lengths[0]))
        return "none", 0


def _trimmed(line: HeaderLine) -> bytes:
    return line.value.strip(b" \t")
