"""The head of an upload request, checked line by line. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

from deploy_relay_kit.harness.witness.wire.finding import Finding, Findings, Rule, show
from deploy_relay_kit.harness.witness.wire.headers import HeaderLine, LineDefect, lenient_parameters
from deploy_relay_kit.harness.witness.wire.plain import PlainHead, read_plain_head

FramingKind = Literal["chunked", "length", "none"]

_REQUEST_LINE = re.compile(rb"POST [!\"$-~]+ HTTP/1\.1\r\n")
_FRAGMENT = re.compile(rb"POST [!-~]*#[!-~]* HTTP/1\.1\r?\n")
_BEARER = re.compile(rb"Bearer ([^ ].*)", re.DOTALL)
_NOT_IN_A_TOKEN = re.compile(rb"[^!-~]")
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
    """Read the raw head of an upload, from its request line to its empty line."""
    head, findings = read_plain_head(raw), Findings()
    if head.start:
        findings.note(Rule.EMPTY_LINE_FIRST, 0, "an empty line")
    if not head.empty_line:
        findings.note(Rule.HEAD_END, head.end, "its end")
    elif head.empty_line == b"\n":
        findings.note(Rule.HEAD_LF, head.end, "LF alone")
    _check_request_line(head, findings)
    for line in head.lines:
        if line.defect is not None and not _is_of_a_token(line):
            findings.note(line.defect.in_head, line.offset, line.redacted)
    _find_one("host", Rule.HOST, head, findings)
    _check_authorization(head, findings)
    for name, rule in (("expect", Rule.EXPECT), ("content-encoding", Rule.CONTENT_ENCODING)):
        for line in head.named(name):
            findings.note(rule, line.offset, show(line.raw))
    boundary = _read_boundary(head, findings)
    _check_framing(head, findings)
    return RequestHead(*_read_framing(head), boundary, findings)


def read_operation_head(raw: bytes) -> RequestHead:
    """Read the raw head of an operation in JSON; any framing that RFC 9112 §6 allows is right."""
    head, findings = read_plain_head(raw), Findings()
    codings, lengths = head.named("transfer-encoding"), head.named("content-length")
    kind, length = _read_framing(head)
    if (codings or lengths) and kind != "length" and (lengths or not _is_chunked(codings)):
        findings.note(Rule.ONE_FRAMING, (codings or lengths)[0].offset, _show(*codings, *lengths))
    return RequestHead(kind, length, b"", findings)


def _check_request_line(head: PlainHead, findings: Findings) -> None:
    """POST over HTTP/1.1 (HTTP-01). The target is not shown: a query may hold a credential."""
    line = head.request_line
    if _REQUEST_LINE.fullmatch(line):
        return
    if line.endswith(b"\n") and _REQUEST_LINE.fullmatch(line[:-1] + b"\r\n"):
        findings.note(Rule.HEAD_LF, head.start + len(line) - 1, "LF alone")
    elif _FRAGMENT.match(line):
        findings.note(Rule.TARGET_FRAGMENT, head.start, "POST …#… HTTP/1.1")
    else:
        method, _, rest = line.partition(b" ")
        version = rest.rpartition(b" ")[2]
        got = f"{show(method[:20])} … {show(version[:20])}"
        findings.note(Rule.REQUEST_LINE, head.start, got)


def _find_one(name: str, rule: Rule, head: PlainHead, findings: Findings) -> HeaderLine | None:
    """The first header of that name; a finding unless it is the only one."""
    named = head.named(name)
    if not named:
        findings.note(rule, head.end, "none")
    elif len(named) > 1:
        findings.note(rule, named[1].offset, f"{len(named)} of them")
    return named[0] if named else None


def _is_of_a_token(line: HeaderLine) -> bool:
    """Whether the defect is a control byte in the token: a finding of BUG-35, and of no other."""
    of_it = line.defect is LineDefect.CONTROL and line.name == "authorization"
    return of_it and _BEARER.fullmatch(line.trimmed) is not None


def _check_authorization(head: PlainHead, findings: Findings) -> None:
    """HTTP-01: one bearer token; BUG-35: of its characters. No credential is ever shown."""
    line = _find_one("authorization", Rule.AUTHORIZATION, head, findings)
    if line is None:
        return
    if not (match := _BEARER.fullmatch(line.trimmed)):
        scheme, _, token = line.trimmed.partition(b" ")
        shown = show(scheme) if scheme.lower() in _KNOWN_SCHEMES else "another scheme"
        form = "two spaces and the token" if token.strip() else "no token"
        is_bearer = scheme == b"Bearer"
        findings.note(Rule.BEARER, line.offset, f"{shown} and {form}" if is_bearer else shown)
    elif strange := _NOT_IN_A_TOKEN.search(match[1]):
        findings.note(Rule.TOKEN, line.offset, f"a token with the byte {strange[0][0]:#04x}")


def _read_boundary(head: PlainHead, findings: Findings) -> bytes:
    """WIRE-01 and WIRE-02; the boundary to read the body with, read leniently."""
    line = _find_one("content-type", Rule.CONTENT_TYPE_ONCE, head, findings)
    if line is None:
        return b""
    match = _CONTENT_TYPE.fullmatch(line.trimmed)
    if match is None:
        findings.note(Rule.CONTENT_TYPE, line.offset, show(line.raw))
        boundary = lenient_parameters(line.trimmed).get("boundary", b"")
    else:
        boundary = match[1]
        if not _BOUNDARY.fullmatch(boundary):
            findings.note(Rule.BOUNDARY, line.offset, f"{len(boundary)} bytes: {show(boundary)}")
    return b"" if b"\r" in boundary else boundary


def _check_framing(head: PlainHead, findings: Findings) -> None:
    """WIRE-13: chunked is the only transfer coding."""
    codings, lengths = head.named("transfer-encoding"), head.named("content-length")
    if not _is_chunked(codings):
        seen = codings or lengths
        at = seen[0].offset if seen else head.end
        findings.note(Rule.TRANSFER_ENCODING, at, _show(*seen) or "no framing header")
    if codings and lengths:
        findings.note(Rule.CONTENT_LENGTH, lengths[0].offset, _show(lengths[0]))


def _read_framing(head: PlainHead) -> tuple[FramingKind, int]:
    """How to find the end of the body, read leniently, and the Content-Length."""
    codings, lengths = head.named("transfer-encoding"), head.named("content-length")
    if codings:
        last = codings[-1].trimmed.lower().rpartition(b",")[2].strip()
        return ("chunked" if last == b"chunked" else "none"), 0
    if len({line.trimmed for line in lengths}) == 1 and _LENGTH.fullmatch(lengths[0].trimmed):
        return "length", int(lengths[0].trimmed)
    return "none", 0


def _is_chunked(codings: list[HeaderLine]) -> bool:
    return [line.trimmed.lower() for line in codings] == [b"chunked"]


def _show(*lines: HeaderLine) -> str:
    return show(b"".join(line.raw for line in lines))
