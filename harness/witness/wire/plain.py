"""Any request head, read leniently: its lines, and what it seems to say. Pure."""

import re
from dataclasses import dataclass

from deploy_relay_kit.harness.witness.wire.headers import (
    HeaderLine,
    LineDefect,
    header_lines,
    raw_lines,
)

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]\r?\n")
# Every server refuses these (RFC 9112 section 5). Some read a folded line and a bare LF.
_FATAL = (LineDefect.NO_NAME, LineDefect.SPACE_BEFORE_COLON, LineDefect.CONTROL)


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A raw request head, cut into lines.

    Attributes:
        start: Offset of the request line, after the line ends that a server skips (section 2.2).
        request_line: With its line end; empty when there is none.
        lines: Every line between the request line and the empty line.
        end: Offset of the empty line, or of the end of a head without one.
        empty_line: The line that ends the head; empty when there is none.
        method: The first word of the request line; empty when there is none, like the next two.
        target: The second word.
        version: The third word.
    """

    start: int
    request_line: bytes
    lines: list[HeaderLine]
    end: int
    empty_line: bytes
    method: str
    target: str
    version: str

    def named(self, name: str) -> list[HeaderLine]:
        """The headers with this name, which is in lower case."""
        return [line for line in self.lines if line.name == name]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Each line that has a name and a colon, in order and in its case, the value trimmed."""
        return [
            (line.raw[: len(line.name)].decode("latin-1"), line.value.strip().decode("latin-1"))
            for line in self.lines
            if line.name
        ]

    @property
    def problem(self) -> str | None:
        """Why it is no request of HTTP/1; None for a request."""
        if not _REQUEST_LINE.fullmatch(self.request_line):
            return "no request line of HTTP/1"
        for line in self.lines:
            if line.defect in _FATAL:
                return f"expected {line.defect.in_head.expected}, got {line.redacted}"
        return None

    @property
    def keep_alive(self) -> bool:
        """Whether the client means to send another request (RFC 9112 section 9.3)."""
        values = b",".join(line.value for line in self.named("connection"))
        options = {option.strip().lower() for option in values.split(b",")}
        return b"close" not in options and (self.version == "HTTP/1.1" or b"keep-alive" in options)


def read_plain_head(raw: bytes) -> PlainHead:
    """Cut a raw request head into its lines."""
    start = len(raw) - len(raw.lstrip(b"\r\n"))
    lines = [line for _, line in raw_lines(raw[start:], start)]
    request_line = lines[0] if lines else b""
    empty_line = lines[-1] if lines and lines[-1] in (b"\r\n", b"\n") else b""
    end = len(raw) - len(empty_line)
    first = start + len(request_line)
    words = [*request_line.decode("latin-1").split(), "", "", ""][:3]
    headers = header_lines(raw[first:end], first)
    return PlainHead(start, request_line, headers, end, empty_line, *words)
