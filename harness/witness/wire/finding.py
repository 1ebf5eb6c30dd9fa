"""One broken rule in the bytes of one upload, and how bytes are shown to a person."""

from dataclasses import dataclass
from typing import Literal

Layer = Literal["head", "framing", "body"]

MAX_SHOWN = 80
"""Characters of `Finding.came` that repeat what was on the wire."""

MAX_FINDINGS = 50
"""Findings kept per layer: enough for a person, and a bound for a hostile sender."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule.

    Attributes:
        id: The requirement, such as `WIRE-03`.
        layer: Where it was seen: the request `head`, the `framing` (RFC 9112 section 7) or
            the de-chunked `body` (RFC 7578).
        offset: In bytes from the start of that layer; framing starts right after the head and
            counts raw bytes.
        expected: What a conforming sender writes there.
        came: What was seen, printable, at most 80 characters; no value of the request head.
    """

    id: str
    layer: Layer
    offset: int
    expected: str
    came: str

    def __str__(self) -> str:
        where = f"{self.layer} byte {self.offset}"
        return f"{self.id}, {where}: expected {self.expected}, came {self.came}"


class Findings(list[Finding]):
    """The findings of one layer in the order of discovery, at most `MAX_FINDINGS` of them."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._layer = layer

    def note(self, requirement: str, offset: int, *, expected: str, came: str) -> None:
        """Add one finding, unless the layer already has as many as are kept."""
        if len(self) < MAX_FINDINGS:
            self.append(Finding(requirement, self._layer, offset, expected, _bounded(came)))


def show(data: bytes | bytearray) -> str:
    r"""Return `data` as one printable line of ASCII (`\r\n`, `\x00`, `\xff`), bounded."""
    return _bounded(bytes(data[:MAX_SHOWN]).decode("latin-1").encode("unicode_escape").decode())


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
