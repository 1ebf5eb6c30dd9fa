"""Any request head, read as leniently as can be: what it seems to say, or why it says nothing."""

import re
from dataclasses import dataclass

from harness.witness.wire.headers import LineDefect, header_lines, raw_lines

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]\r?\n")
# What every server refuses (RFC 9112 section 5). A folded line and a bare LF are read by some.
_FATAL = (LineDefect.NO_NAME, LineDefect.SPACE_BEFORE_COLON, LineDefect.CONTROL)


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A request head as far as it can be read.

    Attributes:
        method: The first word; empty when there is none.
        target: The second word; empty when there is none.
        version: The third word; empty when there is none.
        headers: Each line that has a name and a colon, in order and in its case, the value trimmed.
        problem: Why it is no request of HTTP/1; None when it is one.
    """

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    problem: str | None

    @property
    def keep_alive(self) -> bool:
        """Whether the client means to send another request (RFC 9112 section 9.3)."""
        options = {
            option.strip().lower()
            for name, value in self.headers
            if name.lower() == "connection"
            for option in value.split(",")
        }
        return "close" not in options and (self.version == "HTTP/1.1" or "keep-alive" in options)


def read_plain_head(raw: bytes) -> PlainHead:
    """Read a raw head; empty lines before the request line are passed over (RFC 9112 §2.2)."""
    block = raw.lstrip(b"\r\n")
    request_line = next((line for _, line in raw_lines(block, 0)), b"")
    lines = header_lines(block[len(request_line) :].removesuffix(b"\r\n"), len(request_line))
    words = [*request_line.decode("latin-1").split(), "", "", ""]
    headers = [
        (line.raw[: len(line.name)].decode("latin-1"), line.value.strip().decode("latin-1"))
        for line in lines
        if line.name
    ]
    problem = None
    if not _REQUEST_LINE.fullmatch(request_line):
        problem = "no request line of HTTP/1"
    elif fatal := next((line for line in lines if line.defect in _FATAL), None):
        problem = f"expected {fatal.defect.value if fatal.defect else ''}, came {fatal.redacted}"
    return PlainHead(words[0], words[1], words[2], headers, problem)
