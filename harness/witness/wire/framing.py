"""The framing of a request body (RFC 9112 sections 6 and 7), read as it arrives, without I/O."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy_relay_kit.harness.witness.wire.content import Data
from deploy_relay_kit.harness.witness.wire.finding import MAX_LINE, Findings, Rule, show
from deploy_relay_kit.harness.witness.wire.head import FramingKind, RequestHead
from deploy_relay_kit.harness.witness.wire.headers import read_line

Deliver = Callable[[Data, int, int], None]
"""Takes body bytes `data[start:end]`, which it must not keep."""

_KEPT = 32  # sizes, extensions and trailers that a witness keeps
_NEXT_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})\r\n")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


@dataclass(slots=True)
class Framing:
    """How the body was framed on the wire.

    Attributes:
        kind: What the request head announced.
        length: Raw bytes of the message body so far, with framing.
        chunks: Number of chunks begun, without the last chunk.
        smallest: Size in bytes of the smallest chunk; None before the first.
        largest: Size in bytes of the largest chunk; None before the first.
        first_sizes: Sizes of the first 32 chunks.
        extensions: The first 32 chunk extensions, from their semicolon on (RFC 9112 section 7.1.1).
        trailers: The first 32 trailer lines with their line ends (RFC 9112 section 7.1.2).
        terminated: Whether the body was seen to end.
        bytes_after: Bytes received after that end.
    """

    kind: FramingKind
    length: int = 0
    chunks: int = 0
    smallest: int | None = None
    largest: int | None = None
    first_sizes: list[int] = field(default_factory=list)
    extensions: list[bytes] = field(default_factory=list)
    trailers: list[bytes] = field(default_factory=list)
    terminated: bool = False
    bytes_after: int = 0


class FramingReader(ABC):
    """Takes the framing off a body; `framing` shows when the body has ended."""

    def __init__(self, head: RequestHead, deliver: Deliver) -> None:
        self.framing = Framing(head.framing)
        self.findings = Findings()
        self._deliver = deliver

    @abstractmethod
    def feed(self, data: Data, pos: int, end: int) -> int:
        """Read `data[pos:end]`, deliver the content, return where the message ended."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """No more bytes will come: note what is missing."""


class LengthReader(FramingReader):
    """Content-Length framing, or no body at all: witnessed, although WIRE-13 forbids it."""

    def __init__(self, head: RequestHead, deliver: Deliver) -> None:
        super().__init__(head, deliver)
        self._length = head.content_length
        self.framing.terminated = self._length == 0

    def feed(self, data: Data, pos: int, end: int) -> int:
        stop = min(end, pos + self._length - self.framing.length)
        self._deliver(data, pos, stop)
        self.framing.length += stop - pos
        self.framing.terminated = self.framing.length == self._length
        return stop

    def close(self, reason: str) -> None:
        if not self.framing.terminated:
            got = f"{self.framing.length} bytes ({reason})"
            self.findings.note(Rule.BODY_LENGTH, self.framing.length, got, length=self._length)


class ChunkedReader(FramingReader):
    """Chunked framing (WIRE-13). Trailers are legal and only recorded."""

    def __init__(self, head: RequestHead, deliver: Deliver) -> None:
        super().__init__(head, deliver)
        self._step: _Step = ChunkedReader._read_size_line
        self._left = 0  # missing bytes of the current chunk
        self._partial = bytearray()  # the beginning of an incomplete line
        self._line_at = 0  # offset of the line read last

    def feed(self, data: Data, pos: int, end: int) -> int:
        framing = self.framing
        while pos < end and not framing.terminated:
            before = pos
            pos = self._step(self, data, pos, end)
            framing.length += pos - before
        return pos

    def close(self, reason: str) -> None:
        at, number = self.framing.length, self.framing.chunks
        if self.framing.terminated or self._step is ChunkedReader._count:
            return
        if self._step is ChunkedReader._read_data:
            self.findings.note(Rule.CHUNK_CUT, at, reason, left=self._left, number=number)
        elif self._step is ChunkedReader._read_trailer:
            self.findings.note(Rule.LAST_CHUNK_END, at, reason)
        else:
            self.findings.note(Rule.LAST_CHUNK, at, f"{reason} after chunk {number}")

    def _read_size_line(self, data: Data, pos: int, end: int) -> int:
        pos, line = self._take_line(data, pos, end)
        if line:
            size = self._read_size(line)
            if size is None:
                self._step = ChunkedReader._count
            elif size == 0:
                self._step = ChunkedReader._read_trailer
            else:
                self._begin_chunk(size)
        return pos

    def _take_line(self, data: Data, pos: int, end: int) -> tuple[int, bytes]:
        """Continue a line of at most `MAX_LINE` bytes: where it stopped, the line once whole."""
        stop = min(end, pos + MAX_LINE - len(self._partial))
        newline = data.find(b"\n", pos, stop)
        if newline >= 0:
            stop = newline + 1
        self._line_at = self.framing.length - len(self._partial)
        self._partial += data[pos:stop]
        if newline < 0:
            if len(self._partial) == MAX_LINE:
                self.findings.note(Rule.LINE_LENGTH, self._line_at, show(self._partial))
                self._step = ChunkedReader._count
            return stop, b""
        line = bytes(self._partial)
        self._partial.clear()
        return stop, line

    def _read_size(self, line: bytes) -> int | None:
        """The size in a chunk-size line; None when the line has none."""
        digits, semicolon, extension = line.rstrip(b"\r\n").partition(b";")
        is_first = not self.framing.extensions
        if semicolon and len(self.framing.extensions) < _KEPT:
            self.framing.extensions.append(semicolon + extension)
        if match := _SIZE_LINE.fullmatch(line):
            if semicolon and is_first:
                self.findings.note(Rule.CHUNK_EXTENSION, self._line_at, show(line))
            return int(match[1], 16)
        self.findings.note(Rule.CHUNK_SIZE, self._line_at, show(line))
        try:
            size = int(digits, 16)  # as lenient as readers are: 0x5, +5, 0_5, spaces around
        except ValueError:
            return None
        return size if 0 <= size < 1 << 64 else None

    def _begin_chunk(self, size: int) -> None:
        self._step = ChunkedReader._read_data
        self._left = size
        framing = self.framing
        framing.chunks += 1
        framing.smallest = size if framing.smallest is None else min(size, framing.smallest)
        framing.largest = size if framing.largest is None else max(size, framing.largest)
        if len(framing.first_sizes) < _KEPT:
            framing.first_sizes.append(size)

    def _read_data(self, data: Data, pos: int, end: int) -> int:
        stop = min(end, pos + self._left)
        self._deliver(data, pos, stop)
        self._left -= stop - pos
        return stop if self._left else self._end_chunk(data, stop, end)

    def _end_chunk(self, data: Data, pos: int, end: int) -> int:
        """Begin the next chunk at once if the usual bytes between two chunks are all here."""
        match = _NEXT_CHUNK.match(data, pos, end)
        size = int(match[1], 16) if match else 0
        if match and size:
            self._begin_chunk(size)
            return match.end()
        self._step = ChunkedReader._read_data_end
        return pos

    def _read_data_end(self, data: Data, pos: int, _end: int) -> int:
        """Read one byte of the CRLF after a chunk."""
        self._partial.append(data[pos])
        got = bytes(self._partial)
        if got == b"\r":
            return pos + 1
        self._partial.clear()
        self._step = (
            ChunkedReader._read_size_line if got in (b"\r\n", b"\n") else ChunkedReader._count
        )
        if got != b"\r\n":
            at, number = self.framing.length + 1 - len(got), self.framing.chunks
            self.findings.note(Rule.CHUNK_END, at, show(got), number=number)
        return pos + 1

    def _read_trailer(self, data: Data, pos: int, end: int) -> int:
        pos, line = self._take_line(data, pos, end)
        if line in (b"\r\n", b"\n"):
            self.framing.terminated = True
            if line == b"\n":
                self.findings.note(Rule.LAST_CHUNK_LF, self._line_at, show(line))
        elif line:
            if len(self.framing.trailers) < _KEPT:
                self.framing.trailers.append(line)
            trailer = read_line(line, self._line_at)
            if trailer.defect is not None:
                got = f"trailer {trailer.redacted}"
                self.findings.note(trailer.defect.in_trailer, trailer.offset, got)
        return pos

    def _count(self, _data: Data, _pos: int, end: int) -> int:
        return end


_Step = Callable[[ChunkedReader, Data, int, int], int]
