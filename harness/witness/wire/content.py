"""What the parts of one upload carried, taken in while it comes; no payload is kept."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.witness.wire.finding import MAX_SHOWN, Findings, show
from harness.witness.wire.part import PartHead

MAX_VALUE = 1 << 20
"""Bytes of a field value that a peer keeps (PARSE-18)."""

WINDOW = 256
"""Bytes kept of each end of the file."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field part as it came.

    Attributes:
        name: Decoded from UTF-8, undecodable bytes replaced.
        value: At most `MAX_VALUE` bytes of it.
        length: Bytes that came, which may be more.
        sha256: In hex, of all that came.
        raw_header: The part's header block without the empty line.
        offset: Of the value's first byte in the de-chunked body.
    """

    name: str
    value: bytes
    length: int
    sha256: str
    raw_header: bytes
    offset: int


class FieldContent:
    """Takes in a field value."""

    def __init__(self, head: PartHead, offset: int) -> None:
        self._head = head
        self._offset = offset
        self._value = bytearray()
        self._hash = hashlib.sha256()
        self._length = 0

    def update(self, data: bytes | bytearray, start: int, end: int) -> None:
        room = MAX_VALUE - len(self._value)
        self._value += data[start : min(end, start + room)]
        self._hash.update(memoryview(data)[start:end])
        self._length += end - start

    def finish(self) -> Field:
        return Field(
            name=self._head.name or "",
            value=bytes(self._value),
            length=self._length,
            sha256=self._hash.hexdigest(),
            raw_header=self._head.raw,
            offset=self._offset,
        )


@dataclass(slots=True)
class FilePart:
    """The file part; grows while it is read. Nothing of it is kept but its two ends.

    Attributes:
        name: Of the part (WIRE-05: "payload").
        filename: As it came; None when there is none.
        content_type: As it came; None when there is none.
        raw_header: The part's header block without the empty line.
        offset: Of the file's first byte in the de-chunked body.
        length: Bytes so far.
        complete: Whether the delimiter that ends the file was seen.
        first: The first 256 bytes.
        marks: SHA-256 in hex of the first n bytes, for each wanted n that was reached.
    """

    name: str
    filename: str | None
    content_type: str | None
    raw_header: bytes
    offset: int
    length: int = 0
    complete: bool = False
    first: bytes = b""
    marks: dict[int, str] = field(default_factory=dict)
    _last: bytes | bytearray = field(default=b"", repr=False)
    _wanted: list[int] = field(default_factory=list, repr=False)  # descending
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    @classmethod
    def begin(cls, head: PartHead, offset: int, mark_offsets: Iterable[int]) -> "FilePart":
        file = cls(head.name or "", head.filename, head.content_type, head.raw, offset)
        file._wanted = sorted(set(mark_offsets), reverse=True)
        file.update(b"", 0, 0)  # a mark at 0 needs no byte
        return file

    @property
    def sha256(self) -> str:
        """In hex, of the bytes so far."""
        return self._hash.hexdigest()

    @property
    def last(self) -> bytes:
        """The last 256 bytes so far."""
        return bytes(self._last)

    def update(self, data: bytes | bytearray, start: int, end: int) -> None:
        # The path of every byte of a payload: no copies, few calls.
        while self._wanted and self._wanted[-1] <= self.length + end - start:
            start = self._mark_within(data, start)
        size = end - start
        self._hash.update(memoryview(data)[start:end])
        if self.length < WINDOW:
            self.first += data[start : min(end, start + WINDOW - self.length)]
        if size >= WINDOW:
            self._last = data[end - WINDOW : end]
        else:
            self._last = (self._last + data[start:end])[-WINDOW:]
        self.length += size

    def _mark_within(self, data: bytes | bytearray, start: int) -> int:
        """Take in what comes before the next mark, and mark it; return where that was."""
        wanted = self._wanted.pop()
        mark = start + wanted - self.length
        self.update(data, start, mark)
        self.marks[wanted] = self.sha256
        return mark


class StrayContent:
    """Bytes where none belong: before the first delimiter, or after the closing one."""

    def __init__(self, offset: int, expected: str) -> None:
        self._offset = offset
        self._expected = expected
        self._shown = bytearray()

    def update(self, data: bytes | bytearray, start: int, end: int) -> None:
        self._shown += data[start : min(end, start + MAX_SHOWN - len(self._shown))]

    def finish(self, findings: Findings) -> bool:
        """Note the bytes, if any came; return whether they did."""
        if self._shown:
            came = show(self._shown)
            findings.note("WIRE-03", self._offset, expected=self._expected, came=came)
        return bool(self._shown)
