"""Any request head, read leniently: what it seems to say, or why it is no request. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.witness.wire.headers import LineDefect, cut_head

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]\r?\n")
# Every server refuses these (RFC 9112 section 5). Some read a folded line and a bare LF.
_FATAL = (LineDefect.NO_NAME, LineDefect.SPACE_BEFORE_COLON, LineDefect.CONTROL)


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A request head as far as it can be read.

    Attributes:
        method: The first word; empty when there is none.
        target: The second word; empty when there is none.
        version: The third word; empty when there is none.
        headers: Each line that has a name and a colon, in order and in its case, the value trimmed.
        problem: Why it is no request of HTTP/1; None for a request.
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
    """Read a raw head; empty lines before the request line are skipped (RFC 9112 §2.2)."""
    head = cut_head(raw)
    words = [*head.request_line.decode("latin-1").split(), "", "", ""]
    headers = [
        (line.raw[: len(line.name)].decode("latin-1"), line.value.strip().decode("latin-1"))
        for line in head.headers
        if line.name
    ]
    if _REQUEST_LINE.fullmatch(head.request_line):
        problem = next(
            (
                f"expected {line.defect.in_head.expected}, got {line.redacted}"
                for line in head.headers
                if line.defect in _FATAL
            ),
            None,
        )
    else:
        problem = "no request line of HTTP/1"
    return PlainHead(words[0], words[1], words[2], headers, problem)
