"""Header lines, as a request head, a part and the trailers of chunked framing all have them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from multipart import parse_options_header  # type: ignore[import-untyped]  # ships no types

from deploy_relay_kit.harness.witness.wire.finding import Rule

_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_NAME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class LineDefect(Enum):
    """What can be wrong with a header line (RFC 9112 section 5), and the rule that it breaks.

    Attributes:
        in_head: The rule for a line of a request head.
        in_part: The rule for a line of a part.
        in_trailer: The rule for a trailer line.
    """

    BARE_LF = Rule.HEADER_LF, Rule.PART_HEADER_LF, Rule.TRAILER_LF
    FOLDED = Rule.HEADER_FOLDED, Rule.PART_HEADER_FOLDED, Rule.TRAILER_FOLDED
    NO_NAME = Rule.HEADER_WITHOUT_NAME, Rule.PART_HEADER_WITHOUT_NAME, Rule.TRAILER_WITHOUT_NAME
    SPACE_BEFORE_COLON = Rule.HEADER_SPACE, Rule.PART_HEADER_SPACE, Rule.TRAILER_SPACE
    CONTROL = Rule.HEADER_CONTROL, Rule.PART_HEADER_CONTROL, Rule.TRAILER_CONTROL

    def __init__(self, in_head: Rule, in_part: Rule, in_trailer: Rule) -> None:
        self.in_head = in_head
        self.in_part = in_part
        self.in_trailer = in_trailer


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One line of a header block.

    Attributes:
        offset: Of the line's first byte in its layer.
        raw: The whole line with its line end.
        name: In lower case; "" when the line has none.
        value: The bytes after the colon, untrimmed; a folded line is joined by one space.
        defect: The first thing wrong with the line; None for a correct line.
    """

    offset: int
    raw: bytes
    name: str
    value: bytes
    defect: LineDefect | None

    @property
    def redacted(self) -> str:
        """The line without its value, which may be a credential."""
        return f"{self.name}: …" if self.name else f"a line of {len(self.raw)} bytes"

    @property
    def trimmed(self) -> bytes:
        """The value without spaces and tabs around it."""
        return self.value.strip(b" \t")


def raw_lines(block: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Cut a block after each LF; yield each line with its offset."""
    for match in _LINE.finditer(block):
        yield offset + match.start(), match[0]


def header_lines(block: bytes, offset: int) -> list[HeaderLine]:
    """Read a header block (without the empty line that ends it) that starts at `offset`.

    The list has every line. A line with only one meaning is read in spite of its defect.
    """
    lines: list[HeaderLine] = []
    for at, raw in raw_lines(block, offset):
        line = read_line(raw, at)
        if line.defect is LineDefect.FOLDED and lines:
            lines[-1] = replace(lines[-1], value=lines[-1].value + b" " + raw.strip())
        lines.append(line)
    return lines


def read_line(raw: bytes, offset: int) -> HeaderLine:
    """Read one line, with its line end, that starts at `offset`."""
    text = raw.removesuffix(b"\n").removesuffix(b"\r")
    match = _NAME.match(text)
    name = match[1].decode("ascii").lower() if match else ""
    value = text[match.end() :] if match else b""
    return HeaderLine(offset, raw, name, value, _defect(raw, text, match))


def lenient_parameters(value: bytes) -> dict[str, bytes]:
    """The parameters of a header value, read as receivers do; for reading on, not for judging."""
    _, options = parse_options_header(value.decode("latin-1"))
    return {name: text.encode("latin-1") for name, text in options.items()}


def _defect(raw: bytes, text: bytes, match: re.Match[bytes] | None) -> LineDefect | None:
    if not raw.endswith(b"\r\n"):
        return LineDefect.BARE_LF
    if text[:1] in (b" ", b"\t"):
        return LineDefect.FOLDED
    if _CONTROL.search(text):
        return LineDefect.CONTROL
    if match is None:
        return LineDefect.NO_NAME
    if match.end() != match.end(1) + 1:
        return LineDefect.SPACE_BEFORE_COLON
    return None
